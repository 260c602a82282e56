-- What every version of a flow binds, its latest too. Runs keep the version they began with: while one of an earlier version is queued, the
-- script versions that it binds stay.
CREATE TABLE flow_pins (
    tenant TEXT NOT NULL,
    flow TEXT NOT NULL,
    flow_version BIGINT NOT NULL,
    place TEXT NOT NULL,
    script TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant, flow, flow_version, place),
    FOREIGN KEY (tenant, flow, flow_version) REFERENCES flow_versions (tenant, flow, version) ON DELETE CASCADE
);
CREATE INDEX flow_pins_by_version ON flow_pins (tenant, script, version);

INSERT INTO flow_pins (tenant, flow, flow_version, place, script, version)
SELECT b.tenant, b.document, v.version, b.place, b.script, b.version FROM bindings AS b JOIN flow_versions AS v
ON v.tenant = b.tenant AND v.flow = b.document
AND v.version = (SELECT MAX(w.version) FROM flow_versions AS w WHERE w.tenant = v.tenant AND w.flow = v.flow)
WHERE b.kind = 'flow';

-- Null in what was queued before this.
ALTER TABLE run_queue ADD COLUMN flow TEXT;
ALTER TABLE run_queue ADD COLUMN flow_version BIGINT;
CREATE INDEX run_queue_by_flow ON run_queue (tenant, flow, flow_version);
