-- When what a run left goes, in microseconds. Null: by its tenant's usual times, which go through the runs in the order of their ids, or it has not
-- ended, or (of payloads) they are gone.
ALTER TABLE runs ADD COLUMN payloads_until BIGINT;
ALTER TABLE runs ADD COLUMN logs_until BIGINT;
CREATE INDEX runs_by_payloads_until ON runs (tenant, payloads_until) WHERE payloads_until IS NOT NULL;
CREATE INDEX runs_by_logs_until ON runs (tenant, logs_until) WHERE logs_until IS NOT NULL;

-- Up to which id the usual times have gone through a tenant's runs. Whoever goes on holds the row.
CREATE TABLE sweeps (
    tenant TEXT NOT NULL PRIMARY KEY REFERENCES tenants (name) ON DELETE CASCADE,
    payloads_before TEXT NOT NULL,
    logs_before TEXT NOT NULL
);
