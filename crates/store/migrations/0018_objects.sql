-- Bytes that lie beside the database. The columns hold an object's key, which names its size and its hash as well; null: the bytes are in the row
-- itself, as all were before. Each object belongs to one row, and goes after it.
ALTER TABLE script_bytes ADD COLUMN component_object TEXT;
ALTER TABLE script_bytes ADD COLUMN source_object TEXT;
ALTER TABLE run_recordings ADD COLUMN object TEXT;
-- Whether an object that lies there belongs to anybody.
CREATE INDEX script_bytes_by_component_object ON script_bytes (component_object) WHERE component_object IS NOT NULL;
CREATE INDEX script_bytes_by_source_object ON script_bytes (source_object) WHERE source_object IS NOT NULL;
CREATE INDEX run_recordings_by_object ON run_recordings (object) WHERE object IS NOT NULL;
-- Which of a tenant's recordings have one, for when they go: most have none.
CREATE INDEX run_recordings_with_object ON run_recordings (tenant, id) WHERE object IS NOT NULL;
