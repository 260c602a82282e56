-- Values that outlive runs, as JSON text. Those of the tenant itself stand under the flow without a name. `bytes` is what a value counts.
CREATE TABLE state (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    flow TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant, flow, name)
);

-- What all state of a tenant counts. Who writes state holds the row, so that runs that end together count each other's.
CREATE TABLE state_totals (
    tenant TEXT NOT NULL PRIMARY KEY REFERENCES tenants (name) ON DELETE CASCADE,
    bytes BIGINT NOT NULL
);
