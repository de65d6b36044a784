-- What people look through: payments by time and by customer, final transitions by time, and hours already added up.
SET lock_timeout = '5s';

CREATE INDEX payment_by_time ON payment (project_id, created_at, payment_no);
CREATE INDEX payment_by_customer ON payment (project_id, customer_id, payment_no);
CREATE INDEX transition_final_by_time ON transition (project_id, at) WHERE final;

-- One row per hour and kind of end: what analytics add up. Hours before `rolled_up.until` are complete.
CREATE TABLE hourly (
    project_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    code integer NOT NULL,
    method text NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    operations bigint NOT NULL,
    amount bigint NOT NULL,
    seconds bigint NOT NULL, -- from opening to end, all together
    PRIMARY KEY (project_id, hour, kind, status, code, method, currency, source)
);

CREATE TABLE rolled_up (
    project_id bigint PRIMARY KEY,
    until timestamptz NOT NULL
);
