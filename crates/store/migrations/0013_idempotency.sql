-- Requests that came with an idempotency key, and what they were answered; null while they are being answered. `body` is a hash.
CREATE TABLE idempotency_keys (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    body BYTEA NOT NULL,
    begun_at BIGINT NOT NULL,
    answer BYTEA,
    PRIMARY KEY (tenant, path, name)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (tenant, begun_at);
