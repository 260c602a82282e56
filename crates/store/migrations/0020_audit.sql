-- Who changed what, and when: one row for each change, written with it. An id is a UUID of version 7 made of the time, so ids are in the order of changes.
CREATE TABLE audit (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX audit_by_action ON audit (tenant, action, id);

-- When a token was presented last, to the minute. Null: never since this is noted.
ALTER TABLE tokens ADD COLUMN last_used_at BIGINT;
