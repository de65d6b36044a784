-- The payment family carries project_id in every key, index and foreign key, so that the same schema runs on one PostgreSQL and
-- spreads over several. Ids are made by the application (connections/ids.py). Amounts are whole won. Time comes as an argument.
SET lock_timeout = '5s';

-- Reference tables: small, the same on every node.

CREATE TABLE node (
    node_id smallint PRIMARY KEY,
    holder text NOT NULL,
    until timestamptz NOT NULL
);

CREATE TABLE account (
    account_id bigint PRIMARY KEY,
    provider text NOT NULL,
    merchant_id text NOT NULL,
    sealed_key text NOT NULL,
    settings jsonb NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE project (
    project_id bigint PRIMARY KEY,
    name text NOT NULL,
    sealed_secret text NOT NULL,
    previous_sealed_secret text,
    previous_secret_until timestamptz,
    account_id bigint NOT NULL REFERENCES account,
    settings jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);

-- The payment family.

CREATE TABLE payment (
    project_id bigint NOT NULL,
    payment_no bigint NOT NULL,
    payment_id text NOT NULL,
    payment_key text NOT NULL, -- payment_id as it is compared: without case
    status text NOT NULL,
    method text NOT NULL,
    source text NOT NULL, -- gate, page
    amount bigint NOT NULL,
    currency text NOT NULL,
    captured bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    description text NOT NULL,
    customer_id text NOT NULL,
    sale_id bigint NOT NULL, -- the latest sale operation
    flag text NOT NULL DEFAULT '', -- an odd state that people should see
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    request jsonb NOT NULL, -- the opening request without its signature
    PRIMARY KEY (project_id, payment_no),
    CONSTRAINT payment_id_once UNIQUE (project_id, payment_key),
    CONSTRAINT refunds_within_captured
        CHECK (refunded >= 0 AND reserved >= 0 AND refunded + reserved <= captured AND captured <= amount),
    CONSTRAINT payment_amount_positive CHECK (amount > 0 OR status = 'error')
);

CREATE TABLE operation (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    payment_no bigint NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    stage text NOT NULL, -- the recovery point, see domain/lifecycle.py
    amount bigint NOT NULL,
    currency text NOT NULL,
    code integer NOT NULL,
    request_id text NOT NULL,
    request_hash text NOT NULL, -- SHA-256 of path and raw body in hexadecimal: an identical resend (E-6)
    description text NOT NULL,
    merchant_refund_id text,
    account_id bigint NOT NULL,
    order_number text NOT NULL, -- our name for it at the provider (Moid)
    return_key text NOT NULL,
    authentication jsonb NOT NULL DEFAULT '{}',
    reference text NOT NULL DEFAULT '', -- the provider's id (TID)
    details jsonb NOT NULL DEFAULT '{}',
    request jsonb NOT NULL DEFAULT '{}', -- a refund's opening request; a sale's stands with its payment
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    limit_at timestamptz,
    wake_at timestamptz, -- when the worker looks at it next; moved ahead as the lease while it works
    attempt integer NOT NULL DEFAULT 0, -- fencing: the claim that may write
    seq smallint NOT NULL DEFAULT 1, -- of its latest transition
    PRIMARY KEY (project_id, operation_id),
    FOREIGN KEY (project_id, payment_no) REFERENCES payment (project_id, payment_no),
    CONSTRAINT operation_amount_positive CHECK (amount > 0 OR status = 'decline')
);
CREATE INDEX operation_of_payment ON operation (project_id, payment_no, operation_id);
CREATE INDEX operation_to_wake ON operation (project_id, wake_at) WHERE wake_at IS NOT NULL;
CREATE UNIQUE INDEX one_approval_per_reference ON operation (project_id, reference) WHERE kind = 'sale' AND reference <> '';
CREATE UNIQUE INDEX merchant_refund_id_once ON operation (project_id, merchant_refund_id) WHERE merchant_refund_id IS NOT NULL;

CREATE TABLE transition (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    seq smallint NOT NULL,
    event text NOT NULL,
    status text NOT NULL,
    stage text NOT NULL,
    payment_status text NOT NULL,
    code integer NOT NULL,
    final boolean NOT NULL, -- true on the one row that made the operation's status final
    note text NOT NULL DEFAULT '',
    at timestamptz NOT NULL,
    PRIMARY KEY (project_id, operation_id, seq),
    FOREIGN KEY (project_id, operation_id) REFERENCES operation (project_id, operation_id)
);
CREATE UNIQUE INDEX one_final_transition ON transition (project_id, operation_id) WHERE final;

CREATE TABLE ledger_entry (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    seq smallint NOT NULL, -- of the transition that moved the money
    debit text NOT NULL,
    credit text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    at timestamptz NOT NULL,
    PRIMARY KEY (project_id, operation_id, seq),
    FOREIGN KEY (project_id, operation_id, seq) REFERENCES transition (project_id, operation_id, seq),
    CHECK (debit <> credit)
);

CREATE TABLE exchange (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    exchange_no bigint NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    request jsonb NOT NULL, -- masked
    response jsonb NOT NULL, -- masked
    verdict text NOT NULL,
    PRIMARY KEY (project_id, operation_id, exchange_no),
    FOREIGN KEY (project_id, operation_id) REFERENCES operation (project_id, operation_id)
);

CREATE TABLE notice (
    project_id bigint NOT NULL, -- 0 where the notice names no order of ours
    reference text NOT NULL,
    state text NOT NULL, -- approved, cancelled:<cancel order number>
    operation_id bigint NOT NULL,
    raw jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    times integer NOT NULL DEFAULT 1,
    wake_at timestamptz,
    verdict text NOT NULL DEFAULT '',
    PRIMARY KEY (project_id, reference, state)
);
CREATE INDEX notice_to_wake ON notice (project_id, wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE lane (
    project_id bigint NOT NULL,
    lane text NOT NULL, -- scheme, host and port of merchant endpoints: each is served on its own
    PRIMARY KEY (project_id, lane)
);

CREATE TABLE callback (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    callback_id bigint NOT NULL,
    payment_no bigint NOT NULL,
    seq smallint NOT NULL, -- of the transition it reports
    intermediate boolean NOT NULL,
    lane text NOT NULL,
    url text NOT NULL,
    body text NOT NULL, -- signed when it was enqueued, never changed
    state text NOT NULL, -- waiting, delivered, failed, dropped
    attempt integer NOT NULL DEFAULT 0, -- sends begun; also the fencing number
    failures integer NOT NULL DEFAULT 0, -- scheduled sends that failed
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL, -- next send; moved ahead as the lease while it is being sent
    finished_at timestamptz,
    PRIMARY KEY (project_id, operation_id, callback_id),
    FOREIGN KEY (project_id, operation_id, seq) REFERENCES transition (project_id, operation_id, seq)
);
CREATE INDEX callback_waiting ON callback (project_id, lane, due_at) WHERE state = 'waiting';

CREATE TABLE attempt (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    callback_id bigint NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    http_status integer, -- NULL: no answer
    error text NOT NULL DEFAULT '',
    response text NOT NULL DEFAULT '',
    by_hand boolean NOT NULL DEFAULT false,
    PRIMARY KEY (project_id, operation_id, callback_id, attempt),
    FOREIGN KEY (project_id, operation_id, callback_id) REFERENCES callback (project_id, operation_id, callback_id)
);
