-- Sums that answer for a million payments: by the sale's code and by refunds too, and what each customer paid in a day or month.
-- `payment_hourly` and `rolled_up` stay for processes of the version before; a later file drops them.
SET lock_timeout = '5s';

-- As in `payment_hourly`, an hour is added up anew when something moved in it.
CREATE TABLE payment_sum (
    project_id bigint NOT NULL,
    hour timestamptz NOT NULL, -- of the payment's opening
    status text NOT NULL,
    code integer NOT NULL, -- of its latest sale
    method text NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    with_refunds boolean NOT NULL, -- something has gone back, or is on its way back
    finished boolean NOT NULL, -- by the status
    payments bigint NOT NULL,
    amount bigint NOT NULL,
    captured bigint NOT NULL,
    refunded bigint NOT NULL,
    PRIMARY KEY (project_id, hour, status, code, method, currency, source, with_refunds)
);
CREATE INDEX payment_sum_unfinished ON payment_sum (project_id, hour) WHERE NOT finished;

-- Successful sales that ended in a day of UTC, and the same for months. Nothing is added to a day that is closed.
CREATE TABLE customer_day (
    project_id bigint NOT NULL,
    since timestamptz NOT NULL,
    customer_id text NOT NULL,
    source text NOT NULL,
    sales integer NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (project_id, since, customer_id, source)
);
CREATE TABLE customer_month (
    project_id bigint NOT NULL,
    since timestamptz NOT NULL,
    customer_id text NOT NULL,
    source text NOT NULL,
    sales integer NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (project_id, since, customer_id, source)
);

CREATE TABLE added_up (
    project_id bigint PRIMARY KEY,
    until timestamptz NOT NULL, -- hours before it are in the sums, `hourly` included
    looked_at timestamptz -- moves of older payments until then are, too; null before the first look
);

-- Ways to payments that are rare or not there at all, which would otherwise be looked for among all others. None of them is
-- written when a sale comes in: the first when a sale is declined, the others with a refund and with an invalid request.
CREATE INDEX operation_declined ON operation (project_id, code, payment_no) WHERE kind = 'sale' AND status = 'decline';
CREATE INDEX operation_refund ON operation (project_id, payment_no) WHERE kind = 'refund';
CREATE INDEX transition_to_error ON transition (project_id, operation_id) WHERE payment_status = 'error';
