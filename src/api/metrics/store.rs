//! The database and its writer.

use super::page::Page;
use crate::store::Store;

pub(super) fn write(page: &mut Page<'_>, store: &Store) -> std::fmt::Result {
    let health = store.health();
    let stats = store.stats();
    page.gauge(
        "store_stalled",
        "1 while the database refuses everything",
        u64::from(health.stalled_since.is_some()),
    )?;
    for (name, help, value) in [
        (
            "store_queued_records",
            "Records of the read path that are not committed yet",
            health.queued as u64,
        ),
        (
            "store_queued_bytes",
            "Bytes of these records",
            health.queued_bytes as u64,
        ),
        (
            "store_database_bytes",
            "Size of the database file",
            health.database_bytes,
        ),
        (
            "store_wal_bytes",
            "Size of its write-ahead log",
            health.wal_bytes,
        ),
    ] {
        page.gauge(name, help, value)?;
    }
    page.counter(
        "store_lost",
        "Records and outcomes that the database refused for their own sake",
        health.lost,
    )?;
    page.counter(
        "store_removed_rows",
        "Old rows that retention removed",
        health.removed,
    )?;
    page.histogram(
        "store_transaction_seconds",
        "How long the writer's transactions took",
        &stats.transaction_times.read(),
    )?;
    page.histogram(
        "store_transaction_operations",
        "How many operations were in each",
        &stats.transaction_sizes.read(),
    )
}
