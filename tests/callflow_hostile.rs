//! Servers that are asked for instructions while a caller waits, and do their worst: the caller waits no longer
//! than agreed, the daemon reads no more than it may, and nothing is run that is no instruction.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::caller::{End, Story};
use support::receiver::{Behaviour, Receiver};
use support::stage::{Stage, caller};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

const MIB: u64 = 1024 * 1024;

/// What a server does when it was asked.
#[derive(Debug, Clone)]
enum Manner {
    /// Says this and closes.
    Says(Vec<u8>),
    /// Says this and keeps the connection.
    Holds(&'static str),
    /// Says this, then the other every ten seconds.
    Drips(&'static str, &'static str),
    /// Says this, then the other for ever, as fast as it is taken.
    Pours(&'static str, Vec<u8>),
}

/// A server of that manner, and what it sees.
struct Server {
    address: SocketAddr,
    /// Bytes that it could write.
    wrote: Arc<AtomicU64>,
    /// Connections that it has.
    has: watch::Receiver<usize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wrote = Arc::<AtomicU64>::default();
        let (count, has) = watch::channel(0);
        let counter = Arc::clone(&wrote);
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.send_modify(|has| *has += 1);
                let (manner, counter, count) =
                    (manner.clone(), Arc::clone(&counter), count.clone());
                connections.spawn(async move {
                    // It ends when the client has had enough.
                    let _ = serve(stream, manner, &counter).await;
                    count.send_modify(|has| *has -= 1);
                });
            }
        });
        Self {
            address,
            wrote,
            has,
            serving,
        }
    }

    fn uri(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it could write until it had no connection any more.
    async fn wrote(&mut self) -> u64 {
        let left = self.has.wait_for(|has| *has == 0);
        let left = tokio::time::timeout(Duration::from_secs(20), left).await;
        left.expect("the daemon never closes the connection")
            .unwrap();
        self.wrote.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, wrote: &AtomicU64) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
    }
    match manner {
        Manner::Says(text) => stream.write_all(&text).await,
        Manner::Holds(text) => {
            stream.write_all(text.as_bytes()).await?;
            // Until the client has gone.
            stream.read_buf(&mut asked).await.map(|_| ())
        }
        Manner::Drips(head, drop) => {
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(drop.as_bytes()).await?;
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        }
        Manner::Pours(head, what) => {
            stream.write_all(head.as_bytes()).await?;
            loop {
                let written = stream.write(&what).await?;
                wrote.fetch_add(written as u64, Ordering::Relaxed);
            }
        }
    }
}

fn play(file: &str) -> Value {
    json!({"module": "play", "data": {"file": file, "answer": false}})
}

/// What happens to a caller whose flow asks `uri`, and waits for the answer so long.
async fn ask(stage: &Stage, uri: &str, wait_ms: u64) -> Story {
    let flow = json!({"module": "webhook",
        "data": {"uri": uri, "http_verb": "get", "retries": 0, "wait_ms": wait_ms},
        "children": {"success": play("yes"), "failure": play("no")}});
    let id = stage.store(&[], flow).await;
    let story = stage.dial(caller(&format!("callflow/{id}"))).await;
    assert_eq!(story.end, End::HandedBack);
    story
}

/// What was run, and the words for how it went.
fn outcome(story: &Story) -> (Vec<&str>, [&str; 3]) {
    let variables = ["callflow_result", "webhook_result", "webhook_status"];
    (
        story.ran.iter().map(String::as_str).collect(),
        variables.map(|name| story.variable(name)),
    )
}

#[tokio::test]
async fn whoever_keeps_the_connection_does_not_keep_the_caller() {
    // The request itself goes on for longer than any caller here.
    let stage = Stage::with(&[("DELIVERY__REQUEST_TIMEOUT_MS", "60000")]).await;
    for manner in [
        Manner::Holds(""),
        Manner::Holds("HTTP/1.1 200 OK\r\nContent-"),
        Manner::Holds("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"),
        Manner::Holds(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{\"module\":\"hangup\"}\r\n",
        ),
        Manner::Holds("HTTP/1.0 200 OK\r\n\r\n{\"module\": \"hangup\"}"),
        Manner::Drips("", "H"),
        Manner::Drips("", "HTTP/1.1 100 Continue\r\n\r\n"),
        Manner::Drips("HTTP/1.1 200 OK\r\n", "X-More: to come\r\n"),
        Manner::Drips("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n", "{"),
    ] {
        let server = Server::start(manner.clone()).await;
        let story = ask(&stage, &server.uri(), 300).await;
        assert_eq!(
            outcome(&story),
            (vec!["playback(no)"], ["done", "timeout", ""]),
            "{manner:?}"
        );
        assert_eq!(*server.has.borrow(), 1, "it still has the connection");
        let waited: u64 = story.variable("webhook_time_ms").parse().unwrap();
        assert!(waited >= 300, "{waited} ms: {manner:?}");
    }
}

#[tokio::test]
async fn whoever_does_not_listen_to_the_end_of_a_connection_does_not_keep_the_caller() {
    // A queue for one that nobody takes from: connections to it come about or do not, as the system likes.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let stage = Stage::with(&[("DELIVERY__REQUEST_TIMEOUT_MS", "60000")]).await;
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    for _ in 0..4 {
        let story = ask(&stage, &uri, 100).await;
        assert_eq!(
            outcome(&story),
            (vec!["playback(no)"], ["done", "timeout", ""])
        );
    }
}

#[tokio::test]
async fn of_an_endless_answer_no_more_is_read_than_an_instruction_may_be_long() {
    let stage = Stage::new().await;
    let before = stage.daemon.most_resident();
    let too_long = (vec!["playback(yes)"], ["error", "success", "200"]);
    let nothing = (vec!["playback(yes)"], ["done", "success", "200"]);
    let no_http = (vec!["playback(no)"], ["done", "failure", ""]);
    let chunk = [b"8000\r\n", &[b' '; 0x8000][..], b"\r\n"].concat();
    for (head, what, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 67108864\r\n\r\n",
            b"[".repeat(64 * 1024),
            &too_long,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            chunk,
            &too_long,
        ),
        ("HTTP/1.0 200 OK\r\n\r\n", vec![b' '; 64 * 1024], &too_long),
        (
            "HTTP/1.1 200 OK\r\n",
            b"X-More: to come\r\n".repeat(4_096),
            &no_http,
        ),
        (
            "HTTP/1.1 200 OK\r\nX-Long: ",
            b"x".repeat(64 * 1024),
            &no_http,
        ),
        ("", b"SSH-2.0-OpenSSH_9.2p1\r\n".repeat(4_096), &no_http),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            b"extension=".repeat(8_192),
            &nothing,
        ),
    ] {
        let mut server = Server::start(Manner::Pours(head, what)).await;
        let story = ask(&stage, &server.uri(), 20_000).await;
        assert_eq!(&outcome(&story), expected, "{head}");
        if expected == &too_long {
            assert_eq!(
                story.variable("callflow_error"),
                "the answer cannot be run: flow.answer: An answer must not be larger than 65536 bytes"
            );
        }
        // The rest is what the system had room for on its way.
        let wrote = server.wrote().await;
        assert!(wrote < 16 * MIB, "{wrote} bytes were taken: {head}");
    }
    let grown = stage.daemon.most_resident() - before;
    assert!(grown < 32 * MIB, "{grown} bytes more");
}

#[tokio::test]
async fn what_is_no_instruction_is_not_run() {
    let stage = Stage::new().await;
    let answer = |more: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{more}Content-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    // `{"module": "hangup"}`, packed by gzip.
    let packed = [
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".as_slice(),
        b"\xabV\xca\xcdO)\xcdIU\xb2RP\xcaH\xccK/-P\xaa\x05\x00",
        b"[/\xad\x07\x14\x00\x00\x00",
    ]
    .concat();
    let nested = br#"{"module":"play","data":{"file":"x"},"children":{"_":"#.repeat(10_000);
    let nothing = (vec!["playback(yes)"], ["done", "success", "200"]);
    let no_http = (vec!["playback(no)"], ["done", "failure", ""]);
    for (said, expected) in [
        (answer("", b"[".repeat(10_000).as_slice()), &nothing),
        (answer("", &nested[..65_000]), &nothing),
        (
            answer("Content-Type: text/html\r\n", b"<html>OK</html>"),
            &nothing,
        ),
        (answer("Content-Encoding: gzip\r\n", &packed), &nothing),
        (answer("", b"\xff\xfe{\0"), &nothing),
        // It breaks off.
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"module\": \"ha".to_vec(),
            &nothing,
        ),
        (
            b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            &(vec!["playback(yes)"], ["done", "success", "204"]),
        ),
        (b"".to_vec(), &no_http),
        (b"HTTP/1.1 200".to_vec(), &no_http),
        (b"{\"module\": \"hangup\"}\r\n\r\n".to_vec(), &no_http),
    ] {
        let server = Server::start(Manner::Says(said.clone())).await;
        let story = ask(&stage, &server.uri(), 20_000).await;
        let said = String::from_utf8_lossy(&said[..said.len().min(100)]);
        assert_eq!(&outcome(&story), expected, "{said}");
    }
}

#[tokio::test]
async fn an_old_server_that_just_closes_is_understood() {
    let stage = Stage::new().await;
    let said = format!("HTTP/1.0 200 OK\r\n\r\n{}", play("told"));
    let server = Server::start(Manner::Says(said.into_bytes())).await;
    let story = ask(&stage, &server.uri(), 20_000).await;
    assert_eq!(
        outcome(&story),
        (
            vec!["playback(told)", "playback(yes)"],
            ["done", "success", "200"]
        )
    );
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let mut stage = Stage::new().await;
    let mut elsewhere = Receiver::start().await;
    let told = play("told").to_string().into_bytes();
    elsewhere.behave(Behaviour::Answer(200, Vec::new(), told.clone()));
    for (status, location) in [
        (302, elsewhere.uri("/")),
        (
            307,
            "http://169.254.169.254/latest/meta-data/iam".to_owned(),
        ),
        (301, "file:///etc/passwd".to_owned()),
    ] {
        let moved = Behaviour::Answer(status, vec![("Location", location)], told.clone());
        stage.receiver.behave(moved);
        let story = ask(&stage, &stage.receiver.uri("/"), 20_000).await;
        let status = status.to_string();
        assert_eq!(
            outcome(&story),
            (vec!["playback(no)"], ["done", "failure", &status])
        );
        // Packed answers are not asked for: nothing is unpacked here.
        let request = stage.receiver.next().await;
        assert_eq!(request.header("accept-encoding"), "");
    }
    assert!(elsewhere.rest().is_empty());

    // Nobody listens, and nobody may be asked.
    let refused = elsewhere.uri("/");
    drop(elsewhere);
    for uri in [refused.as_str(), "http://169.254.169.254/latest/meta-data"] {
        let story = ask(&stage, uri, 20_000).await;
        assert_eq!(
            outcome(&story),
            (vec!["playback(no)"], ["done", "failure", ""])
        );
    }
}
