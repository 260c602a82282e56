-- What a tenant's runs take that have ended, as it was counted last; null: it never was. `history_settled` is that of the runs up to `history_upto`, to which
-- nearly nothing is added any more; `history_bytes` is all of it. `history_whole_at` is when the last count was of all runs and not only of newer ones,
-- `history_due_at` from when on somebody may look again. Times are microseconds.
ALTER TABLE sweeps ADD COLUMN history_bytes BIGINT;
ALTER TABLE sweeps ADD COLUMN history_settled BIGINT;
ALTER TABLE sweeps ADD COLUMN history_upto TEXT;
ALTER TABLE sweeps ADD COLUMN history_whole_at BIGINT;
ALTER TABLE sweeps ADD COLUMN history_due_at BIGINT;
