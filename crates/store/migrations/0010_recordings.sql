-- What a replay of a run needs, compressed; null where it was more than is kept. Runs that invoked no script have no row.
CREATE TABLE run_recordings (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    recording BYTEA,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, id) REFERENCES runs (tenant, id) ON DELETE CASCADE
);
