-- History by months: calls to the provider, callbacks and their attempts are cut by operation_id, whose numbers are ordered by
-- time, so that keys stay what they were and a month that is not kept any longer is dropped as a whole (store/partitions.py).
-- What is there already becomes the first partition as it is; nothing is copied.
SET lock_timeout = '5s';

-- An attempt names its callback by the callback's key; a reference between them would tie the months of both together.
ALTER TABLE attempt DROP CONSTRAINT attempt_project_id_operation_id_callback_id_fkey;

ALTER TABLE exchange RENAME TO exchange_first;
ALTER TABLE exchange_first RENAME CONSTRAINT exchange_pkey TO exchange_first_pkey;
ALTER TABLE exchange_first RENAME CONSTRAINT exchange_project_id_operation_id_fkey TO exchange_first_operation_fkey;
CREATE TABLE exchange (
    LIKE exchange_first INCLUDING DEFAULTS,
    PRIMARY KEY (project_id, operation_id, exchange_no),
    FOREIGN KEY (project_id, operation_id) REFERENCES operation
) PARTITION BY RANGE (operation_id);

ALTER TABLE callback RENAME TO callback_first;
ALTER TABLE callback_first RENAME CONSTRAINT callback_pkey TO callback_first_pkey;
ALTER TABLE callback_first RENAME CONSTRAINT callback_project_id_operation_id_seq_fkey TO callback_first_transition_fkey;
ALTER INDEX callback_by_hand RENAME TO callback_first_by_hand;
ALTER INDEX callback_failing RENAME TO callback_first_failing;
ALTER INDEX callback_waiting RENAME TO callback_first_waiting;
CREATE TABLE callback (
    LIKE callback_first INCLUDING DEFAULTS,
    PRIMARY KEY (project_id, operation_id, callback_id),
    FOREIGN KEY (project_id, operation_id, seq) REFERENCES transition
) PARTITION BY RANGE (operation_id);

ALTER TABLE attempt RENAME TO attempt_first;
ALTER TABLE attempt_first RENAME CONSTRAINT attempt_pkey TO attempt_first_pkey;
CREATE TABLE attempt (
    LIKE attempt_first INCLUDING DEFAULTS,
    PRIMARY KEY (project_id, operation_id, callback_id, attempt)
) PARTITION BY RANGE (operation_id);

-- 387868262400000 is the first number of 2027 (connections/ids.py).
ALTER TABLE exchange ATTACH PARTITION exchange_first FOR VALUES FROM (MINVALUE) TO (387868262400000);
ALTER TABLE callback ATTACH PARTITION callback_first FOR VALUES FROM (MINVALUE) TO (387868262400000);
ALTER TABLE attempt ATTACH PARTITION attempt_first FOR VALUES FROM (MINVALUE) TO (387868262400000);

CREATE INDEX callback_waiting ON callback (project_id, lane, due_at) WHERE state = 'waiting';
CREATE INDEX callback_failing ON callback (project_id, payment_no) WHERE failures > 0 AND state IN ('waiting', 'failed');
CREATE INDEX callback_by_hand ON callback (project_id, by_hand_at) WHERE by_hand_at IS NOT NULL;
