//! Bad input: every request is refused clearly or its connection is closed, and nothing changes.

mod support;

use serde_json::json;
use support::api::{ADMIN, Api};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HOOKS: &str = "/accounts/default/webhooks";

/// What the server says to bytes as they stand, until it closes the connection.
async fn raw(api: &Api, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes.as_ref()).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(std::time::Duration::from_secs(20), read).await;
    // A reset closes a connection too.
    let _ = read.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn hooks(api: &Api) -> usize {
    let list = api.call("GET", HOOKS).await;
    list.data(200).as_array().unwrap().len()
}

#[tokio::test]
async fn a_body_that_is_no_good_is_refused_with_its_place() {
    let api = Api::start().await;
    let good = r#"{"data":{"name":"a","uri":"http://x/","hook":"all"}}"#;
    let deep = format!("{{\"data\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (body, field, words) in [
        (
            "{\"data\": {\n  \"name\": }",
            "json",
            "expected value at line 2 column 11",
        ),
        ("", "data", "required"),
        ("[]", "body", "object"),
        ("\"text\"", "body", "object"),
        ("{}", "data", "required"),
        ("{\"data\": 1}", "data", "object"),
        ("{\"data\": []}", "data", "object"),
        ("{\"data\": null}", "data", "object"),
        ("{\"data\": {}, \"data\": {}}", "json", "occurs twice"),
        (
            "{\"data\": {\"name\": \"a\", \"name\": \"b\"}}",
            "json",
            "occurs twice",
        ),
        ("{\"data\": {\"name\": \"a\\u0000\"}}", "json", "NUL"),
        ("{\"data\": {\"name\": \"\\udc00\"}}", "json", "line 1"),
        ("{\"data\": {}, \"verb\": 5}", "verb", "string"),
        ("{\"data\": {}, \"auth_token\": {}}", "auth_token", "string"),
        (&deep, "json", "recursion limit"),
    ] {
        let refused = api.send_text("PUT", HOOKS, body.to_owned()).await;
        let data = refused.error(400, "validation error");
        let said = data[field].to_string();
        assert!(said.contains(words), "{body:.40}: {data}");
    }
    let bytes = vec![0xff, 0xfe, b'{', b'}'];
    api.send_text("PUT", HOOKS, bytes)
        .await
        .error(400, "validation error");
    let form = api
        .request("PUT", &format!("/v2{HOOKS}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(good);
    api.answer(form).await.error(415, "invalid_content_type");
    let large = format!("{{\"data\":{{\"name\":\"{}\"}}}}", "x".repeat(1 << 20));
    api.send_text("PUT", HOOKS, large)
        .await
        .error(413, "request_entity_too_large");
    assert_eq!(hooks(&api).await, 0);
    api.send_text("PUT", HOOKS, good).await.data(201);
}

#[tokio::test]
async fn ids_are_looked_up_and_nothing_else() {
    let api = Api::start().await;
    let id = api
        .make_hook(
            "default",
            json!({ "name": "a", "uri": "http://127.0.0.1:9/", "hook": "all" }),
        )
        .await;
    for strange in [
        "%00",
        "a%2Fb",
        "..%2F..%2Fetc%2Fpasswd",
        "%ff%fe",
        "9223372036854775808",
        "-1",
        "'%20OR%20'1'%3D'1",
        "%22;DROP%20TABLE%20hooks;--",
        "%0d%0aX-Injected:%20yes",
        "%F0%9F%92%A9",
        &"x".repeat(4_000),
    ] {
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            let path = format!("{HOOKS}/{strange}");
            let body = json!({ "name": "b", "uri": "http://127.0.0.1:9/", "hook": "all" });
            let refused = api.send(method, &path, body).await;
            refused.error(404, "bad_identifier");
            assert_eq!(refused.header("X-Injected"), "");
        }
        let refused = api
            .call("GET", &format!("/accounts/{strange}/webhooks"))
            .await;
        refused.error(404, "bad_identifier");
        let attempts = api
            .call("GET", &format!("{HOOKS}/{id}/attempts?call_id={strange}"))
            .await;
        assert_eq!(attempts.data(200), &json!([]));
    }
    api.call("GET", "/nothing/here")
        .await
        .error(404, "bad_identifier");
    for path in [
        "/v2/accounts/default/webhooks/..",
        "/v2/../v2/webhooks",
        "//v2/webhooks",
        "*",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nX-Auth-Token: {ADMIN}\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(&api, request).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
    assert_eq!(hooks(&api).await, 1);
}

#[tokio::test]
async fn a_method_that_is_not_there_is_told_which_are() {
    let api = Api::start().await;
    let refused = api.call("DELETE", HOOKS).await;
    refused.error(405, "method_not_allowed");
    let mut allowed: Vec<&str> = refused.header("Allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "PATCH", "PUT"]);
    let refused = api.call("TRACE", HOOKS).await;
    refused.error(405, "method_not_allowed");
}

#[tokio::test]
async fn a_request_id_is_given_back_where_it_is_a_decent_one() {
    let api = Api::start().await;
    let named = api
        .request("GET", &format!("/v2{HOOKS}"))
        .header("X-Request-ID", "trace-17");
    let answer = api.answer(named).await;
    assert_eq!(answer.body["request_id"], "trace-17");
    assert_eq!(answer.header("X-Request-ID"), "trace-17");
    for indecent in ["", " ", &"x".repeat(129), "a\"b c"] {
        let request = api
            .request("GET", &format!("/v2{HOOKS}"))
            .header("X-Request-ID", indecent);
        let answer = api.answer(request).await;
        let id = answer.body["request_id"].as_str().unwrap();
        assert_eq!(id.len(), 32, "{id}");
        assert_eq!(answer.header("X-Request-ID"), id);
    }
}

#[tokio::test]
async fn heads_that_are_too_large_or_malformed_close_the_connection() {
    let api = Api::start().await;
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = "x".repeat(200_000);
    for head in [
        format!("GET /v2/webhooks HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        format!("GET /v2/webhooks HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /v2/webhooks?x={long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        "GET /v2/webhooks HTTP/1.1\r\nHost: a\r\nX-Bad: a\0b\r\n\r\n".into(),
        "GET /v2/webhooks HTTP/9.9\r\n\r\n".into(),
        "\u{16}\u{3}\u{1} this is TLS\r\n\r\n".into(),
        "PUT /v2/api_auth HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}".into(),
        "PUT /v2/api_auth HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n".into(),
    ] {
        let answer = raw(&api, &head).await;
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{head:.60}: {answer:.200}");
    }
    assert_eq!(hooks(&api).await, 0);
}

#[tokio::test]
async fn who_drips_his_request_is_hung_up_on() {
    let api = Api::start().await;
    hooks(&api).await;
    // From here on only the server's own patience makes time go by.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let mut dripping = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            .await
            .unwrap();
        dripping.push(stream);
    }
    let mut body = TcpStream::connect(api.address).await.unwrap();
    body.write_all(b"PUT /v2/api_auth HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{")
        .await
        .unwrap();
    for stream in &mut dripping {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"));
    }
    let mut answer = [0; 12];
    body.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(began.elapsed() <= std::time::Duration::from_secs(31));
}

#[tokio::test]
async fn http_1_0_and_pipelining_are_answered_in_order() {
    let api = Api::start().await;
    let old = raw(&api, "GET /health HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200"), "{old}");
    let auth = format!("Host: a\r\nX-Auth-Token: {ADMIN}\r\n");
    let pipelined = format!(
        "GET /v2/accounts/default HTTP/1.1\r\n{auth}X-Request-ID: one\r\n\r\n\
         GET /v2/accounts/nobody HTTP/1.1\r\n{auth}X-Request-ID: two\r\n\r\n\
         GET /health HTTP/1.1\r\n{auth}X-Request-ID: three\r\nConnection: close\r\n\r\n"
    );
    let answers = raw(&api, pipelined).await;
    let place = |text: &str| {
        answers
            .find(text)
            .unwrap_or_else(|| panic!("{text} in {answers}"))
    };
    assert!(place("\"request_id\":\"one\"") < place("\"request_id\":\"two\""));
    assert!(place("\"request_id\":\"two\"") < place("\"request_id\":\"three\""));
    assert!(answers.contains("HTTP/1.1 404"));
}

#[tokio::test]
async fn nothing_secret_is_told_to_anybody() {
    let api = Api::start().await;
    let made = api
        .send(
            "PUT",
            HOOKS,
            json!({ "name": "a", "uri": "http://127.0.0.1:9/", "hook": "channel_create", "retries": 0,
                    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                    "custom_request_headers": { "Authorization": "Bearer hunter2" } }),
        )
        .await;
    let id = made.data(201)["id"].as_str().unwrap().to_owned();
    api.call("PUT", &format!("{HOOKS}/{id}/test"))
        .await
        .data(201);
    for path in [
        HOOKS.to_owned(),
        format!("{HOOKS}/{id}/stats"),
        format!("{HOOKS}/attempts"),
        "/accounts".to_owned(),
    ] {
        let text = api.call("GET", &path).await.body.to_string();
        assert!(!text.contains("MfKQ9r8G"), "{path}");
        assert!(!text.contains("hunter2"), "{path}");
        assert!(!text.contains(ADMIN), "{path}");
    }
    let read = api
        .call("GET", &format!("{HOOKS}/{id}"))
        .await
        .body
        .to_string();
    assert!(!read.contains("MfKQ9r8G"));
}

#[tokio::test]
async fn a_web_page_may_use_the_api_where_its_origin_is_listed() {
    let api = Api::start().await;
    let ask = |origin: &str| {
        api.request("OPTIONS", &format!("/v2{HOOKS}"))
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "PATCH")
    };
    let allowed = api.answer(ask("https://ui.example")).await;
    assert_eq!(allowed.status, 204);
    assert_eq!(
        allowed.header("Access-Control-Allow-Origin"),
        "https://ui.example"
    );
    assert!(
        allowed
            .header("Access-Control-Allow-Methods")
            .contains("PATCH")
    );
    let refused = api.answer(ask("https://ui.example.evil")).await;
    refused.error(405, "method_not_allowed");
    assert_eq!(refused.header("Access-Control-Allow-Origin"), "");
    for (origin, shown) in [("https://ui.example", "https://ui.example"), ("null", "")] {
        let request = api
            .request("GET", &format!("/v2{HOOKS}"))
            .header("Origin", origin);
        let read = api.answer(request).await;
        read.data(200);
        assert_eq!(read.header("Access-Control-Allow-Origin"), shown);
    }
}
