//! `cargo bench --bench table`: one table of what things cost, each beside what it is held against: a reference
//! measured in the same run, or the limit that was set for it.
//!
//! Times on a shared machine move by a third with its mood, so the ratios count, and CPU before wall clock. A word
//! picks some of the rows: `cargo bench --bench table -- delivery`.

mod api;
mod delivery;
mod growth;
mod house;
mod idle;
mod ingest;
mod latency;
mod machine;
mod matching;
mod receiver;
mod stream;
mod switch;

#[allow(dead_code, unreachable_pub)]
#[path = "../../tests/support"]
mod support {
    pub mod backlog;
    pub mod daemon;
}

use support::backlog;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // `cargo bench` passes --bench.
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let groups: [(&str, &dyn Fn()); 7] = [
        ("ingest", &ingest::rows),
        ("matching", &matching::rows),
        ("delivery", &|| delivery::rows(&runtime)),
        ("latency", &|| latency::rows(&runtime)),
        ("idle", &|| idle::rows(&runtime)),
        ("growth", &|| growth::rows(&runtime)),
        ("api", &|| api::rows(&runtime)),
    ];
    machine::head();
    for (name, rows) in groups {
        if only.as_deref().is_none_or(|only| name.contains(only)) {
            rows();
        }
    }
}
