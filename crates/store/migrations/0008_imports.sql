-- Which versions import which. An imported version stays as long as one that imports it.
CREATE TABLE script_imports (
    tenant TEXT NOT NULL,
    script TEXT NOT NULL,
    version BIGINT NOT NULL,
    imported TEXT NOT NULL,
    imported_version BIGINT NOT NULL,
    PRIMARY KEY (tenant, script, version, imported, imported_version),
    FOREIGN KEY (tenant, script, version) REFERENCES script_versions (tenant, script, version) ON DELETE CASCADE,
    FOREIGN KEY (tenant, imported, imported_version) REFERENCES script_versions (tenant, script, version)
);
CREATE INDEX script_imports_by_version ON script_imports (tenant, imported, imported_version);
