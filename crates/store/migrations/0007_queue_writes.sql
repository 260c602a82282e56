-- What a trigger's script wrote into the variables of the run; null where it wrote nothing.
ALTER TABLE run_queue ADD COLUMN writes TEXT;
