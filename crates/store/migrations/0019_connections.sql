-- Connections: the document without secret texts, the sealed texts by field, and the token that was fetched with them, sealed as well.
CREATE TABLE connections (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    sealed TEXT NOT NULL,
    -- Counts what was written to the row, so that a token is stored only over the one that it was fetched for.
    revision BIGINT NOT NULL,
    token BYTEA,
    token_expires_at BIGINT,
    status TEXT NOT NULL,
    status_detail TEXT,
    -- Until then a node fetches a token, and the others wait.
    fetching_until BIGINT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- Authorizations that were begun in a browser and are not finished yet, by the hash of their state.
CREATE TABLE authorizations (
    state TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    connection TEXT NOT NULL,
    verifier BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    FOREIGN KEY (tenant, connection) REFERENCES connections (tenant, name) ON DELETE CASCADE
);
CREATE INDEX authorizations_by_expiry ON authorizations (expires_at);
