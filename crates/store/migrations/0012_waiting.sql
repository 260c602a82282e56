-- Where a run is that has begun; a queued one that has not has none. `cancelled` is a word left for the process that holds it.
ALTER TABLE run_queue ADD COLUMN checkpoint BYTEA;
ALTER TABLE run_queue ADD COLUMN cancelled BIGINT NOT NULL DEFAULT 0;
CREATE INDEX run_queue_fresh ON run_queue (tenant) WHERE checkpoint IS NULL;

-- What has happened in runs that outlive their process. The event is JSON.
CREATE TABLE run_events (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (tenant, id, seq),
    FOREIGN KEY (tenant, id) REFERENCES runs (tenant, id) ON DELETE CASCADE
);

-- Callbacks that may come, and those that came. They stay with their run, so that a second one is known for what it is.
CREATE TABLE callbacks (
    tenant TEXT NOT NULL,
    correlation TEXT NOT NULL,
    run TEXT NOT NULL,
    callback TEXT,
    body BYTEA,
    PRIMARY KEY (tenant, correlation),
    FOREIGN KEY (tenant, run) REFERENCES runs (tenant, id) ON DELETE CASCADE
);
CREATE INDEX callbacks_by_run ON callbacks (tenant, run);
