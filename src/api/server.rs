//! Connections: how many, and how long each may take to say what it wants. `axum::serve` limits neither.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::auth::Peer;
use super::events::HangUp;
use super::{ApiState, router};

/// Connections at once; more wait until one of these is closed.
const CONNECTIONS: usize = 512;
/// How long a request's head may take, and an idle connection may stay.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// Headers of a request, and bytes of its head.
const HEADERS: usize = 64;
const HEAD_BYTES: usize = 32 * 1024;
/// How long requests under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// Answers requests until `shutdown` is done, then lets those under way end, for 5 seconds at most.
pub async fn serve(listener: TcpListener, state: ApiState, shutdown: impl Future<Output = ()>) {
    let stopping = state.stopping.clone();
    let router = router(state);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES);
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // No more files, or the peer has gone already.
                warn!("a connection to the API could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(peer = %address, "cannot set TCP_NODELAY: {error}");
        }
        let hang_up = HangUp::default();
        let told = router
            .clone()
            .layer(Extension(Peer(address.ip())))
            .layer(Extension(hang_up.clone()));
        let service = TowerToHyperService::new(told);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    debug!(peer = %address, "a connection to the API ended: {error}");
                },
                () = hang_up.0.notified() => {
                    debug!(peer = %address, "it does not read what it asked for: hung up");
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        warn!("requests that took longer than {GRACE:?} to end were cut off");
    }
}
