-- Migrations only add: a node one release older must be able to go on with the result.
-- Types are those that SQLite and PostgreSQL both read: times are microseconds since 1970 as BIGINT, bytes are BYTEA (which SQLite keeps as the blobs they are).
-- The tenant comes first in every key, so that a tenant's rows lie together and no key is unique across tenants, but for the hash of a token.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE tenants (
    name TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE tokens (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    id TEXT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- A script keeps its counter when its versions are deleted, so that no number is used twice. The same holds for flows.
CREATE TABLE scripts (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    last_version BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE script_versions (
    tenant TEXT NOT NULL,
    script TEXT NOT NULL,
    version BIGINT NOT NULL,
    hash TEXT NOT NULL,
    interpreter TEXT,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, script, version),
    FOREIGN KEY (tenant, script) REFERENCES scripts (tenant, name) ON DELETE CASCADE
);

-- Apart from the records, so that a list of versions does not read past their bytes.
CREATE TABLE script_bytes (
    tenant TEXT NOT NULL,
    script TEXT NOT NULL,
    version BIGINT NOT NULL,
    source BYTEA NOT NULL,
    component BYTEA NOT NULL,
    PRIMARY KEY (tenant, script, version),
    FOREIGN KEY (tenant, script, version) REFERENCES script_versions (tenant, script, version) ON DELETE CASCADE
);

CREATE TABLE connectors (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE flows (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    last_version BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE flow_versions (
    tenant TEXT NOT NULL,
    flow TEXT NOT NULL,
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, flow, version),
    FOREIGN KEY (tenant, flow) REFERENCES flows (tenant, name) ON DELETE CASCADE
);

-- Which version sits where: of connectors and of the latest version of each flow. `kind` is `connector` or `flow`, `document` its name.
CREATE TABLE bindings (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    document TEXT NOT NULL,
    place TEXT NOT NULL,
    script TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, document, place),
    FOREIGN KEY (tenant, script, version) REFERENCES script_versions (tenant, script, version)
);
CREATE INDEX bindings_by_version ON bindings (tenant, script, version);

-- No reference to tenants: a run that ends after its tenant was deleted must not fail the batch it is in. Its record is left out instead.
-- Status and start stand here as they are; in the record they are as they were when it was written.
CREATE TABLE runs (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    flow TEXT,
    status TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
-- Most runs are direct calls that succeed; those cost no more than the primary key.
CREATE INDEX runs_by_flow ON runs (tenant, flow, id) WHERE flow IS NOT NULL;
CREATE INDEX runs_by_status ON runs (tenant, status, id) WHERE status <> 'succeeded';

CREATE TABLE run_queue (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    claimed BIGINT NOT NULL,
    content_type TEXT NOT NULL,
    input BYTEA NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, id) REFERENCES runs (tenant, id) ON DELETE CASCADE
);
CREATE INDEX run_queue_by_time ON run_queue (due_at) WHERE claimed = 0;
