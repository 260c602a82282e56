-- What lists and overviews want to know of a run that has ended, in short: they look at thousands, and records are long. Null: it has not ended, a
-- release without this column wrote it, or it would not be short. Then the record tells.
ALTER TABLE runs ADD COLUMN summary TEXT;
