//! How long a webhook is on its way, from the switch writing the event until the receiver has the request: with all
//! well, and beside what should not be in its way.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::backlog;
use crate::house::{CALLS, House, hook, keep_pace};
use crate::machine::{percentile, row, setting};
use crate::receiver::Receiver;
use crate::switch::Line;

/// How slow the slow receiver is.
const SLOW: Duration = Duration::from_secs(10);
/// What waits for a dead endpoint.
const BACKLOG: i64 = 1_000_000;

/// What stands beside the receiver that is well.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Dead,
    Slow,
    Backlog,
}

impl Beside {
    const ALL: [(Self, &str); 4] = [
        (Self::Nothing, "alone"),
        (Self::Dead, "beside a dead endpoint"),
        (Self::Slow, "beside one that takes 10 s"),
        (Self::Backlog, "beside a million pending"),
    ];
}

/// Events a second, and what the median and the 99th percentile may be in milliseconds.
const RATES: [(u64, f64, f64); 2] = [(200, 0.5, 2.0), (2_000, f64::NAN, 10.0)];

pub(crate) fn rows(runtime: &Runtime) {
    let seconds = setting("SWITCHHOOK_LATENCY_SECONDS", 5);
    for (beside, name) in Beside::ALL {
        for (rate, ways) in runtime.block_on(measure(beside, seconds)) {
            let (_, p50, p99) = *RATES
                .iter()
                .find(|(known, ..)| *known == rate)
                .expect("one");
            for (part, share, limit) in [("p50", 0.5, p50), ("p99", 0.99, p99)] {
                if limit.is_nan() {
                    continue;
                }
                let way = percentile(&ways, share);
                row(
                    &format!("latency {part}, {rate}/s {name} (vs. limit)"),
                    &format!("{way:.2} ms"),
                    &format!("{limit:.2} ms"),
                    way / limit,
                );
            }
        }
    }
}

/// The ways of all webhooks to the receiver that is well, in milliseconds, at each of the rates.
async fn measure(beside: Beside, seconds: u64) -> Vec<(u64, Vec<f64>)> {
    let house = House::new();
    let receiver = Receiver::start();
    let slow = Receiver::slow(SLOW);
    let mut daemon = house.home.serve().await;
    // The first hook is the one that a backlog waits for.
    match beside {
        Beside::Nothing => {}
        Beside::Dead | Beside::Backlog => drop(daemon.add_hook(hook(&dead())).await),
        Beside::Slow => drop(daemon.add_hook(hook(&slow.uri())).await),
    }
    daemon.add_hook(hook(&receiver.uri())).await;
    let mut line = house.switch.line();
    if let Beside::Backlog = beside {
        daemon.terminate().await;
        backlog::pile_up(&house.home, BACKLOG);
        daemon = house.home.serve().await;
        line = house.switch.line();
    }
    line.dial(0..CALLS);
    line = press(line, &receiver, 200, 200).await;
    let mut all = Vec::new();
    for (rate, ..) in RATES {
        receiver.note_ways();
        line = press(line, &receiver, rate, rate * seconds).await;
        all.push((rate, receiver.ways()));
    }
    daemon.kill().await;
    all
}

/// Has so many keys pressed at this rate, and waits until all were heard of.
async fn press(line: Line, receiver: &Receiver, rate: u64, presses: u64) -> Line {
    let before = receiver.count();
    let line = keep_pace(line, rate, presses).await;
    let began = Instant::now();
    while receiver.count() - before < presses {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{} of {presses} arrived",
            receiver.count() - before
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    line
}

/// Where nobody listens.
fn dead() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}/", listener.local_addr().expect("an address"))
}
