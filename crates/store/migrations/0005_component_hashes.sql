-- BLAKE3 of each version's component in hexadecimal, the name of its compiled code. Versions of several tenants may have the same.
-- Those of versions that were there before are added when the database is opened.
CREATE TABLE component_hashes (
    tenant TEXT NOT NULL,
    script TEXT NOT NULL,
    version BIGINT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (tenant, script, version),
    FOREIGN KEY (tenant, script, version) REFERENCES script_versions (tenant, script, version) ON DELETE CASCADE
);
CREATE INDEX component_hashes_by_hash ON component_hashes (hash);
