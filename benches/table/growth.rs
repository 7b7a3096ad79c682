//! What an hour of steady load does to the daemon and to its database, in less than an hour.

use std::path::PathBuf;
use std::time::Instant;

use tokio::runtime::Runtime;

use crate::house::{CALLS, House, cpu, hook, keep_busy};
use crate::machine::{each, row, row_us, setting};
use crate::receiver::Receiver;

/// Parts of the run that are compared with each other.
const PARTS: u64 = 10;
const MIB: f64 = (1 << 20) as f64;

pub(crate) fn rows(runtime: &Runtime) {
    let deliveries = setting("SWITCHHOOK_GROWTH", 500_000);
    runtime.block_on(measure(deliveries));
}

async fn measure(deliveries: u64) {
    let mut house = House::new();
    // As many rows as a tenth of the run makes: what retention bounds is reached soon.
    house
        .home
        .set("STORE__MAX_ATTEMPTS_ROWS", deliveries / PARTS);
    let receiver = Receiver::start();
    let daemon = house.home.serve().await;
    daemon.add_hook(hook(&receiver.uri())).await;
    let mut line = house.switch.line();
    line.dial(0..CALLS);
    keep_busy(&mut line, &receiver, 2_000, 192).await;
    let size = |ending: &str| {
        let mut path = house.home.database().into_os_string();
        path.push(ending);
        std::fs::metadata(PathBuf::from(path)).map_or(0.0, |file| file.len() as f64 / MIB)
    };
    let (mut costs, mut sizes, mut log) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..PARTS {
        let used = cpu(&daemon);
        keep_busy(&mut line, &receiver, deliveries / PARTS, 192).await;
        costs.push(each(cpu(&daemon) - used, deliveries / PARTS));
        sizes.push(size(""));
        log = log.max(size("-wal"));
    }
    let resident = daemon.most_resident() as f64 / MIB;
    // Retention looks once a minute; it may be behind by what came since.
    let waited = Instant::now();
    let kept = loop {
        let kept = rows_kept(&house.home.database());
        if kept <= deliveries / PARTS + 1_000 || waited.elapsed().as_secs() > 90 {
            break kept;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    };
    daemon.terminate().await;
    let mib = |value: f64| format!("{value:.0} MiB");
    let last = costs[costs.len() - 1];
    row_us(
        "growth: CPU of a delivery, last tenth (vs. first)",
        last,
        costs[0],
    );
    let (middle, last) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    row(
        "growth: database, at the end (vs. half-way)",
        &mib(last),
        &mib(middle),
        last / middle,
    );
    row(
        "growth: log of the database, largest (vs. its limit)",
        &mib(log),
        &mib(64.0),
        log / 64.0,
    );
    row(
        "growth: attempts kept a moment later (vs. max_attempts_rows)",
        &kept.to_string(),
        &(deliveries / PARTS).to_string(),
        kept as f64 / (deliveries / PARTS) as f64,
    );
    row(
        "growth: most memory (vs. 64 MiB)",
        &mib(resident),
        &mib(64.0),
        resident / 64.0,
    );
}

fn rows_kept(database: &std::path::Path) -> u64 {
    let connection = rusqlite::Connection::open(database).expect("the database");
    let count = connection.query_row("SELECT count(*) FROM attempts", (), |row| {
        row.get::<_, i64>(0)
    });
    count.expect("a count").unsigned_abs()
}
