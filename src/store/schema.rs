//! The tables and how they came about: migrations from `sql/`, counted in `PRAGMA user_version`.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

/// Marks the file as ours ("swhk"), so that another program's database is never migrated by mistake.
pub(super) const APPLICATION_ID: i64 = 0x7377_686b;

const STEPS: &[M<'_>] = &[
    M::up(include_str!("../../sql/0001_accounts.sql")),
    M::up(include_str!("../../sql/0002_deliveries.sql")),
    M::up(include_str!("../../sql/0003_timeline.sql")),
    M::up(include_str!("../../sql/0004_listed_hooks.sql")),
    M::up(include_str!("../../sql/0005_queued_again.sql")),
];

/// The newest schema version that this program knows.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Brings the tables up to date.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), rusqlite_migration::Error> {
    Migrations::from_slice(STEPS).to_latest(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_make_a_sound_database() {
        Migrations::from_slice(STEPS).validate().unwrap();
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        let version: i64 = conn
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, VERSION);
    }
}
