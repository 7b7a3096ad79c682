//! What is read off the machine, and the table it goes into.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// The headings of the columns.
pub(crate) fn head() {
    println!(
        "{:<66} {:>13} {:>13} {:>7}",
        "what", "ours", "reference", "ratio"
    );
}

/// A row: a figure of ours, what it is held against, and how many times as much it is.
pub(crate) fn row(what: &str, ours: &str, reference: &str, ratio: f64) {
    println!("{what:<66} {ours:>13} {reference:>13} {ratio:>7.2}");
}

/// A row of times in microseconds.
pub(crate) fn row_us(what: &str, ours: f64, reference: f64) {
    row(what, &us(ours), &us(reference), ours / reference);
}

/// Microseconds, as the table writes them.
pub(crate) fn us(value: f64) -> String {
    format!("{value:.2} µs")
}

/// CPU microseconds of this thread for each of `items`, the best of five runs of `work`.
pub(crate) fn best(items: usize, mut work: impl FnMut()) -> f64 {
    // `schedstat` moves with the scheduler's ticks only: too coarse for some milliseconds.
    let used = || {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(used).expect("it is not negative")
    };
    (0..5)
        .map(|_| {
            let before = used();
            work();
            each(used() - before, items as u64)
        })
        .fold(f64::INFINITY, f64::min)
}

/// CPU time of a process so far, user and system, all of its threads (hundredths of a second).
pub(crate) fn cpu_of_process(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("Linux");
    let after_name = stat.rsplit(") ").next().expect("the fields");
    let fields: Vec<u64> = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse().expect("a number"))
        .collect();
    Duration::from_millis(fields.iter().sum::<u64>() * 10)
}

/// The thread that asks, as [`cpu_of_thread`] knows it.
pub(crate) fn this_thread() -> String {
    let link = std::fs::read_link("/proc/thread-self").expect("Linux");
    format!("/proc/{}", link.display())
}

/// CPU time of a thread of this process so far (nanoseconds).
pub(crate) fn cpu_of_thread(thread: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("{thread}/schedstat")).expect("Linux");
    let on_cpu = stat.split(' ').next().expect("the fields");
    Duration::from_nanos(on_cpu.parse().expect("a number"))
}

/// How often each thread of a process went to sleep of its own accord: each time is a wake-up.
pub(crate) fn wake_ups(pid: u32) -> HashMap<PathBuf, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("Linux");
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        let task = task.ok()?.path();
        let status = std::fs::read_to_string(task.join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((task, line.trim().parse().ok()?))
    };
    tasks.filter_map(of_task).collect()
}

/// What so much of the sorted values is not above.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// Microseconds of `time` for each of `items`.
pub(crate) fn each(time: Duration, items: u64) -> f64 {
    time.as_secs_f64() * 1e6 / items as f64
}

/// A number that the environment may set.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text:?} is no number")),
        Err(_) => default,
    }
}
