//! A receiver of webhooks that costs next to nothing, on a thread of its own: it counts, and where it is asked to,
//! notes how long each webhook was on its way.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::machine::{cpu_of_thread, this_thread};

/// A receiver that answers every request with 204.
pub(crate) struct Receiver {
    address: SocketAddr,
    thread: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    count: AtomicU64,
    /// Milliseconds from `occurred_at` of a webhook to its arrival; `None` where nobody wants to know.
    ways: Mutex<Option<Vec<f64>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::slow(Duration::ZERO)
    }

    /// One that takes so long to answer.
    pub(crate) fn slow(pause: Duration) -> Self {
        let seen = Arc::<Seen>::default();
        let counter = Arc::clone(&seen);
        let (place, places) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                place.send((address, this_thread())).expect("a listener");
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(talk(socket, Arc::clone(&counter), pause));
                }
            });
        });
        let (address, thread) = places.recv().expect("an address");
        Self {
            address,
            thread,
            seen,
        }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Requests so far.
    pub(crate) fn count(&self) -> u64 {
        self.seen.count.load(Ordering::Relaxed)
    }

    /// The CPU time it has used itself.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of_thread(&self.thread)
    }

    /// From now on it notes how long each webhook was on its way.
    pub(crate) fn note_ways(&self) {
        *self.seen.ways.lock().expect("no panic") = Some(Vec::new());
    }

    /// How long they were, in milliseconds, the shortest first.
    pub(crate) fn ways(&self) -> Vec<f64> {
        let ways = self.seen.ways.lock().expect("no panic").take();
        let mut ways = ways.unwrap_or_default();
        ways.sort_by(f64::total_cmp);
        ways
    }
}

async fn talk(mut socket: TcpStream, seen: Arc<Seen>, pause: Duration) {
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        // Heads and bodies are told apart by the one header that says so.
        while let Some(head) = memmem::find(&buffer, b"\r\n\r\n") {
            let whole = head + 4 + length(&buffer[..head]);
            if buffer.len() < whole {
                break;
            }
            let request = buffer.split_to(whole);
            seen.count.fetch_add(1, Ordering::Relaxed);
            if let Some(ways) = &mut *seen.ways.lock().expect("no panic") {
                ways.extend(way(&request[head..]));
            }
            tokio::time::sleep(pause).await;
            if socket.write_all(b"HTTP/1.1 204 X\r\n\r\n").await.is_err() {
                return;
            }
        }
        match socket.read_buf(&mut buffer).await {
            Ok(1..) => {}
            _ => return,
        }
    }
}

fn length(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    text.split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next())
        .map_or(0, |digits| digits.parse().expect("a length"))
}

/// Milliseconds since the webhook's `occurred_at`, which has microseconds.
fn way(body: &[u8]) -> Option<f64> {
    const FIELD: &[u8] = b"\"occurred_at\":\"";
    let rest = &body[memmem::find(body, FIELD)? + FIELD.len()..];
    let end = memchr::memchr(b'"', rest)?;
    let at: jiff::Timestamp = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((jiff::Timestamp::now().as_microsecond() - at.as_microsecond()) as f64 / 1e3)
}
