//! Ids that whoever makes something may choose, so that it has the same on every server.

mod support;

use serde_json::{Value, json};
use support::api::Api;
use support::receiver::{Behaviour, Receiver};
use switchhook::trigger::Trigger;

fn hook(uri: &str) -> Value {
    json!({ "name": "calls", "uri": uri, "hook": "channel_create", "retries": 4, "format": "json" })
}

fn flow() -> Value {
    json!({ "flow": { "module": "hangup" } })
}

#[tokio::test]
async fn an_admin_chooses_ids_and_each_is_given_once() {
    let api = Api::start().await;
    let uri = "http://127.0.0.1:9/";
    for (path, data) in [
        ("/accounts", json!({ "name": "Acme" })),
        ("/accounts/default", json!({ "name": "Below" })),
        ("/accounts/default/webhooks", hook(uri)),
        ("/accounts/default/callflows", flow()),
    ] {
        let made = format!("{path}?id=mine{}", path.len());
        let id = format!("mine{}", path.len());
        let answer = api.send("PUT", &made, data.clone()).await;
        assert_eq!(answer.data(201)["id"], id, "{path}");
        let again = api.send("PUT", &made, data.clone()).await;
        assert!(again.error(409, "conflict").to_string().contains(&id));
        for bad in ["a%2Fb", "-a", "%20", "attempts", &"x".repeat(65)] {
            let answer = api
                .send("PUT", &format!("{path}?id={bad}"), data.clone())
                .await;
            assert!(answer.error(400, "validation error")["id"]["format"].is_object());
        }
        // What a client has read and writes elsewhere is a copy, as ever.
        let mut copy = data.clone();
        copy["id"] = json!(id);
        assert_ne!(api.send("PUT", path, copy).await.data(201)["id"], id);
    }
    let children = api.call("GET", "/accounts/default/children").await;
    assert_eq!(children.data(200)[0]["id"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn a_customer_gets_ids_that_we_make() {
    let mut api = Api::start().await;
    let token = api.call("PUT", "/accounts/default/tokens").await;
    api.token = token.data(201)["token"].as_str().unwrap().to_owned();
    let path = "/accounts/default/webhooks?id=mine";
    let answer = api.send("PUT", path, hook("http://127.0.0.1:9/")).await;
    answer.error(403, "forbidden");
}

#[tokio::test]
async fn who_gets_the_id_of_a_deleted_hook_gets_nothing_else_of_it() {
    let api = Api::start().await;
    let mut receiver = Receiver::start().await;
    // The first is under way for ever; the second of the call waits for it.
    receiver.behave(Behaviour::Stall);
    let path = "/accounts/default/webhooks";
    let made = format!("{path}?id=calls");
    api.send("PUT", &made, hook(&receiver.uri("/old")))
        .await
        .data(201);
    api.happens("default", "call-1", Trigger::ChannelCreate);
    api.happens("default", "call-1", Trigger::ChannelCreate);
    receiver.next().await;
    api.call("DELETE", &format!("{path}/calls")).await.data(200);
    receiver.behave(Behaviour::status(204));
    api.send("PUT", &made, hook(&receiver.uri("/new")))
        .await
        .data(201);
    api.happens("default", "call-2", Trigger::ChannelCreate);

    let request = receiver.next().await;
    assert_eq!(
        (request.target.as_str(), request.field("call_id")),
        ("/new", "call-2".into())
    );
    let own = api.attempts(&format!("{path}/calls/attempts"), 1).await;
    assert!(
        own.iter().all(|attempt| attempt["call_id"] == "call-2"),
        "{own:#?}"
    );
    // Of the old one it is still told what became of it.
    let all = api.attempts(&format!("{path}/attempts"), 2).await;
    let ended = all
        .iter()
        .find(|attempt| attempt["call_id"] == "call-1")
        .unwrap();
    assert_ne!(ended["hook_id"], "calls", "{ended:#}");
    assert!(receiver.rest().is_empty());
}

#[tokio::test]
async fn a_deleted_hook_takes_nobodys_id_when_it_gives_its_own_away() {
    let api = Api::start().await;
    let path = "/accounts/default/webhooks";
    for id in ["calls", "calls-1"] {
        api.send(
            "PUT",
            &format!("{path}?id={id}"),
            hook("http://127.0.0.1:9/"),
        )
        .await
        .data(201);
    }
    api.call("DELETE", &format!("{path}/calls")).await.data(200);
    let again = api
        .send(
            "PUT",
            &format!("{path}?id=calls"),
            hook("http://127.0.0.1:9/"),
        )
        .await;
    assert_eq!(again.data(201)["id"], "calls");
}
