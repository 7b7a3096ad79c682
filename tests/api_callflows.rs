//! Callflows over REST: written, refused, found again, and walked without a call.

mod support;

use serde_json::{Value, json};
use support::api::Api;

const ALL: &str = "/accounts/default/callflows";

/// The example of the documents.
fn missed_call(numbers: &[&str]) -> Value {
    json!({
        "name": "Missed call",
        "numbers": numbers,
        "flow": {"module": "device", "data": {"id": "1001"},
            "children": {"_": {"module": "webhook", "data": {"uri": "http://my.ser.ver/frontdesk/missed_call"},
                "children": {"_": {"module": "voicemail", "data": {"id": "1001"}}}}}},
    })
}

async fn make(api: &Api, callflow: Value) -> String {
    let made = api.send("PUT", ALL, callflow).await;
    made.data(201)["id"].as_str().unwrap().to_owned()
}

fn one(id: &str) -> String {
    format!("{ALL}/{id}")
}

#[tokio::test]
async fn a_callflow_is_made_read_changed_and_deleted() {
    let api = Api::start().await;
    let mut written = missed_call(&["+1 (000) 555-9999"]);
    written["id"] = json!("mine");
    written["ui_metadata"] = json!({"color": "blue"});
    let made = api.send("PUT", ALL, written.clone()).await;
    let callflow = made.data(201);
    let id = callflow["id"].as_str().unwrap().to_owned();
    assert_ne!(id, "mine");
    for field in ["name", "numbers", "flow", "ui_metadata"] {
        assert_eq!(callflow[field], written[field], "kept as it was written");
    }
    assert!(callflow["created"].as_u64().unwrap() > 63_900_000_000);
    let read = api.call("GET", &one(&id)).await;
    assert_eq!(read.data(200), callflow);
    assert_eq!(read.body["revision"], made.body["revision"]);

    // Merged as a webhook is: what is not said stays, null removes.
    let patch = json!({"ui_metadata": null, "flow": {"data": {"timeout": 30}}});
    let patched = api.send("PATCH", &one(&id), patch).await;
    let data = patched.data(200);
    assert_eq!(data["flow"]["data"], json!({"id": "1001", "timeout": 30}));
    assert_eq!(data["flow"]["children"], written["flow"]["children"]);
    assert_eq!(data.get("ui_metadata"), None);
    assert_ne!(patched.body["revision"], made.body["revision"]);

    let hangup = json!({"flow": {"module": "hangup"}});
    let replaced = api.send("POST", &one(&id), hangup).await;
    let data = replaced.data(200);
    assert_eq!((&data["numbers"], data.get("name")), (&json!([]), None));
    assert_eq!(data["created"], callflow["created"]);
    // Its number is free again.
    make(&api, missed_call(&["+10005559999"])).await;

    let deleted = api.call("DELETE", &one(&id)).await;
    assert_eq!(deleted.data(200)["flow"], json!({"module": "hangup"}));
    for method in ["GET", "DELETE"] {
        let gone = api.call(method, &one(&id)).await;
        assert_eq!(gone.error(404, "bad_identifier")["cause"], id);
    }
    for method in ["POST", "PATCH"] {
        api.send(method, &one(&id), missed_call(&[]))
            .await
            .error(404, "bad_identifier");
    }
}

#[tokio::test]
async fn every_mistake_is_named_with_its_path_and_changes_nothing() {
    let api = Api::start().await;
    let id = make(&api, missed_call(&["1001"])).await;
    let before = api.call("GET", &one(&id)).await.data(200).clone();
    let wrong = json!({
        "numbers": ["+1555", "reception", 7],
        "flow": {"module": "device", "data": {"id": "1001", "timeout": "long"},
            "children": {"_": {"module": "webhok", "data": {}},
                "busy": {"module": "webhook", "data": {"uri": "ftp://a/", "retries": 9}}}},
    });
    for (method, path) in [("PUT", ALL), ("POST", &one(&id)), ("PATCH", &one(&id))] {
        let refused = api.send(method, path, wrong.clone()).await;
        let mistakes = refused.error(400, "validation error");
        for (field, rule) in [
            ("numbers.1", "format"),
            ("numbers.2", "format"),
            ("flow.data.timeout", "type"),
            ("flow.children._.module", "enum"),
            ("flow.children.busy", "additionalProperties"),
            ("flow.children.busy.data.retries", "maximum"),
        ] {
            let message = &mistakes[field][rule]["message"];
            assert!(
                message.is_string(),
                "{method}: {field} {rule}: {mistakes:#}"
            );
        }
        assert!(mistakes["flow.children.busy.data.uri"].is_object());
    }
    let refused = api.send("PUT", ALL, json!({"numbers": []})).await;
    let mistakes = refused.error(400, "validation error");
    assert!(mistakes["flow"]["required"].is_object());
    // The patch alone is right, what comes of it is not.
    let patch = json!({"flow": {"data": {"id": null}}});
    let refused = api.send("PATCH", &one(&id), patch).await;
    let mistakes = refused.error(400, "validation error");
    assert!(mistakes["flow.data.id"]["required"].is_object());

    assert_eq!(*api.call("GET", &one(&id)).await.data(200), before);
    let listed = api.call("GET", ALL).await;
    assert_eq!(listed.data(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_number_belongs_to_one_callflow_of_an_account() {
    let api = Api::start().await;
    let first = make(&api, missed_call(&["+10005559999", "no_match"])).await;
    let taken = missed_call(&["+15550001111", "1-000-555-9999", "no_match"]);
    let refused = api.send("PUT", ALL, taken).await;
    let mistakes = refused.error(409, "conflict");
    for field in ["numbers.1", "numbers.2"] {
        let message = mistakes[field]["unique"]["message"].as_str().unwrap();
        assert!(message.contains(&first), "{message}");
    }
    // Nothing of it was kept: the number that was free still is.
    let second = make(&api, missed_call(&["+15550001111"])).await;
    let patch = json!({"numbers": ["+15550001111", "+10005559999"]});
    let refused = api.send("PATCH", &one(&second), patch).await;
    assert!(refused.error(409, "conflict")["numbers.1"]["unique"].is_object());
    let read = api.call("GET", &one(&second)).await;
    assert_eq!(read.data(200)["numbers"], json!(["+15550001111"]));
    // A callflow does not stand in its own way, nor in that of another account.
    let same = missed_call(&["10005559999", "+1 000 555 9999"]);
    api.send("POST", &one(&first), same).await.data(200);
    let other = api.make_account("default", "Other").await;
    let path = format!("/accounts/{other}/callflows");
    let made = api.send("PUT", &path, missed_call(&["+10005559999"])).await;
    let foreign = made.data(201)["id"].as_str().unwrap().to_owned();
    api.call("GET", &one(&foreign))
        .await
        .error(404, "bad_identifier");
    api.call("DELETE", &one(&foreign))
        .await
        .error(404, "bad_identifier");
    // An account with callflows is not deleted by accident.
    let account = format!("/accounts/{other}");
    api.call("DELETE", &account).await.error(409, "conflict");
    api.call("DELETE", &format!("{path}/{foreign}"))
        .await
        .data(200);
    api.call("DELETE", &account).await.data(200);
}

#[tokio::test]
async fn callflows_come_in_pages_and_in_short() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for number in ["1", "2", "3"] {
        made.push(make(&api, missed_call(&[number])).await);
    }
    let first = api.call("GET", &format!("{ALL}?page_size=2")).await;
    let page = first.data(200).as_array().unwrap();
    assert_eq!(page.len(), 2);
    assert_eq!(page[0]["id"], made[0]);
    assert_eq!(page[0]["name"], "Missed call");
    assert_eq!(page[0]["numbers"], json!(["1"]));
    assert_eq!(
        page[0]["modules"],
        json!(["device", "webhook", "voicemail"])
    );
    assert_eq!(page[0]["nodes"], 3);
    assert_eq!(page[0].get("flow"), None);
    let key = first.body["next_start_key"].as_str().unwrap();
    let path = format!("{ALL}?page_size=2&start_key={key}");
    let second = api.call("GET", &path).await;
    assert_eq!(second.data(200)[0]["id"], made[2]);
    assert_eq!(second.body.get("next_start_key"), None);
    api.call("GET", &format!("{ALL}?start_key=nobody"))
        .await
        .error(404, "bad_identifier");
    api.call("GET", &format!("{ALL}?page_size=0"))
        .await
        .error(400, "validation error");
}

#[tokio::test]
async fn a_callflow_is_found_by_name_and_number() {
    let api = Api::start().await;
    for (name, number) in [
        ("Empfang Süd", "+1 (000) 555-9999"),
        ("Night", "no_match"),
        ("Empfang NORD", "2000"),
    ] {
        let mut callflow = missed_call(&[number]);
        callflow["name"] = json!(name);
        make(&api, callflow).await;
    }
    let found = async |text: &str| {
        let path = format!("{ALL}?search={text}");
        let answer = api.call("GET", &path).await;
        let page = answer.data(200).as_array().unwrap();
        let names = page.iter().map(|callflow| callflow["name"].clone());
        names.collect::<Value>()
    };
    assert_eq!(
        found("empfang").await,
        json!(["Empfang Süd", "Empfang NORD"])
    );
    assert_eq!(found("S%C3%9CD").await, json!(["Empfang Süd"]));
    assert_eq!(found("5559999").await, json!(["Empfang Süd"]));
    assert_eq!(found("%2B1-000-555").await, json!(["Empfang Süd"]));
    assert_eq!(found("no_match").await, json!(["Night"]));
    assert_eq!(found("night2000").await, json!([]));

    // Pages are of what is found.
    let first = api
        .call("GET", &format!("{ALL}?search=empfang&page_size=1"))
        .await;
    assert_eq!(first.data(200).as_array().unwrap().len(), 1);
    let key = first.body["next_start_key"].as_str().unwrap();
    let path = format!("{ALL}?search=empfang&page_size=1&start_key={key}");
    let second = api.call("GET", &path).await;
    assert_eq!(second.data(200)[0]["name"], "Empfang NORD");
    assert_eq!(second.body.get("next_start_key"), None);
}

#[tokio::test]
async fn the_catalogue_says_what_a_callflow_is_built_of() {
    let mut api = Api::start().await;
    api.token.clear();
    let answer = api.call("GET", "/callflows/modules").await;
    let catalogue = answer.data(200).as_array().unwrap();
    assert_eq!(catalogue.len(), switchhook::callflow::modules().len());
    let entry = |id: &str| catalogue.iter().find(|module| module["id"] == id).unwrap();
    let webhook = entry("webhook");
    assert_eq!(webhook["category"], "Advanced");
    assert_eq!(webhook["data"]["required"], json!(["uri"]));
    assert_eq!(webhook["data"]["properties"]["retries"]["maximum"], 4);
    assert_eq!(webhook["data"]["properties"]["retries"]["default"], 2);
    let keys = |id: &str| {
        let keys = entry(id)["children"]["keys"].as_array().unwrap();
        keys.iter().map(|key| key["id"].clone()).collect::<Value>()
    };
    assert_eq!(keys("webhook"), json!(["success", "failure", "_"]));
    assert_eq!(keys("device"), json!(["_"]));
    assert_eq!(entry("menu")["children"]["digits"], true);
    assert_eq!(entry("hangup")["children"]["ends"], true);
    let endpoint = &entry("ring_group")["data"]["properties"]["endpoints"]["items"];
    assert_eq!(endpoint["required"], json!(["id"]));
    assert_eq!(endpoint["properties"]["delay"]["maximum"], 600);
}

#[tokio::test]
async fn only_the_accounts_own_tokens_reach_them() {
    let mut api = Api::start().await;
    let id = make(&api, missed_call(&["1001"])).await;
    let stranger = api.make_account("default", "Stranger").await;
    let made = api
        .call("PUT", &format!("/accounts/{stranger}/tokens"))
        .await;
    api.token = made.data(201)["token"].as_str().unwrap().to_owned();
    for path in [ALL, &one(&id)] {
        api.call("GET", path).await.error(403, "forbidden");
    }
    let test = json!({"call": {}});
    api.send("PUT", &format!("{}/test", one(&id)), test)
        .await
        .error(403, "forbidden");
    api.token.clear();
    api.call("GET", ALL).await.error(401, "invalid_credentials");
}

#[tokio::test]
async fn a_callflow_is_walked_without_a_call() {
    let api = Api::start().await;
    let id = make(&api, missed_call(&["1001"])).await;
    let test = format!("{}/test", one(&id));
    let call = json!({"call": {"answered": false, "domain": "pbx.test"}});
    let missed = api.send("PUT", &test, call).await;
    assert_eq!(
        missed.data(200)["steps"],
        json!([
            {"path": "flow", "module": "device", "applications": ["bridge [leg_timeout=20]user/1001@pbx.test"],
             "note": "not answered", "next": "_"},
            {"path": "flow.children._", "module": "webhook",
             "webhook": "POST http://my.ser.ver/frontdesk/missed_call", "next": "_"},
            {"path": "flow.children._.children._", "module": "voicemail",
             "applications": ["answer", "voicemail default pbx.test 1001"], "next": null},
        ])
    );
    let call = json!({"call": {"answered": "1001"}});
    let answered = api.send("PUT", &test, call).await;
    assert_eq!(answered.data(200)["steps"].as_array().unwrap().len(), 1);
    let attempts = api.call("GET", "/accounts/default/webhooks/attempts").await;
    assert_eq!(*attempts.data(200), json!([]), "nothing is sent");

    // What is about to be stored can be walked before.
    let flow = json!({"module": "hangup"});
    let written = api
        .send("PUT", &test, json!({"call": {}, "flow": flow}))
        .await;
    let steps = &written.data(200)["steps"];
    assert_eq!(steps[0]["applications"], json!(["hangup NORMAL_CLEARING"]));
    let wrong =
        json!({"call": {}, "flow": {"module": "hangup", "children": {"_": {"module": "play"}}}});
    let refused = api.send("PUT", &test, wrong).await;
    let mistakes = refused.error(400, "validation error");
    assert!(mistakes["flow.children._.data.file"]["required"].is_object());
    let stored = api.call("GET", &one(&id)).await;
    assert_eq!(stored.data(200)["flow"]["module"], "device");

    for (data, field) in [
        (json!({}), "call"),
        (json!({"call": "now"}), "call"),
        (json!({"call": {"answered": ["1001"]}}), "call.answered"),
        (json!({"call": {"digits": [1]}}), "call.digits"),
        (json!({"call": {"digits": 12}}), "call.digits"),
        (json!({"call": {"webhook": "lost"}}), "call.webhook"),
        (json!({"call": {"domain": 1}}), "call.domain"),
    ] {
        let refused = api.send("PUT", &test, data).await;
        let mistakes = refused.error(400, "validation error");
        assert!(mistakes[field].is_object(), "{field}: {mistakes:#}");
    }
    let path = format!("{}/test", one("nothing"));
    let call = json!({"call": {}});
    api.send("PUT", &path, call)
        .await
        .error(404, "bad_identifier");
}

#[tokio::test]
async fn the_description_knows_every_module() {
    let api = Api::start().await;
    let description = api.answer(api.request("GET", "/openapi.json")).await;
    let path = "/v2/accounts/{account_id}/callflows/{callflow_id}/test";
    assert!(description.body["paths"][path]["put"].is_object());
    let schemas = &description.body["components"]["schemas"];
    let nodes = schemas["FlowNode"]["oneOf"].as_array().unwrap();
    for module in switchhook::callflow::modules() {
        let name = format!("FlowNode.{}", module.id);
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        assert!(nodes.contains(&reference), "{name}");
        let data = &schemas[&name]["properties"]["data"]["properties"];
        for field in module.fields {
            assert!(
                data[field.name]["description"].is_string(),
                "{name}: {data}"
            );
        }
    }
}
