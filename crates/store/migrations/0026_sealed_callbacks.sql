-- What an upstream called back with, sealed as secrets are, since it may repeat what it was sent. Null: nothing came, it was heard, or it lies in
-- `callback` and `body` as it came, as releases before wrote it and read it. Where it is sealed, `callback` has their form and says nothing, and `body`
-- is null. A node of the release before that takes up such a run finds no body, asks again every half second for as long as it may hold the run, a
-- quarter of an hour, and lets another node have it when it is stopped: nothing is lost, and no second callback is taken. So that it need not, nodes
-- of this release go on writing what those read for a day after the first of them was started on a database that there was before; see
-- docs/many-nodes.md.
ALTER TABLE callbacks ADD COLUMN sealed BYTEA;
-- What another key of secrets has to seal anew: of all callbacks, which stay with their runs, only those that came and were not heard yet.
CREATE INDEX callbacks_sealed ON callbacks (tenant, correlation) WHERE sealed IS NOT NULL;
