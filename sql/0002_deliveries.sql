-- The hot tables: keys are integers in the order of time, and every index is paid for by every event.
-- No foreign keys here: each would cost a look-up a row, and only the writer and retention touch these rows.

-- What happened and was wanted. Its deliveries have the ids first_delivery .. first_delivery + deliveries - 1,
-- which spares an index. `lane` is the hash of call_uuid (0 for no call), `leg` that of call_id where it is
-- another than call_uuid.
CREATE TABLE events (
    id             INTEGER PRIMARY KEY,
    first_delivery INTEGER NOT NULL,
    deliveries     INTEGER NOT NULL,
    trigger        TEXT NOT NULL,
    at             INTEGER NOT NULL,
    recorded_at    INTEGER NOT NULL,
    sequence       INTEGER NOT NULL,
    lane           INTEGER NOT NULL,
    leg            INTEGER,
    core_uuid      TEXT NOT NULL,
    account_id     TEXT NOT NULL,
    call_id        TEXT,
    call_uuid      TEXT
);

-- A call is looked for in each block of 8,192 events. An index on the hash alone would be written to all
-- over; this one is written to where the events of now are, a few pages that are in memory.
CREATE INDEX events_by_call ON events (id >> 13, lane) WHERE lane <> 0;
CREATE INDEX events_by_leg ON events (id >> 13, leg) WHERE leg IS NOT NULL;

-- One event for one hook. `due_at` is NULL when it is finished; `queue` is the hook's key, negative for a hook
-- that nobody stored, which then stands in `ad_hoc`. `last_attempt` heads the chain attempts.previous.
CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY,
    event        INTEGER NOT NULL,
    queue        INTEGER NOT NULL,
    lane         INTEGER NOT NULL,
    due_at       INTEGER,
    state        TEXT NOT NULL,
    attempts     INTEGER NOT NULL,
    last_attempt INTEGER,
    occurred_at  INTEGER NOT NULL,
    webhook_id   BLOB NOT NULL,
    verb         TEXT NOT NULL,
    format       TEXT NOT NULL,
    ad_hoc       TEXT
);

-- What is sent, by the id of its delivery. Apart from it, so that what becomes of a delivery rewrites a
-- hundred bytes and not the page that its body fills.
CREATE TABLE bodies (
    id   INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);

-- What is due. `lane` goes along so that a strict hook's queue is read without its bodies.
CREATE INDEX deliveries_due ON deliveries (queue, due_at, id, lane) WHERE due_at IS NOT NULL;
-- What was put off: for a strict hook, it holds back the later ones of its lane. Only retries pay for it.
CREATE INDEX deliveries_postponed ON deliveries (queue, lane, id) WHERE due_at > occurred_at;
-- What can be recovered. Only failures pay for it.
CREATE INDEX deliveries_recoverable ON deliveries (queue, occurred_at) WHERE due_at IS NULL AND state <> 'delivered';

-- One try, or the reason why there was none. What the delivery says is not said again.
CREATE TABLE attempts (
    id             INTEGER PRIMARY KEY,
    delivery       INTEGER NOT NULL,
    queue          INTEGER NOT NULL,
    previous       INTEGER,
    at             INTEGER NOT NULL,
    result         TEXT NOT NULL,
    attempt        INTEGER NOT NULL,
    retries_left   INTEGER NOT NULL,
    duration_us    INTEGER NOT NULL,
    status         INTEGER,
    reason         TEXT,
    client_error   TEXT,
    ad_hoc_account TEXT,
    uri            TEXT,
    req_headers    TEXT NOT NULL,
    resp_headers   TEXT NOT NULL,
    resp_body      BLOB NOT NULL
);
-- The newest of a hook; those of an account are merged from its hooks.
CREATE INDEX attempts_by_queue ON attempts (queue);
CREATE INDEX attempts_ad_hoc ON attempts (ad_hoc_account) WHERE ad_hoc_account IS NOT NULL;

-- The highest id that retention has removed, so that no id is given twice.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;

-- The legs that are alive, as the call model remembers them.
CREATE TABLE channels (
    uuid  TEXT PRIMARY KEY,
    state BLOB NOT NULL
) WITHOUT ROWID;
