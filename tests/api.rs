//! The hooks of an account over REST, as a Kazoo client knows it.

mod support;

use serde_json::{Value, json};
use support::api::{ADMIN, Api};
use support::receiver::Receiver;
use switchhook::trigger::Trigger;

const HOOKS: &str = "/accounts/default/webhooks";

fn hook(name: &str) -> Value {
    json!({ "name": name, "uri": "http://127.0.0.1:9/calls", "hook": "channel_create" })
}

fn at(id: &str) -> String {
    format!("{HOOKS}/{id}")
}

#[tokio::test]
async fn a_hook_is_made_read_replaced_patched_and_deleted() {
    let api = Api::start().await;
    let made = api
        .send(
            "PUT",
            HOOKS,
            json!({ "name": "CRM", "uri": "https://crm.example/calls?x=1", "hook": "Channel_Create",
                    "http_verb": "PUT", "crm_id": { "ours": [1, 2] }, "custom_data": { "tenant": "7" } }),
        )
        .await;
    let hook = made.data(201).clone();
    let id = hook["id"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    assert_eq!(hook["hook"], "channel_create");
    assert_eq!(hook["http_verb"], "put");
    assert_eq!(hook["format"], "form-data");
    assert_eq!(hook["retries"], 2);
    assert_eq!(hook["enabled"], true);
    assert_eq!(
        hook["crm_id"],
        json!({ "ours": [1, 2] }),
        "unknown fields are kept"
    );
    assert!(hook["created"].as_i64().unwrap() > 63_900_000_000);
    assert!(made.body["revision"].is_string());

    let read = api.call("GET", &at(id)).await;
    assert_eq!(read.data(200), &hook);

    let patch = json!({ "crm_id": null, "retries": 4, "custom_data": { "floor": 3 } });
    let patched = api.send("PATCH", &at(id), patch).await;
    let patched_hook = patched.data(200);
    assert_eq!(patched_hook["retries"], 4);
    assert_eq!(patched_hook["name"], "CRM", "what is not said stays");
    assert_eq!(
        patched_hook["custom_data"],
        json!({ "tenant": "7", "floor": 3 })
    );
    assert_eq!(patched_hook.get("crm_id"), None, "null removes");
    assert_ne!(patched.body["revision"], made.body["revision"]);

    let whole =
        json!({ "name": "CRM 2", "uri": "https://crm.example/2", "hook": ["dtmf", "call_hangup"] });
    let replaced = api.send("POST", &at(id), whole).await;
    let replaced = replaced.data(200);
    assert_eq!(
        replaced["retries"], 2,
        "what is not said has its default again"
    );
    assert_eq!(replaced["hook"], json!(["dtmf", "call_hangup"]));
    assert_eq!(replaced["created"], hook["created"]);

    let deleted = api.call("DELETE", &at(id)).await;
    assert_eq!(deleted.data(200), replaced);
    let gone = api.call("GET", &at(id)).await;
    assert_eq!(gone.error(404, "bad_identifier")["cause"], id);
    api.call("DELETE", &at(id))
        .await
        .error(404, "bad_identifier");
    api.send("PATCH", &at(id), json!({ "name": "x" }))
        .await
        .error(404, "bad_identifier");
}

#[tokio::test]
async fn a_listing_is_summaries_in_pages() {
    let api = Api::start().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(
            api.make_hook("default", hook(&format!("hook {number}")))
                .await,
        );
    }
    let first = api.call("GET", &format!("{HOOKS}?page_size=2")).await;
    let summaries = first.data(200).as_array().unwrap();
    assert_eq!(summaries.len(), 2);
    assert_eq!(first.body["page_size"], 2);
    assert_eq!(summaries[0]["id"], ids[0]);
    assert_eq!(
        summaries[0].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["id", "name", "hook", "uri", "http_verb", "enabled"]
    );
    let mut seen = Vec::new();
    let mut path = format!("{HOOKS}?page_size=2");
    loop {
        let page = api.call("GET", &path).await;
        seen.extend(
            page.data(200)
                .as_array()
                .unwrap()
                .iter()
                .map(|hook| hook["id"].clone()),
        );
        match page.body["next_start_key"].as_str() {
            Some(key) => path = format!("{HOOKS}?page_size=2&start_key={key}"),
            None => break,
        }
    }
    assert_eq!(json!(seen), json!(ids));
    let all = api.call("GET", &format!("{HOOKS}?paginate=false")).await;
    assert_eq!(all.body["page_size"], 5);
    assert_eq!(all.body.get("next_start_key"), None);

    for (query, field) in [
        ("page_size=-1", "page_size"),
        ("page_size=0", "page_size"),
        ("page_size=9223372036854775808", "page_size"),
        ("page_size=ten", "page_size"),
        ("paginate=maybe", "paginate"),
    ] {
        let refused = api.call("GET", &format!("{HOOKS}?{query}")).await;
        let data = refused.error(400, "validation error");
        assert!(data.get(field).is_some(), "{query}: {data}");
    }
    for start in [
        "nobody",
        "%00",
        "-4",
        "9223372036854775808",
        "%27%20OR%201%3D1--",
    ] {
        for list in [
            "/accounts".to_owned(),
            HOOKS.to_owned(),
            format!("{HOOKS}/attempts"),
        ] {
            let refused = api.call("GET", &format!("{list}?start_key={start}")).await;
            let data = refused.error(404, "bad_identifier");
            assert!(data["start_key"].is_object(), "{list} {start}: {data}");
        }
    }
}

#[tokio::test]
async fn every_mistake_of_a_hook_is_named_and_nothing_is_made() {
    let api = Api::start().await;
    let wrong = json!({
        "hook": "channel_created", "http_verb": "delete", "retries": 5, "custom_data": [1],
        "custom_request_headers": { "Host": "elsewhere", "X-Evil": "a\r\nX-Other: b" },
        "timezone": "Mars/Olympus", "secret": "hunter2",
    });
    let refused = api.send("PUT", HOOKS, wrong.clone()).await;
    refused.error(400, "validation error");
    assert!(
        !refused.body.to_string().contains("hunter2"),
        "a secret was told"
    );
    let mut wrong = wrong;
    wrong.as_object_mut().unwrap().remove("secret");
    let refused = api.send("PUT", HOOKS, wrong).await;
    let data = refused.error(400, "validation error");
    assert_eq!(
        data["name"]["required"]["message"],
        "Field is required but missing"
    );
    for (field, rule) in [
        ("uri", "required"),
        ("hook", "enum"),
        ("http_verb", "enum"),
        ("retries", "maximum"),
        ("custom_data", "type"),
        ("custom_request_headers.Host", "forbidden"),
        ("custom_request_headers.X-Evil", "format"),
        ("timezone", "format"),
    ] {
        assert!(
            data[field][rule]["message"].is_string(),
            "{field} {rule}: {data:#}"
        );
    }
    let list = api.call("GET", HOOKS).await;
    assert_eq!(list.data(200), &json!([]));

    let id = api.make_hook("default", hook("good")).await;
    let before = api.call("GET", &at(&id)).await;
    api.send(
        "PATCH",
        &at(&id),
        json!({ "uri": "ftp://elsewhere", "name": "bad" }),
    )
    .await
    .error(400, "validation error");
    api.send("POST", &at(&id), json!({ "name": "bad" }))
        .await
        .error(400, "validation error");
    let after = api.call("GET", &at(&id)).await;
    assert_eq!(after.data(200), before.data(200));
}

#[tokio::test]
async fn a_secret_is_shown_once_and_never_again() {
    let api = Api::start().await;
    let mut signed = hook("signed");
    signed["secret"] = json!("generate");
    let made = api.send("PUT", HOOKS, signed).await;
    let id = made.data(201)["id"].as_str().unwrap();
    let secret = made.data(201)["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(made.data(201)["has_secret"], true);

    let read = api.call("GET", &at(id)).await;
    assert_eq!(read.data(200).get("secret"), None);
    assert_eq!(read.data(200)["has_secret"], true);
    let replaced = api.send("POST", &at(id), hook("still signed")).await;
    assert_eq!(
        replaced.data(200)["has_secret"],
        true,
        "a replaced hook keeps its secret"
    );
    let patched = api.send("PATCH", &at(id), json!({ "secret": null })).await;
    assert_eq!(patched.data(200)["has_secret"], false);
}

#[tokio::test]
async fn what_a_hook_is_sent_stands_in_its_attempts() {
    let api = Api::start().await;
    let mut receiver = Receiver::start().await;
    let mut data = hook("CRM");
    data["uri"] = json!(receiver.uri("/calls"));
    data["custom_request_headers"] = json!({ "X-Api-Key": "hunter2" });
    let id = api.make_hook("default", data).await;
    let other = api.make_hook("default", hook("nobody there")).await;
    api.send("PATCH", &at(&other), json!({ "retries": 0 }))
        .await
        .data(200);

    api.happens("default", "call-1", Trigger::ChannelCreate);
    let webhook = receiver.next().await;
    assert_eq!(webhook.header("x-api-key"), "hunter2");
    let attempts = api.attempts(&format!("{HOOKS}/{id}/attempts"), 1).await;
    let attempt = &attempts[0];
    assert_eq!(attempt["result"], "success");
    assert_eq!(attempt["hook_id"], id);
    assert_eq!(attempt["hook_event"], "channel_create");
    assert_eq!(attempt["call_id"], "call-1");
    assert_eq!(attempt["resp_status_code"], "204");
    assert_eq!(attempt["attempt"], 1);
    assert_eq!(attempt["retries left"], attempt["retries_left"]);
    assert_eq!(attempt["req_headers"]["x-api-key"], "***");
    assert_eq!(
        attempt["req_body"].as_str().unwrap().as_bytes(),
        webhook.body
    );
    assert_eq!(attempt["webhook_id"], webhook.header("webhook-id"));

    let all = api.attempts(&format!("{HOOKS}/attempts"), 2).await;
    assert_eq!(all.len(), 2);
    let failed = api
        .attempts(&format!("{HOOKS}/attempts?result=failure"), 1)
        .await;
    assert_eq!(failed[0]["hook_id"], other);
    assert_eq!(failed[0]["client_error"], "econnrefused");
    for (filter, count) in [
        ("call_id=call-1", 2),
        ("call_id=call-2", 0),
        ("hook_event=channel_create", 2),
        ("hook_event=dtmf", 0),
        ("created_from=70000000000", 0),
        ("created_to=70000000000", 2),
        ("result=success&hook_event=channel_create&call_id=call-1", 1),
    ] {
        let found = api.call("GET", &format!("{HOOKS}/attempts?{filter}")).await;
        assert_eq!(found.data(200).as_array().unwrap().len(), count, "{filter}");
    }
    let first = api
        .call("GET", &format!("{HOOKS}/attempts?page_size=1"))
        .await;
    let key = first.body["next_start_key"].as_str().unwrap();
    let second = api
        .call(
            "GET",
            &format!("{HOOKS}/attempts?page_size=1&start_key={key}"),
        )
        .await;
    assert_ne!(first.data(200)[0]["id"], second.data(200)[0]["id"]);
    assert_eq!(second.body.get("next_start_key"), None);
    for query in [
        "result=lost",
        "hook_event=ring",
        "created_from=yesterday",
        "created_to=-1",
    ] {
        let refused = api.call("GET", &format!("{HOOKS}/attempts?{query}")).await;
        let field = query.split('=').next().unwrap();
        let data = refused.error(400, "validation error");
        assert!(data.get(field).is_some(), "{query}: {data}");
    }
}

#[tokio::test]
async fn the_catalogue_and_health_need_no_token_and_the_rest_does() {
    let mut api = Api::start().await;
    api.token.clear();
    let catalogue = api.call("GET", "/webhooks").await;
    let ids: Vec<&str> = (catalogue.data(200).as_array().unwrap().iter())
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    let all: Vec<&str> = Trigger::ALL.iter().map(|trigger| trigger.id()).collect();
    assert_eq!(ids, all);
    let health = api.answer(api.request("GET", "/health")).await;
    assert_eq!(health.data(200)["live"], true);
    let ready = api.answer(api.request("GET", "/health/ready")).await;
    assert_eq!(ready.data(200)["switch"]["connected"], true);

    let refused = api.call("GET", HOOKS).await;
    refused.error(401, "invalid_credentials");
    let bearer = api
        .request("GET", &format!("/v2{HOOKS}"))
        .header("Authorization", format!("Bearer {ADMIN}"));
    api.answer(bearer).await.data(200);
    let enclosed = json!({ "auth_token": ADMIN, "data": hook("enclosed") }).to_string();
    let made = api.send_text("PUT", HOOKS, enclosed).await;
    made.data(201);
    assert!(
        !made.body.to_string().contains(ADMIN),
        "the admin token was told"
    );
}

#[tokio::test]
async fn a_switch_that_is_gone_is_not_ready() {
    let api = Api::start_with(switchhook::api::SwitchHealth {
        last_error: Some("connection refused".into()),
        shed_events: 3,
        ..Default::default()
    })
    .await;
    let ready = api.answer(api.request("GET", "/health/ready")).await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.body["data"]["switch"]["last_error"],
        "connection refused"
    );
    assert_eq!(ready.body["data"]["switch"]["shed_events"], 3);
    assert_eq!(ready.body["data"]["store"]["working"], true);
}

#[tokio::test]
async fn a_verb_is_tunnelled_through_post_only() {
    let api = Api::start().await;
    let body = json!({ "data": hook("tunnelled"), "verb": "PUT" }).to_string();
    let made = api.send_text("POST", HOOKS, body).await;
    let id = made.data(201)["id"].as_str().unwrap();
    let patched = api
        .send(
            "POST",
            &format!("{}?verb=patch", at(id)),
            json!({ "retries": 0 }),
        )
        .await;
    assert_eq!(patched.data(200)["name"], "tunnelled");
    api.call("GET", &format!("{}?verb=DELETE", at(id)))
        .await
        .error(400, "validation error");
    api.call("POST", &format!("{}?verb=explode", at(id)))
        .await
        .error(400, "validation error");
    api.call("GET", &at(id)).await.data(200);
    api.call("POST", &format!("{}?verb=delete", at(id)))
        .await
        .data(200);
    api.call("GET", &at(id)).await.error(404, "bad_identifier");
}

#[tokio::test]
async fn an_auto_disabled_hook_says_why_and_is_enabled_again() {
    let api = Api::start().await;
    let mut failing = hook("fails");
    failing["retries"] = json!(0);
    let id = api.make_hook("default", failing).await;
    let mut off = hook("off by its owner");
    off["enabled"] = json!(false);
    let off = api.make_hook("default", off).await;
    for call in 0..6 {
        api.happens("default", &format!("call-{call}"), Trigger::ChannelCreate);
    }
    api.attempts(&format!("{HOOKS}/{id}/attempts?result=failure"), 6)
        .await;
    let mut changes = api.registry.changes();
    while api.registry.index().get("default", &id).unwrap().is_on() {
        changes.changed().await.unwrap();
    }
    let list = api.call("GET", HOOKS).await;
    let summary = &list.data(200)[0];
    assert_eq!(summary["enabled"], false);
    let reason = summary["disable_reason"].as_str().unwrap();
    assert!(reason.contains("6 failed attempts"), "{reason}");

    // A client that writes back what it has read changes nothing.
    let mut read = api.call("GET", &at(&id)).await.data(200).clone();
    read["description"] = json!("written back");
    let echoed = api.send("POST", &at(&id), read).await;
    assert_eq!(echoed.data(200)["disable_reason"], reason);

    api.send("PATCH", HOOKS, json!({}))
        .await
        .error(400, "validation error");
    let enabled = api.send("PATCH", HOOKS, json!({ "re-enable": true })).await;
    assert_eq!(
        enabled.data(200),
        &json!([id]),
        "only what was auto-disabled"
    );
    let read = api.call("GET", &at(&id)).await;
    assert_eq!(read.data(200)["enabled"], true);
    assert_eq!(read.data(200).get("disable_reason"), None);
    assert_eq!(api.call("GET", &at(&off)).await.data(200)["enabled"], false);
}

#[tokio::test]
async fn patches_of_different_fields_at_once_all_stay() {
    let api = std::sync::Arc::new(Api::start().await);
    let id = api.make_hook("default", hook("contended")).await;
    let patches = (0..32).map(|number| {
        let (api, id) = (std::sync::Arc::clone(&api), id.clone());
        tokio::spawn(async move {
            let mut patch = serde_json::Map::new();
            patch.insert(format!("field_{number}"), json!(number));
            api.send("PATCH", &at(&id), patch.into()).await.data(200);
        })
    });
    for patch in patches.collect::<Vec<_>>() {
        patch.await.unwrap();
    }
    let read = api.call("GET", &at(&id)).await;
    for number in 0..32 {
        assert_eq!(read.data(200)[format!("field_{number}")], number);
    }
    let stored = {
        let id = id.clone();
        api.store
            .read(move |connection| switchhook::store::hooks::get(connection, "default", &id))
            .await
            .unwrap()
            .unwrap()
    };
    let shown = api.registry.index().get("default", &id).unwrap();
    assert_eq!(
        shown.document, stored.document,
        "the index is as the store is"
    );
}

#[tokio::test]
async fn what_goes_into_every_request_has_bounds() {
    let api = Api::start().await;
    let path = "/accounts/default/webhooks";
    let hook = |data: usize, header: usize| {
        json!({"name": "large", "uri": "http://127.0.0.1:9/", "hook": "all",
            "custom_data": {"a": "x".repeat(data)},
            "custom_request_headers": {"X-A": "x".repeat(header)}})
    };
    let refused = api.send("PUT", path, hook(16_384, 8_192)).await;
    let data = refused.error(400, "validation error");
    assert_eq!(data["custom_data"]["maxLength"]["target"], 16_384);
    assert_eq!(data["custom_request_headers"]["maxLength"]["target"], 8_192);
    let id = api.make_hook("default", hook(16_376, 8_182)).await;
    let one = format!("{path}/{id}");
    let more = json!({"custom_data": {"b": "one more"}});
    let refused = api.send("PATCH", &one, more).await;
    assert!(refused.error(400, "validation error")["custom_data"].is_object());
    api.send("PATCH", &one, json!({"name": "renamed"}))
        .await
        .data(200);
}

#[tokio::test]
async fn a_page_of_large_attempts_ends_early_and_says_where_it_goes_on() {
    const EVENTS: usize = 300;
    let api = Api::start().await;
    let receiver = Receiver::start().await;
    let id = api
        .make_hook(
            "default",
            json!({"name": "large", "uri": receiver.uri("/"), "hook": "channel_create",
                "custom_data": {"a": "x".repeat(16_000)}}),
        )
        .await;
    for call in 0..EVENTS {
        api.happens("default", &format!("call-{call}"), Trigger::ChannelCreate);
    }
    let path = format!("/accounts/default/webhooks/{id}");
    loop {
        let stats = api.call("GET", &format!("{path}/stats")).await;
        if stats.data(200)["sent"] == EVENTS {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let first = api
        .call("GET", &format!("{path}/attempts?page_size=1000"))
        .await;
    let count = first.data(200).as_array().unwrap().len();
    assert!((200..EVENTS).contains(&count), "{count} on the first page");
    let next = first.body["next_start_key"].as_str().unwrap();
    let path = format!("{path}/attempts?page_size=1000&start_key={next}");
    let rest = api.call("GET", &path).await;
    assert_eq!(rest.data(200).as_array().unwrap().len(), EVENTS - count);
    assert_eq!(rest.body.get("next_start_key"), None);
}

#[tokio::test]
async fn nobody_finds_a_password_out_by_searching_for_it() {
    let api = Api::start().await;
    let mut nats = hook("Bus");
    nats["uri"] = json!("nats://calls:s3cret@127.0.0.1:4222/calls");
    let id = api.make_hook("default", nats).await;
    for (search, found) in [("s3c", 0), (":s3cret@", 0), ("127.0.0.1:4222", 1)] {
        let path = format!("{HOOKS}?search={search}");
        let listed = api.call("GET", &path).await;
        let listed = listed.data(200).as_array().unwrap();
        assert_eq!(listed.len(), found, "{search}");
        assert!(listed.iter().all(|hook| hook["id"] == id));
    }
}

#[tokio::test]
async fn hooks_are_listed_and_switched_on_though_another_one_cannot_be_read() {
    let api = Api::start().await;
    let bad = api.make_hook("default", hook("bad")).await;
    let good = api.make_hook("default", hook("good")).await;
    api.store
        .write(move |tx| {
            tx.execute("UPDATE hooks SET disable_reason = 'it failed'", ())?;
            let damage = "UPDATE hooks SET document = '{}' WHERE id = ?";
            Ok(tx.execute(damage, [&bad])?)
        })
        .await
        .unwrap();
    let listed = api.call("GET", HOOKS).await;
    assert_eq!(listed.data(200).as_array().unwrap().len(), 1);
    assert_eq!(listed.data(200)[0]["id"], good);
    let again = json!({ "re-enable": true });
    let enabled = api.send("PATCH", HOOKS, again).await;
    assert_eq!(enabled.data(200), &json!([good]));
}
