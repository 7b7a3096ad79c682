-- What was seen of each call, for `explain`: one row an event of a channel, with what it was taken for. Wanted or
-- not, a call is found by the same two hashes as in `events`.
--
-- `event` is the switch's name of it; `about` and `facts` are JSON, absent where there is nothing to say.
-- `call_uuid` is NULL where the call was not known (any more), and empty where it is `call_id`.
CREATE TABLE timeline (
    id          INTEGER PRIMARY KEY,
    lane        INTEGER NOT NULL,
    leg         INTEGER,
    at          INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    event       TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    call_uuid   TEXT,
    account_id  TEXT,
    about       TEXT,
    facts       TEXT
);
CREATE INDEX timeline_by_call ON timeline (id >> 13, lane);
CREATE INDEX timeline_by_leg ON timeline (id >> 13, leg) WHERE leg IS NOT NULL;
