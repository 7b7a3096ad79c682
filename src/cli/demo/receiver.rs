//! The demo's receiver: a web server that checks each webhook's signature and hands on what arrived.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use switchhook::hook::Secret;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// One webhook, as it arrived.
pub(super) struct Arrived {
    pub(super) at: Instant,
    pub(super) payload: serde_json::Value,
    /// The signature was made with our secret over exactly these bytes.
    pub(super) signed: bool,
}

struct Shared {
    secret: Secret,
    arrived: mpsc::UnboundedSender<Arrived>,
    /// Requests to the one that fails now and then.
    asked: AtomicU64,
}

/// Listens on a free port of loopback until the process ends.
pub(super) async fn listen(
    secret: Secret,
) -> std::io::Result<(SocketAddr, mpsc::UnboundedReceiver<Arrived>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, arrived) = mpsc::unbounded_channel();
    let router = Router::new()
        .route("/calls", post(receive))
        .route("/log", post(StatusCode::NO_CONTENT))
        .route("/crm", post(fail_now_and_then))
        .route("/wallboard", post(StatusCode::GONE))
        .with_state(Arc::new(Shared {
            secret,
            arrived: sender,
            asked: AtomicU64::new(0),
        }));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("the demo's receiver ended: {error}");
        }
    });
    Ok((address, arrived))
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at = Instant::now();
    let Ok(payload) = serde_json::from_slice(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let signed = verify(&shared.secret, &headers, &body).unwrap_or(false);
    let arrived = Arrived {
        at,
        payload,
        signed,
    };
    match shared.arrived.send(arrived) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Every eighth request fails: too few for the hook to be switched off.
async fn fail_now_and_then(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    match shared.asked.fetch_add(1, Ordering::Relaxed) % 8 {
        3 => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the CRM is being backed up",
        ),
        _ => (StatusCode::OK, "noted"),
    }
}

fn verify(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Option<bool> {
    let header = |name| headers.get(name)?.to_str().ok();
    let timestamp = header("webhook-timestamp")?.parse().ok()?;
    let expected = secret.sign(header("webhook-id")?, timestamp, body);
    Some(header("webhook-signature")? == expected)
}
