-- Several nodes on one database. Whoever claims a queued run holds it by a token until a time by the database's clock; null: until it is given back.
ALTER TABLE run_queue ADD COLUMN lease_token TEXT;
ALTER TABLE run_queue ADD COLUMN lease_until BIGINT;
CREATE INDEX run_queue_by_lease ON run_queue (lease_until) WHERE claimed = 1;

-- When a tenant's definitions last changed, by the database's clock, and how often they have. A row outlives its tenant, so that every node
-- learns that it is gone. Empty where one node is alone.
CREATE TABLE changes (
    tenant TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX changes_by_time ON changes (changed_at);
