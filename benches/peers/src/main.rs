//! What it costs to read the event socket: ours and others', on the same recorded stream over a loopback socket, in
//! the same run. CPU of the reading thread; four headers of every event are looked up.
//!
//! `cargo run --release` here. With `npm install` in this directory the Node client takes part.

mod switch;

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use eslrs::event::PlainEvent;
use freeswitch_esl_tokio::{EslClient, EslConnectOptions};
use futures_util::StreamExt;
use switchhook::esl::{Codec, Event, Limits};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_util::codec::FramedRead;

use crate::switch::Switch;

/// How often the recording is played to a reader.
const ROUNDS: usize = 60;
const PASSWORD: &str = "ClueCon";
const NAMES: [&str; 4] = [
    "Unique-ID",
    "Caller-Caller-ID-Number",
    "variable_sip_call_id",
    "Event-Sequence",
];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let switch = Switch::start(ROUNDS);
    let (events, port, address) = (switch.events, switch.port, ("127.0.0.1", switch.port));
    println!(
        "{events} events of {} bytes on average",
        switch.bytes / events
    );
    println!(
        "{:<26} {:>9} {:>14} {:>12} {:>9}",
        "reader", "read", "CPU an event", "events/s", "of ours"
    );
    let ours = measure(&runtime, async {
        let socket = TcpStream::connect(address).await.expect("a switch");
        switch::log_in(&socket).await;
        let mut frames = FramedRead::new(socket, Codec::new(Limits::default()));
        let mut read = 0;
        while let Some(Ok(frame)) = frames.next().await {
            if let Ok(event) = Event::from_frame(&frame) {
                look_up(|name| event.header(name).is_some());
                read += 1;
            }
        }
        read
    });
    row("switchhook", ours, ours);
    let eslrs = measure(&runtime, async {
        let mut line = eslrs::Inbound::connect(address, PASSWORD)
            .await
            .expect("a login");
        let mut read = 0;
        while let Ok(event) = line.recv().await {
            let Ok(event) = PlainEvent::try_from(event);
            look_up(|name| event.get_header(name).is_some());
            read += 1;
        }
        read
    });
    row("eslrs 0.1.0-rc.3", eslrs, ours);
    let tokio = measure(&runtime, async {
        // Its default queue drops what a reader on the same thread has no turn to take.
        let options = EslConnectOptions::default().with_event_queue_size(events + 1);
        let (_client, mut stream) =
            EslClient::connect_with_options("127.0.0.1", port, PASSWORD, options)
                .await
                .expect("a login");
        let mut read = 0;
        while let Some(Ok(event)) = stream.recv().await {
            look_up(|name| event.header_str(name).is_some());
            read += 1;
        }
        read
    });
    row("freeswitch-esl-tokio 2.8", tokio, ours);
    match modesl(port, events) {
        Some(modesl) => row("modesl 1.2 (Node)", modesl, ours),
        None => println!("modesl: run `npm install` here to have it take part"),
    }
}

/// What is wanted of each event.
fn look_up(has: impl Fn(&str) -> bool) {
    for name in NAMES {
        black_box(has(name));
    }
}

/// What a reader came to.
#[derive(Clone, Copy)]
struct Cost {
    /// Events that it gave.
    read: usize,
    /// CPU microseconds for each.
    cpu: f64,
    per_second: f64,
}

fn row(name: &str, cost: Cost, ours: Cost) {
    println!(
        "{name:<26} {:>9} {:>11.2} µs {:>12.0} {:>8.1}×",
        cost.read,
        cost.cpu,
        cost.per_second,
        cost.cpu / ours.cpu
    );
}

/// Measures a reader, which says how many events it gave.
fn measure(runtime: &Runtime, reader: impl Future<Output = usize>) -> Cost {
    let (began, used) = (Instant::now(), cpu());
    let read = runtime.block_on(reader);
    let used = cpu() - used;
    Cost {
        read,
        cpu: used.as_secs_f64() * 1e6 / read as f64,
        per_second: read as f64 / began.elapsed().as_secs_f64(),
    }
}

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let on_cpu = stat.split(' ').next().expect("the fields");
    Duration::from_nanos(on_cpu.parse().expect("a number"))
}

/// The Node client measures itself and prints both figures.
fn modesl(port: u16, events: usize) -> Option<Cost> {
    let directory = env!("CARGO_MANIFEST_DIR");
    if !std::path::Path::new(directory)
        .join("node_modules/modesl")
        .exists()
    {
        return None;
    }
    let node = Command::new("node")
        .current_dir(directory)
        .args(["modesl.js", &port.to_string(), &events.to_string()])
        .output()
        .expect("Node");
    let said = String::from_utf8_lossy(&node.stdout);
    let mut figures = said.split_whitespace().map(str::parse);
    match (figures.next(), figures.next()) {
        (Some(Ok(cpu)), Some(Ok(per_second))) => Some(Cost {
            read: events,
            cpu,
            per_second,
        }),
        _ => panic!("modesl.js: {}", String::from_utf8_lossy(&node.stderr)),
    }
}
