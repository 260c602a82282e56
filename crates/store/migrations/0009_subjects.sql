-- Whom runs are about. `document` is an object of values by name.
CREATE TABLE subjects (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- Values of its subject that a run brought along: an object, or nothing.
ALTER TABLE run_queue ADD COLUMN subject_values TEXT;
