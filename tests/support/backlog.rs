//! Deliveries that nobody made: what an outage leaves behind, put into a database that no daemon has open.

use rusqlite::Connection;
use serde_json::json;
use switchhook::time::Clock;

use super::daemon::Home;

/// Deliveries that an hour ago has left for the first hook, four to a call.
pub fn pile_up(home: &Home, backlog: i64) {
    let connection = Connection::open(home.database()).unwrap();
    let pending = || -> i64 {
        let sql = "SELECT count(*) FROM deliveries WHERE state = 'pending'";
        connection.query_row(sql, (), |row| row.get(0)).unwrap()
    };
    let before = pending();
    let at = Clock::system()
        .now()
        .before(std::time::Duration::from_secs(3_600))
        .0;
    let body = json!({"hook_event": "dtmf", "digit": "1", "filler": "x".repeat(800)});
    // Events go in first and deliveries last, so that both are numbered from what was there before.
    let sql = format!(
        "PRAGMA synchronous = OFF;
         CREATE TEMP TABLE b AS
             SELECT coalesce(max(event), 0) AS event, coalesce(max(id), 0) AS delivery FROM deliveries;
         CREATE TEMP TABLE n (n INTEGER PRIMARY KEY);
         BEGIN;
         WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {backlog})
         INSERT INTO n SELECT n FROM r;
         INSERT INTO events (id, first_delivery, deliveries, trigger, at, recorded_at, sequence, lane, core_uuid,
             account_id, call_id, call_uuid)
         SELECT b.event + n, b.delivery + n, 1, 'dtmf', {at} + n, {at} + n, n, 1 + n / 4, 'core', 'default', 'a', 'a'
         FROM n, b;
         INSERT INTO bodies (id, body) SELECT b.delivery + n, CAST('{body}' AS BLOB) FROM n, b;
         INSERT INTO deliveries (id, event, queue, lane, due_at, state, attempts, occurred_at, webhook_id, verb,
             format)
         SELECT b.delivery + n, b.event + n, 1, 1 + n / 4, {at} + n, 'pending', 0, {at} + n, randomblob(16), 'post',
             'json'
         FROM n, b;
         COMMIT;"
    );
    connection.execute_batch(&sql).unwrap();
    assert_eq!(pending() - before, backlog);
    drop(connection);
    // The daemon's first checkpoint is not to wait for what was written here.
    let file = std::fs::File::open(home.database()).unwrap();
    file.sync_all().unwrap();
}
