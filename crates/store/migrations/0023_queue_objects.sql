-- Inputs and checkpoints that are large lie beside the database, as large recordings do; null: the bytes are in the row itself, as all were before.
-- Each object belongs to one row, and goes after it, or after the checkpoint that takes its place.
ALTER TABLE run_queue ADD COLUMN input_object TEXT;
ALTER TABLE run_queue ADD COLUMN checkpoint_object TEXT;
-- Whether an object that lies there belongs to anybody.
CREATE INDEX run_queue_by_input_object ON run_queue (input_object) WHERE input_object IS NOT NULL;
CREATE INDEX run_queue_by_checkpoint_object ON run_queue (checkpoint_object) WHERE checkpoint_object IS NOT NULL;
-- Which of a tenant's queued runs have one, for when they go: most have none.
CREATE INDEX run_queue_with_object ON run_queue (tenant, id) WHERE input_object IS NOT NULL OR checkpoint_object IS NOT NULL;
