-- Rare things that people look for, payments added up by the hour they were opened in, and callbacks that people want again.
SET lock_timeout = '5s';

CREATE INDEX callback_failing ON callback (project_id, payment_no) WHERE failures > 0 AND state IN ('waiting', 'failed');
CREATE INDEX payment_flagged ON payment (project_id, created_at, payment_no) WHERE flag <> '';
CREATE INDEX audit_of_object ON audit_entry (object);

-- Unlike `hourly`, whose rows only grow, these change with every refund: an hour is added up anew when something moved in it.
CREATE TABLE payment_hourly (
    project_id bigint NOT NULL,
    hour timestamptz NOT NULL, -- of the payment's opening
    status text NOT NULL,
    method text NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    payments bigint NOT NULL,
    amount bigint NOT NULL,
    captured bigint NOT NULL,
    refunded bigint NOT NULL,
    PRIMARY KEY (project_id, hour, status, method, currency, source)
);
ALTER TABLE rolled_up ADD COLUMN looked_at timestamptz NOT NULL DEFAULT '-infinity'; -- moves until then are added up

ALTER TABLE callback ADD COLUMN by_hand_at timestamptz; -- somebody wants it sent again, whatever its state
CREATE INDEX callback_by_hand ON callback (project_id, by_hand_at) WHERE by_hand_at IS NOT NULL;
