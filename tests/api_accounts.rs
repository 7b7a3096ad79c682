//! The tree of accounts, and whose token reaches what.

mod support;

use std::time::Duration;

use serde_json::json;
use support::api::{ADMIN, Api};
use switchhook::trigger::Trigger;

fn hook(name: &str) -> serde_json::Value {
    json!({ "name": name, "uri": "http://127.0.0.1:9/calls", "hook": "channel_create", "retries": 0 })
}

async fn make_token(api: &Api, account: &str) -> String {
    let path = format!("/accounts/{account}/tokens");
    let made = api.call("PUT", &path).await;
    made.data(201)["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn accounts_are_a_tree() {
    let api = Api::start().await;
    let data = json!({ "name": "Reseller", "realm": "reseller.example", "numbers": ["+1 555 777 0000"], "tier": 2 });
    let made = api.send("PUT", "/accounts", data).await;
    let reseller = made.data(201)["id"].as_str().unwrap().to_owned();
    assert_eq!(made.data(201)["tier"], 2, "unknown fields are kept");
    assert_eq!(made.data(201).get("parent"), None);
    let customer = api.make_account(&reseller, "Customer").await;
    let branch = api.make_account(&customer, "Branch").await;

    let children = api
        .call("GET", &format!("/accounts/{reseller}/children"))
        .await;
    assert_eq!(children.data(200).as_array().unwrap().len(), 1);
    assert_eq!(children.data(200)[0]["parent"], reseller);
    let below = api
        .call("GET", &format!("/accounts/{reseller}/descendants"))
        .await;
    let mut ids: Vec<&str> = (below.data(200).as_array().unwrap().iter())
        .map(|account| account["id"].as_str().unwrap())
        .collect();
    let mut expected = [customer.as_str(), branch.as_str()];
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    let first = api.call("GET", "/accounts?page_size=3").await;
    let key = first.body["next_start_key"].as_str().unwrap();
    let second = api
        .call("GET", &format!("/accounts?page_size=3&start_key={key}"))
        .await;
    assert_eq!(second.data(200).as_array().unwrap().len(), 1);

    // The realm and the number belong to one account.
    let taken = json!({ "name": "Thief", "realm": "RESELLER.example", "numbers": ["15557770000"] });
    let refused = api.send("PUT", "/accounts", taken).await;
    let data = refused.error(409, "conflict");
    assert!(data["realm"]["unique"].is_object() && data["numbers.0"]["unique"].is_object());
    api.send("PUT", "/accounts", json!({ "numbers": 5 }))
        .await
        .error(400, "validation error");

    let path = format!("/accounts/{customer}");
    // Its place does not change, and nobody is left to believe so.
    for (method, parent) in [
        ("PATCH", json!(branch)),
        ("PATCH", json!(null)),
        ("POST", json!(branch)),
    ] {
        let moved = json!({ "name": "Customer", "realm": "x.example", "parent": parent });
        let refused = api.send(method, &path, moved).await;
        assert!(refused.error(400, "validation error")["parent"]["const"].is_object());
    }
    let patch = json!({ "realm": "customer.example", "parent": reseller, "id": "mine" });
    let patched = api.send("PATCH", &path, patch).await;
    assert_eq!(patched.data(200)["name"], "Customer");
    assert_eq!(patched.data(200)["realm"], "customer.example");
    assert_eq!(patched.data(200)["parent"], reseller);
    let replaced = api.send("POST", &path, json!({ "name": "Client" })).await;
    assert_eq!(replaced.data(200).get("realm"), None);
    assert_eq!(api.call("GET", &path).await.data(200), replaced.data(200));
    api.call("GET", "/accounts/nobody")
        .await
        .error(404, "bad_identifier");
}

#[tokio::test]
async fn nobody_takes_over_calls_by_giving_his_own_account_their_number() {
    let mut api = Api::start().await;
    let reseller = api.make_account("default", "Reseller").await;
    let acme = api.make_account(&reseller, "Acme").await;
    let path = format!("/accounts/{acme}");
    let own = make_token(&api, &acme).await;
    let above = make_token(&api, &reseller).await;
    api.token.clone_from(&own);

    let numbers = json!({ "numbers": ["+15550009999"] });
    let refused = api.send("PATCH", &path, numbers.clone()).await;
    let data = refused.error(403, "forbidden");
    assert!(
        data["numbers"]["authority"]["message"]
            .as_str()
            .unwrap()
            .contains("admin token")
    );
    let whole = json!({ "name": "Acme", "realm": "other.example" });
    let refused = api.send("POST", &path, whole).await;
    assert!(refused.error(403, "forbidden")["realm"].is_object());
    let read = api.call("GET", &path).await;
    assert_eq!(read.data(200)["numbers"], json!([]));

    // What is above it gives it its numbers; with them it may still be renamed from within.
    api.token = above;
    api.send("PATCH", &path, numbers).await.data(200);
    api.token = own;
    let mut whole = api.call("GET", &path).await.data(200).clone();
    whole["name"] = json!("Acme Ltd");
    let renamed = api.send("POST", &path, whole).await;
    assert_eq!(renamed.data(200)["name"], "Acme Ltd");
    api.send(
        "PATCH",
        &path,
        json!({ "name": "Acme", "numbers": ["+15550009999"] }),
    )
    .await
    .data(200);
    for less in [json!([]), json!(null)] {
        let refused = api.send("PATCH", &path, json!({ "numbers": less })).await;
        assert!(refused.error(403, "forbidden")["numbers"].is_object());
    }
}

#[tokio::test]
async fn an_account_has_bounds() {
    let api = Api::start().await;
    let data =
        json!({ "name": "n".repeat(257), "realm": "r".repeat(254), "numbers": ["1".repeat(65)] });
    let refused = api.send("PUT", "/accounts", data).await;
    let data = refused.error(400, "validation error");
    for (field, most) in [("name", 256), ("realm", 253), ("numbers.0", 64)] {
        assert_eq!(data[field]["maxLength"]["target"], most);
    }
    let numbers: Vec<String> = (0..5_001).map(|number| format!("+{number}")).collect();
    let data = json!({ "name": "Many", "numbers": numbers });
    let refused = api.send("PUT", "/accounts", data).await;
    let data = refused.error(400, "validation error");
    assert_eq!(data["numbers"]["maxItems"]["target"], 5_000);
}

#[tokio::test]
async fn an_account_is_deleted_with_its_hooks_but_not_with_accounts_below_it() {
    let api = Api::start().await;
    let parent = api.make_account("default", "Parent").await;
    let child = api.make_account(&parent, "Child").await;
    let kept = api.make_hook("default", hook("kept")).await;
    for number in 0..3 {
        api.make_hook(&child, hook(&format!("hook {number}"))).await;
    }
    let hooks = format!("/accounts/{child}/webhooks");
    api.happens(&child, "call-1", Trigger::ChannelCreate);
    api.attempts(&format!("{hooks}/attempts"), 3).await;

    api.call("DELETE", &format!("/accounts/{parent}"))
        .await
        .error(409, "conflict");
    api.call("DELETE", "/accounts/default")
        .await
        .error(409, "conflict");
    api.call("GET", &format!("/accounts/{parent}"))
        .await
        .data(200);

    let deleted = api.call("DELETE", &format!("/accounts/{child}")).await;
    assert_eq!(deleted.data(200)["deleted_webhooks"], 3);
    assert_eq!(deleted.data(200)["name"], "Child");
    api.call("GET", &hooks).await.error(404, "bad_identifier");
    assert_eq!(api.registry.index().len(), 1);
    assert!(api.registry.index().get("default", &kept).is_some());
    let deleted = api.call("DELETE", &format!("/accounts/{parent}")).await;
    assert_eq!(deleted.data(200)["deleted_webhooks"], 0);
}

#[tokio::test]
async fn a_token_reaches_its_account_and_those_below_and_no_other() {
    let mut api = Api::start().await;
    let reseller = api.make_account("default", "Reseller").await;
    let customer = api.make_account(&reseller, "Customer").await;
    let stranger = api.make_account("default", "Stranger").await;
    let token = make_token(&api, &reseller).await;
    api.token.clone_from(&token);

    let id = api.make_hook(&customer, hook("below")).await;
    let read = api
        .call("GET", &format!("/accounts/{reseller}/webhooks"))
        .await;
    read.data(200);
    assert_eq!(read.body["auth_token"], token, "given back as Kazoo does");
    for path in [
        format!("/accounts/{stranger}"),
        format!("/accounts/{stranger}/webhooks"),
        "/accounts/default/webhooks".to_owned(),
        "/accounts/nobody/webhooks".to_owned(),
    ] {
        let refused = api.call("GET", &path).await;
        refused.error(403, "forbidden");
    }
    // A hook of one account is not found in another.
    api.call("GET", &format!("/accounts/{reseller}/webhooks/{id}"))
        .await
        .error(404, "bad_identifier");
    let accounts = api.call("GET", "/accounts").await;
    assert_eq!(accounts.data(200).as_array().unwrap().len(), 2);
    let made = api.send("PUT", "/accounts", json!({ "name": "New" })).await;
    assert_eq!(made.data(201)["parent"], reseller, "below the token's own");
    api.answer(api.request("GET", "/metrics"))
        .await
        .error(403, "forbidden");

    api.token = ADMIN.into();
    let path = format!("/accounts/{reseller}/tokens");
    let listed = api.call("GET", &path).await;
    let listed = listed.data(200)[0].clone();
    assert_eq!(listed.get("token"), None);
    assert!(token.starts_with(listed["prefix"].as_str().unwrap()));
    let row = listed["id"].as_str().unwrap();
    api.call("DELETE", &format!("/accounts/{stranger}/tokens/{row}"))
        .await
        .error(404, "bad_identifier");
    let revoked = api.call("DELETE", &format!("{path}/{row}")).await;
    assert!(revoked.data(200)["revoked"].is_i64());
    api.call("DELETE", &format!("{path}/{row}"))
        .await
        .error(404, "bad_identifier");
    api.token = token;
    api.call("GET", &format!("/accounts/{reseller}/webhooks"))
        .await
        .error(401, "invalid_credentials");
}

#[tokio::test]
async fn an_api_key_is_shown_once_and_exchanged_for_a_token() {
    let mut api = Api::start().await;
    let account = api.make_account("default", "Customer").await;
    let path = format!("/accounts/{account}/api_key");
    let made = api.call("GET", &path).await;
    let key = made.data(200)["api_key"].as_str().unwrap().to_owned();
    let again = api.call("GET", &path).await;
    assert_eq!(again.data(200).get("api_key"), None);
    assert!(key.starts_with(again.data(200)["prefix"].as_str().unwrap()));

    api.token.clear();
    let logged_in = api
        .send("PUT", "/api_auth", json!({ "api_key": key }))
        .await;
    assert_eq!(logged_in.data(201)["account_id"], account);
    let token = logged_in.body["auth_token"].as_str().unwrap().to_owned();
    api.token.clone_from(&token);
    let hooks = format!("/accounts/{account}/webhooks");
    api.call("GET", &hooks).await.data(200);
    api.call("GET", "/accounts/default")
        .await
        .error(403, "forbidden");

    // Nobody writes himself a token for another account, or for longer.
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[0] = "default";
    api.token = parts.join(".");
    api.call("GET", "/accounts/default/webhooks")
        .await
        .error(401, "invalid_credentials");
    let end = (parts[1].parse::<i64>().unwrap() + 1).to_string();
    api.token = [account.as_str(), end.as_str(), parts[2]].join(".");
    api.call("GET", &hooks)
        .await
        .error(401, "invalid_credentials");
    // An API key is no token.
    api.token = key;
    api.call("GET", &hooks)
        .await
        .error(401, "invalid_credentials");

    // With its key the token ends.
    api.token = ADMIN.into();
    api.call("PUT", &path).await.data(201);
    api.token = token;
    api.call("GET", &hooks)
        .await
        .error(401, "invalid_credentials");
    api.token.clear();
    api.send("PUT", "/api_auth", json!({ "api_key": "guess" }))
        .await
        .error(401, "invalid_credentials");
    api.send("PUT", "/api_auth", json!({ "api_key": 7 }))
        .await
        .error(400, "validation error");
    api.send("PUT", "/api_auth", json!({}))
        .await
        .error(400, "validation error");
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_who_knows_does_not() {
    let mut api = Api::start().await;
    api.call("GET", "/accounts").await.data(200);
    let limited = loop {
        api.token = format!("guess-{}", another());
        let refused = api.call("GET", "/accounts").await;
        match refused.status {
            401 => {}
            _ => break refused,
        }
    };
    limited.error(429, "too_many_requests");
    assert!(limited.header("Retry-After").parse::<u64>().unwrap() >= 1);
    api.token = ADMIN.into();
    api.call("GET", "/accounts").await.data(200);
}

/// A guess that was not made before.
fn another() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

#[tokio::test]
async fn re_enabling_reaches_all_accounts_below() {
    let api = Api::start().await;
    let reseller = api.make_account("default", "Reseller").await;
    let customer = api.make_account(&reseller, "Customer").await;
    let mut ids = vec![
        api.make_hook(&reseller, hook("a")).await,
        api.make_hook(&customer, hook("b")).await,
    ];
    for (account, id) in [(&reseller, &ids[0]), (&customer, &ids[1])] {
        let hook = api.registry.index().get(account, id).unwrap();
        let order = switchhook::delivery::SwitchOff {
            key: hook.key,
            account_id: account.as_str().into(),
            hook_id: id.as_str().into(),
            uri: hook.settings.uri.clone(),
            reason: "it failed".into(),
        };
        assert!(api.registry.switch_off(&order).await.unwrap().is_some());
        assert!(
            api.registry.switch_off(&order).await.unwrap().is_none(),
            "off already"
        );
    }
    let path = format!("/accounts/{reseller}/descendants/webhooks");
    let enabled = api.send("PATCH", &path, json!({ "re-enable": true })).await;
    let mut enabled: Vec<String> = (enabled.data(200).as_array().unwrap().iter())
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    enabled.sort();
    ids.sort();
    assert_eq!(enabled, ids);
    assert!(api.registry.index().all().iter().all(|hook| hook.is_on()));
}

#[tokio::test]
async fn a_hook_that_includes_subaccounts_hears_of_accounts_made_later() {
    let api = Api::start().await;
    let reseller = api.make_account("default", "Reseller").await;
    let mut all = hook("all of mine");
    all["include_subaccounts"] = json!(true);
    let id = api.make_hook(&reseller, all).await;
    let customer = api.make_account(&reseller, "Customer").await;
    api.happens(&customer, "call-1", Trigger::ChannelCreate);
    let path = format!("/accounts/{reseller}/webhooks/{id}/attempts");
    let attempts = api.attempts(&path, 1).await;
    assert_eq!(attempts[0]["call_id"], "call-1");
}

#[tokio::test]
async fn an_api_key_is_not_revoked_as_a_token() {
    let api = Api::start().await;
    let account = api.make_account("default", "Customer").await;
    let made = api
        .call("GET", &format!("/accounts/{account}/api_key"))
        .await;
    let key = made.data(200)["api_key"].as_str().unwrap().to_owned();
    let tokens = format!("/accounts/{account}/tokens");
    let made = api.call("PUT", &tokens).await;
    let token = made.data(201)["id"].as_str().unwrap().to_owned();
    // The key has the number before it.
    let before = token.parse::<i64>().unwrap() - 1;
    api.call("DELETE", &format!("{tokens}/{before}"))
        .await
        .error(404, "bad_identifier");
    let login = json!({ "api_key": key });
    api.send("PUT", "/api_auth", login).await.data(201);
    api.call("DELETE", &format!("{tokens}/{token}"))
        .await
        .data(200);
}

#[tokio::test]
async fn of_two_who_ask_for_the_first_api_key_at_once_one_gets_it_and_it_is_good() {
    let api = Api::start().await;
    let account = api.make_account("default", "Customer").await;
    let path = format!("/accounts/{account}/api_key");
    // Both have seen that there is none before either makes one.
    let (release, writer) = api.hold_the_writer().await;
    let both = async { tokio::join!(api.call("GET", &path), api.call("GET", &path)) };
    let ((one, other), ()) = tokio::join!(both, async {
        api.writes_wait(2).await;
        drop(release);
    });
    writer.await.unwrap();
    let keys = [one, other].map(|answer| answer.data(200).get("api_key").cloned());
    let mut keys = keys.iter().flatten();
    let login = json!({ "api_key": keys.next().expect("one made it") });
    assert_eq!(keys.next(), None);
    api.send("PUT", "/api_auth", login).await.data(201);
}

/// Changes accounts in a transaction that takes longer than anybody waits for it, and is committed then.
async fn change_slowly(api: &Api, method: &str, path: &str, data: serde_json::Value) {
    let (release_first, first) = api.hold_the_writer().await;
    let change = api.send(method, path, data);
    let slow = async {
        api.writes_wait(1).await;
        // In the same transaction, behind the change.
        let in_line = async {
            api.writes_wait(2).await;
            drop(release_first);
        };
        tokio::join!(api.hold_the_writer(), in_line).0
    };
    let (changed, (release, second)) = tokio::join!(change, slow);
    changed.error(503, "datastore_fault");
    drop(release);
    first.await.unwrap();
    second.await.unwrap();
}

/// Waits until an account is there, or is not there.
async fn is_there(api: &Api, account: &str, wanted: bool) {
    let known = async {
        while api.registry.has_account(account) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let known = tokio::time::timeout(Duration::from_secs(20), known).await;
    known.unwrap_or_else(|_| panic!("{account}: what was committed is never known"));
}

#[tokio::test]
async fn accounts_that_were_changed_too_late_to_be_answered_are_known_all_the_same() {
    let made = async {
        let api = Api::start().await;
        change_slowly(&api, "PUT", "/accounts?id=late", json!({ "name": "Late" })).await;
        is_there(&api, "late", true).await;
    };
    let deleted = async {
        let api = Api::start().await;
        let account = api.make_account("default", "Doomed").await;
        let path = format!("/accounts/{account}");
        change_slowly(&api, "DELETE", &path, json!({})).await;
        is_there(&api, &account, false).await;
    };
    tokio::join!(made, deleted);
}
