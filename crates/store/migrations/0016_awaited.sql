-- Runs whose end somebody waits for, at whichever node, and how they ended in its maker's own form. Rows go when nobody waits any more, and those of
-- killed nodes once their time is over. Empty where one node is alone.
CREATE TABLE awaited_runs (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    id TEXT NOT NULL,
    kept_until BIGINT NOT NULL,
    outcome BYTEA,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX awaited_runs_by_time ON awaited_runs (tenant, kept_until);
