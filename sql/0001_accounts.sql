-- What is managed over REST: few rows, changed seldom.
-- Times are microseconds since 1970; documents are JSON objects as their owners wrote them.

CREATE TABLE accounts (
    id       TEXT PRIMARY KEY,
    parent   TEXT REFERENCES accounts (id),
    name     TEXT NOT NULL,
    realm    TEXT COLLATE NOCASE UNIQUE,
    document TEXT NOT NULL,
    created  INTEGER NOT NULL,
    modified INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX accounts_by_parent ON accounts (parent);

-- A number belongs to one account: `number` is its digits, `written` what the owner wrote.
CREATE TABLE account_numbers (
    number     TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    written    TEXT NOT NULL,
    position   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX account_numbers_by_account ON account_numbers (account_id);

-- `account_id` is NULL for a token that reaches every account. Only the hash of a token is kept.
CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT REFERENCES accounts (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('token', 'api_key')),
    prefix     TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created    INTEGER NOT NULL,
    revoked    INTEGER
);
CREATE INDEX tokens_by_account ON tokens (account_id);
CREATE UNIQUE INDEX tokens_one_api_key ON tokens (account_id) WHERE kind = 'api_key' AND revoked IS NULL;

-- `key` is also the number of the hook's queue, so it is never given twice. A deleted hook stays, emptied,
-- for as long as attempts of it are listed.
CREATE TABLE hooks (
    key             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    account_id      TEXT NOT NULL,
    document        TEXT NOT NULL,
    disable_reason  TEXT,
    secret          TEXT,
    previous_secret TEXT,
    previous_until  INTEGER,
    created         INTEGER NOT NULL,
    modified        INTEGER NOT NULL,
    deleted         INTEGER
);
CREATE INDEX hooks_by_account ON hooks (account_id, key);

CREATE TABLE callflows (
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    document   TEXT NOT NULL,
    created    INTEGER NOT NULL,
    modified   INTEGER NOT NULL
);
CREATE INDEX callflows_by_account ON callflows (account_id, key);

CREATE TABLE callflow_numbers (
    account_id TEXT NOT NULL,
    number     TEXT NOT NULL,
    callflow   INTEGER NOT NULL REFERENCES callflows (key) ON DELETE CASCADE,
    PRIMARY KEY (account_id, number)
) WITHOUT ROWID;
CREATE INDEX callflow_numbers_by_callflow ON callflow_numbers (callflow);
