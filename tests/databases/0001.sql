-- A database of schema version 1 as a daemon of that time has left it (killed in the middle of a call where it has calls).
-- Never changed: tests/migrations.rs opens it with the present program.
PRAGMA application_id = 1937205355;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE accounts (
    id       TEXT PRIMARY KEY,
    parent   TEXT REFERENCES accounts (id),
    name     TEXT NOT NULL,
    realm    TEXT COLLATE NOCASE UNIQUE,
    document TEXT NOT NULL,
    created  INTEGER NOT NULL,
    modified INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO accounts VALUES('acme','default','Acme','acme.example.com','{"name":"Acme","realm":"acme.example.com","numbers":["+15557770000"],"crm":{"id":7}}',1795268975898744,1795268975898744);
INSERT INTO accounts VALUES('default',NULL,'Default',NULL,'{"name":"Default"}',1795268975848267,1795268975848267);
CREATE TABLE account_numbers (
    number     TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    written    TEXT NOT NULL,
    position   INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO account_numbers VALUES('15557770000','acme','+15557770000',0);
CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT REFERENCES accounts (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('token', 'api_key')),
    prefix     TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created    INTEGER NOT NULL,
    revoked    INTEGER
);
INSERT INTO tokens VALUES(1,'acme','token','b4y5HQDh',X'de572c6123f198ec4ea8b3612327968fb301134e14995f109a764255a88c0c5b',1795268975910723,NULL);
INSERT INTO tokens VALUES(2,'acme','api_key','y-lnTdmm',X'19bce3b384d409a005278164e5a0dc7137843827fded664d04391d64d7c15230',1795268975918682,NULL);
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
INSERT INTO hooks VALUES(1,'signed','acme','{"name":"signed","hook":"call_missed","uri":"http://127.0.0.1:9000/signed","custom_data":{"crm":"a"},"mine":{"kept":true}}',NULL,'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',NULL,NULL,1795268975920605,1795268975920605,NULL);
INSERT INTO hooks VALUES(2,'calls','default','{"name":"calls","hook":"all","format":"json","uri":"http://127.0.0.1:9999/calls"}',NULL,NULL,NULL,NULL,1795268975921919,1795268975921919,NULL);
INSERT INTO hooks VALUES(3,'gone','default','{}',NULL,NULL,NULL,NULL,1795268975922978,1795268975922978,1795268975928597);
CREATE TABLE callflows (
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    document   TEXT NOT NULL,
    created    INTEGER NOT NULL,
    modified   INTEGER NOT NULL
);
INSERT INTO callflows VALUES(1,'menu','acme','{"name":"menu","numbers":["+15557770001","no_match"],"flow":{"module":"device","data":{"id":"1001"},"children":{"_":{"module":"voicemail","data":{"id":"1001"}}}}}',1795268975919811,1795268975919811);
CREATE TABLE callflow_numbers (
    account_id TEXT NOT NULL,
    number     TEXT NOT NULL,
    callflow   INTEGER NOT NULL REFERENCES callflows (key) ON DELETE CASCADE,
    PRIMARY KEY (account_id, number)
) WITHOUT ROWID;
INSERT INTO callflow_numbers VALUES('acme','15557770001',1);
INSERT INTO callflow_numbers VALUES('acme','no_match',1);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('tokens',2);
INSERT INTO sqlite_sequence VALUES('callflows',1);
INSERT INTO sqlite_sequence VALUES('hooks',3);
CREATE INDEX accounts_by_parent ON accounts (parent);
CREATE INDEX account_numbers_by_account ON account_numbers (account_id);
CREATE INDEX tokens_by_account ON tokens (account_id);
CREATE UNIQUE INDEX tokens_one_api_key ON tokens (account_id) WHERE kind = 'api_key' AND revoked IS NULL;
CREATE INDEX hooks_by_account ON hooks (account_id, key);
CREATE INDEX callflows_by_account ON callflows (account_id, key);
CREATE INDEX callflow_numbers_by_callflow ON callflow_numbers (callflow);
COMMIT;
