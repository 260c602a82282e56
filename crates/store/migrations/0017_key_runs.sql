-- The run that a request with an idempotency key makes, so that it can be told where its answer was lost; null for keys of earlier releases.
ALTER TABLE idempotency_keys ADD COLUMN run TEXT;
