-- Whose turn it is among the tenants that have runs to begin.
CREATE INDEX run_queue_by_turn ON run_queue (tenant, due_at) WHERE claimed = 0;
