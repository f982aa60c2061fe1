"""The outbox's tables, in the same database as the findings.

`outbox` has one row per finding revision and destination, `outbox_bodies` each revision once for as
long as somebody waits for it. `outbox_counts` is kept by triggers, because counting a million
waiting rows at every look would take longer than delivering some.
"""

TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'held', 'delivered', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '',
    UNIQUE (id, revision, destination)
);
CREATE INDEX IF NOT EXISTS outbox_pending ON outbox (destination, number)
    WHERE state IN ('waiting', 'held');
CREATE INDEX IF NOT EXISTS outbox_dead ON outbox (destination, number) WHERE state = 'dead';
CREATE INDEX IF NOT EXISTS outbox_done ON outbox (destination, number) WHERE state = 'delivered';
CREATE TABLE IF NOT EXISTS outbox_bodies (
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (id, revision)
);
CREATE TABLE IF NOT EXISTS outbox_holds (
    destination TEXT PRIMARY KEY,
    since REAL NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox_memory (
    destination TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    UNIQUE (destination, key)
);
CREATE TABLE IF NOT EXISTS outbox_counts (
    destination TEXT NOT NULL,
    state TEXT NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (destination, state)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS outbox_added AFTER INSERT ON outbox BEGIN
    INSERT OR IGNORE INTO outbox_counts VALUES (NEW.destination, NEW.state, 0);
    UPDATE outbox_counts SET rows = rows + 1
        WHERE destination = NEW.destination AND state = NEW.state;
END;
CREATE TRIGGER IF NOT EXISTS outbox_moved AFTER UPDATE OF state ON outbox
WHEN OLD.state <> NEW.state BEGIN
    INSERT OR IGNORE INTO outbox_counts VALUES (NEW.destination, NEW.state, 0);
    UPDATE outbox_counts SET rows = rows + (state = NEW.state) - (state = OLD.state)
        WHERE destination = NEW.destination AND state IN (OLD.state, NEW.state);
END;
CREATE TRIGGER IF NOT EXISTS outbox_gone AFTER DELETE ON outbox BEGIN
    UPDATE outbox_counts SET rows = rows - 1
        WHERE destination = OLD.destination AND state = OLD.state;
END;
"""
