-- Made by `make schema` from the migrations in src/wongate/store/migrations: change those, not this file.

CREATE TABLE account (
    account_id bigint NOT NULL,
    provider text NOT NULL,
    merchant_id text NOT NULL,
    sealed_key text NOT NULL,
    settings jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT account_pkey PRIMARY KEY (account_id)
);

CREATE TABLE added_up (
    project_id bigint NOT NULL,
    until timestamp with time zone NOT NULL,
    looked_at timestamp with time zone,
    CONSTRAINT added_up_pkey PRIMARY KEY (project_id)
);

CREATE TABLE api_pace (
    token text NOT NULL,
    calls timestamp with time zone[] NOT NULL,
    wide_at timestamp with time zone,
    CONSTRAINT api_pace_pkey PRIMARY KEY (token),
    CONSTRAINT api_pace_token_fkey FOREIGN KEY (token) REFERENCES api_token(token)
);

CREATE TABLE api_token (
    token text NOT NULL,
    person_id bigint NOT NULL,
    sealed_secret text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    ended_at timestamp with time zone,
    CONSTRAINT api_token_pkey PRIMARY KEY (token),
    CONSTRAINT api_token_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id)
);
CREATE UNIQUE INDEX one_api_token_per_person ON public.api_token USING btree (person_id) WHERE (ended_at IS NULL);

CREATE TABLE attempt (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    callback_id bigint NOT NULL,
    attempt integer NOT NULL,
    at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    http_status integer,
    error text NOT NULL DEFAULT ''::text,
    response text NOT NULL DEFAULT ''::text,
    by_hand boolean NOT NULL DEFAULT false,
    CONSTRAINT attempt_pkey PRIMARY KEY (project_id, operation_id, callback_id, attempt)
) PARTITION BY RANGE (operation_id);

CREATE TABLE audit_entry (
    seq bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    person_id bigint,
    actor text NOT NULL,
    address text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    project_ids bigint[] NOT NULL,
    before jsonb,
    after jsonb,
    confirmed boolean NOT NULL,
    hash text NOT NULL,
    CONSTRAINT audit_entry_pkey PRIMARY KEY (seq)
);
CREATE INDEX audit_of_object ON public.audit_entry USING btree (object);
CREATE INDEX audit_of_projects ON public.audit_entry USING gin (project_ids);

CREATE TABLE audit_head (
    id smallint NOT NULL,
    seq bigint NOT NULL,
    hash text NOT NULL,
    CONSTRAINT audit_head_pkey PRIMARY KEY (id),
    CONSTRAINT audit_head_id_check CHECK ((id = 1))
);

CREATE TABLE board (
    person_id bigint NOT NULL,
    tiles jsonb NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT board_pkey PRIMARY KEY (person_id),
    CONSTRAINT board_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id)
);

CREATE TABLE callback (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    callback_id bigint NOT NULL,
    payment_no bigint NOT NULL,
    seq smallint NOT NULL,
    intermediate boolean NOT NULL,
    lane text NOT NULL,
    url text NOT NULL,
    body text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    by_hand_at timestamp with time zone,
    CONSTRAINT callback_pkey PRIMARY KEY (project_id, operation_id, callback_id),
    CONSTRAINT callback_project_id_operation_id_seq_fkey FOREIGN KEY (project_id, operation_id, seq) REFERENCES transition(project_id, operation_id, seq)
) PARTITION BY RANGE (operation_id);
CREATE INDEX callback_by_hand ON ONLY public.callback USING btree (project_id, by_hand_at) WHERE (by_hand_at IS NOT NULL);
CREATE INDEX callback_failing ON ONLY public.callback USING btree (project_id, payment_no) WHERE ((failures > 0) AND (state = ANY (ARRAY['waiting'::text, 'failed'::text])));
CREATE INDEX callback_waiting ON ONLY public.callback USING btree (project_id, lane, due_at) WHERE (state = 'waiting'::text);

CREATE TABLE customer_day (
    project_id bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    customer_id text NOT NULL,
    source text NOT NULL,
    sales integer NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT customer_day_pkey PRIMARY KEY (project_id, since, customer_id, source)
);
CREATE INDEX customer_day_best ON public.customer_day USING btree (project_id, source, since, amount DESC);

CREATE TABLE customer_month (
    project_id bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    customer_id text NOT NULL,
    source text NOT NULL,
    sales integer NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT customer_month_pkey PRIMARY KEY (project_id, since, customer_id, source)
);
CREATE INDEX customer_month_best ON public.customer_month USING btree (project_id, source, since, amount DESC);

CREATE TABLE difference (
    project_id bigint NOT NULL,
    run_no bigint NOT NULL,
    reference text NOT NULL,
    bucket text NOT NULL,
    order_number text NOT NULL,
    ours bigint,
    theirs bigint,
    text text NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT difference_pkey PRIMARY KEY (project_id, run_no, reference)
);

CREATE TABLE exchange (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    exchange_no bigint NOT NULL,
    kind text NOT NULL,
    at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    request jsonb NOT NULL,
    response jsonb NOT NULL,
    verdict text NOT NULL,
    CONSTRAINT exchange_pkey PRIMARY KEY (project_id, operation_id, exchange_no),
    CONSTRAINT exchange_project_id_operation_id_fkey FOREIGN KEY (project_id, operation_id) REFERENCES operation(project_id, operation_id)
) PARTITION BY RANGE (operation_id);

CREATE TABLE export (
    export_id bigint NOT NULL,
    person_id bigint NOT NULL,
    schedule_id bigint,
    run_at timestamp with time zone,
    name text NOT NULL,
    format text NOT NULL,
    query text NOT NULL,
    filter jsonb NOT NULL,
    columns text[] NOT NULL,
    headings text[] NOT NULL,
    language text NOT NULL,
    time_zone text NOT NULL,
    recipients text[] NOT NULL DEFAULT '{}'::text[],
    state text NOT NULL,
    rows_done bigint NOT NULL DEFAULT 0,
    rows_total bigint,
    file_name text NOT NULL DEFAULT ''::text,
    file_size bigint NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT ''::text,
    attempt integer NOT NULL DEFAULT 0,
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT export_pkey PRIMARY KEY (export_id),
    CONSTRAINT export_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id)
);
CREATE INDEX export_kept ON public.export USING btree (finished_at) WHERE (state = 'ready'::text);
CREATE INDEX export_of_person ON public.export USING btree (person_id, export_id);
CREATE INDEX export_waiting ON public.export USING btree (due_at) WHERE (state = 'waiting'::text);
CREATE UNIQUE INDEX export_once_per_appointment ON public.export USING btree (schedule_id, run_at) WHERE (run_at IS NOT NULL);

CREATE TABLE export_piece (
    export_id bigint NOT NULL,
    attempt integer NOT NULL,
    piece integer NOT NULL,
    content bytea NOT NULL,
    packed boolean NOT NULL DEFAULT false,
    CONSTRAINT export_piece_pkey PRIMARY KEY (export_id, attempt, piece),
    CONSTRAINT export_piece_export_id_fkey FOREIGN KEY (export_id) REFERENCES export(export_id)
);

CREATE TABLE guess (
    subject text NOT NULL,
    failures integer NOT NULL,
    last_at timestamp with time zone NOT NULL,
    free_at timestamp with time zone NOT NULL,
    CONSTRAINT guess_pkey PRIMARY KEY (subject)
);
CREATE INDEX guess_age ON public.guess USING btree (last_at);

CREATE TABLE history (
    project_id bigint NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT history_pkey PRIMARY KEY (project_id),
    CONSTRAINT history_project_id_fkey FOREIGN KEY (project_id) REFERENCES project(project_id)
);

CREATE TABLE history_day (
    project_id bigint NOT NULL,
    day date NOT NULL,
    payments integer NOT NULL,
    CONSTRAINT history_day_pkey PRIMARY KEY (project_id, day),
    CONSTRAINT history_day_project_id_fkey FOREIGN KEY (project_id) REFERENCES history(project_id)
);

CREATE TABLE hourly (
    project_id bigint NOT NULL,
    hour timestamp with time zone NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    code integer NOT NULL,
    method text NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    operations bigint NOT NULL,
    amount bigint NOT NULL,
    seconds bigint NOT NULL,
    CONSTRAINT hourly_pkey PRIMARY KEY (project_id, hour, kind, status, code, method, currency, source)
);

CREATE TABLE lane (
    project_id bigint NOT NULL,
    lane text NOT NULL,
    CONSTRAINT lane_pkey PRIMARY KEY (project_id, lane)
);

CREATE TABLE ledger_entry (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    seq smallint NOT NULL,
    debit text NOT NULL,
    credit text NOT NULL,
    amount bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT ledger_entry_pkey PRIMARY KEY (project_id, operation_id, seq),
    CONSTRAINT ledger_entry_project_id_operation_id_seq_fkey FOREIGN KEY (project_id, operation_id, seq) REFERENCES transition(project_id, operation_id, seq),
    CONSTRAINT ledger_entry_amount_check CHECK ((amount > 0)),
    CONSTRAINT ledger_entry_check CHECK ((debit <> credit))
);

CREATE TABLE mail (
    mail_id bigint NOT NULL,
    export_id bigint NOT NULL,
    recipient text NOT NULL,
    message_id text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT ''::text,
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    CONSTRAINT mail_pkey PRIMARY KEY (mail_id),
    CONSTRAINT mail_export_id_fkey FOREIGN KEY (export_id) REFERENCES export(export_id)
);
CREATE INDEX mail_of_export ON public.mail USING btree (export_id);
CREATE INDEX mail_waiting ON public.mail USING btree (due_at) WHERE (state = 'waiting'::text);

CREATE TABLE node (
    node_id smallint NOT NULL,
    holder text NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT node_pkey PRIMARY KEY (node_id)
);

CREATE TABLE notice (
    project_id bigint NOT NULL,
    reference text NOT NULL,
    state text NOT NULL,
    operation_id bigint NOT NULL,
    raw jsonb NOT NULL,
    received_at timestamp with time zone NOT NULL,
    times integer NOT NULL DEFAULT 1,
    wake_at timestamp with time zone,
    verdict text NOT NULL DEFAULT ''::text,
    CONSTRAINT notice_pkey PRIMARY KEY (project_id, reference, state)
);
CREATE INDEX notice_to_wake ON public.notice USING btree (project_id, wake_at) WHERE (wake_at IS NOT NULL);

CREATE TABLE operation (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    payment_no bigint NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    stage text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    code integer NOT NULL,
    request_id text NOT NULL,
    request_hash text NOT NULL,
    description text NOT NULL,
    merchant_refund_id text,
    account_id bigint NOT NULL,
    order_number text NOT NULL,
    return_key text NOT NULL,
    authentication jsonb NOT NULL DEFAULT '{}'::jsonb,
    reference text NOT NULL DEFAULT ''::text,
    details jsonb NOT NULL DEFAULT '{}'::jsonb,
    request jsonb NOT NULL DEFAULT '{}'::jsonb,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    limit_at timestamp with time zone,
    wake_at timestamp with time zone,
    attempt integer NOT NULL DEFAULT 0,
    seq smallint NOT NULL DEFAULT 1,
    CONSTRAINT operation_pkey PRIMARY KEY (project_id, operation_id),
    CONSTRAINT operation_project_id_payment_no_fkey FOREIGN KEY (project_id, payment_no) REFERENCES payment(project_id, payment_no),
    CONSTRAINT operation_amount_positive CHECK (((amount > 0) OR (status = 'decline'::text)))
);
CREATE INDEX operation_declined ON public.operation USING btree (project_id, code, payment_no) WHERE ((kind = 'sale'::text) AND (status = 'decline'::text));
CREATE INDEX operation_of_payment ON public.operation USING btree (project_id, payment_no, operation_id);
CREATE INDEX operation_refund ON public.operation USING btree (project_id, payment_no) WHERE (kind = 'refund'::text);
CREATE INDEX operation_to_wake ON public.operation USING btree (project_id, wake_at) WHERE (wake_at IS NOT NULL);
CREATE UNIQUE INDEX merchant_refund_id_once ON public.operation USING btree (project_id, merchant_refund_id) WHERE (merchant_refund_id IS NOT NULL);
CREATE UNIQUE INDEX one_approval_per_reference ON public.operation USING btree (project_id, reference) WHERE ((kind = 'sale'::text) AND (reference <> ''::text));

CREATE TABLE payment (
    project_id bigint NOT NULL,
    payment_no bigint NOT NULL,
    payment_id text NOT NULL,
    payment_key text NOT NULL,
    status text NOT NULL,
    method text NOT NULL,
    source text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    captured bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    description text NOT NULL,
    customer_id text NOT NULL,
    sale_id bigint NOT NULL,
    flag text NOT NULL DEFAULT ''::text,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    request jsonb NOT NULL,
    CONSTRAINT payment_pkey PRIMARY KEY (project_id, payment_no),
    CONSTRAINT payment_id_once UNIQUE (project_id, payment_key),
    CONSTRAINT payment_amount_positive CHECK (((amount > 0) OR (status = 'error'::text))),
    CONSTRAINT refunds_within_captured CHECK (((refunded >= 0) AND (reserved >= 0) AND ((refunded + reserved) <= captured) AND (captured <= amount)))
);
CREATE INDEX payment_by_customer ON public.payment USING btree (project_id, customer_id, payment_no);
CREATE INDEX payment_by_time ON public.payment USING btree (project_id, created_at, payment_no);
CREATE INDEX payment_flagged ON public.payment USING btree (project_id, created_at, payment_no) WHERE (flag <> ''::text);

CREATE TABLE payment_hourly (
    project_id bigint NOT NULL,
    hour timestamp with time zone NOT NULL,
    status text NOT NULL,
    method text NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    payments bigint NOT NULL,
    amount bigint NOT NULL,
    captured bigint NOT NULL,
    refunded bigint NOT NULL,
    CONSTRAINT payment_hourly_pkey PRIMARY KEY (project_id, hour, status, method, currency, source)
);

CREATE TABLE payment_sum (
    project_id bigint NOT NULL,
    hour timestamp with time zone NOT NULL,
    status text NOT NULL,
    code integer NOT NULL,
    method text NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    with_refunds boolean NOT NULL,
    finished boolean NOT NULL,
    payments bigint NOT NULL,
    amount bigint NOT NULL,
    captured bigint NOT NULL,
    refunded bigint NOT NULL,
    CONSTRAINT payment_sum_pkey PRIMARY KEY (project_id, hour, status, code, method, currency, source, with_refunds)
);
CREATE INDEX payment_sum_unfinished ON public.payment_sum USING btree (project_id, hour) WHERE (NOT finished);

CREATE TABLE person (
    person_id bigint NOT NULL,
    login text NOT NULL,
    login_key text NOT NULL,
    name text NOT NULL,
    password_hash text NOT NULL,
    password_initial boolean NOT NULL,
    roles text[] NOT NULL,
    rights_added text[] NOT NULL DEFAULT '{}'::text[],
    rights_removed text[] NOT NULL DEFAULT '{}'::text[],
    sealed_totp text,
    totp_step bigint NOT NULL DEFAULT 0,
    language text NOT NULL DEFAULT 'en'::text,
    time_zone text NOT NULL DEFAULT 'Asia/Seoul'::text,
    active boolean NOT NULL DEFAULT true,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT person_pkey PRIMARY KEY (person_id),
    CONSTRAINT person_login_key_key UNIQUE (login_key)
);

CREATE TABLE person_project (
    project_id bigint NOT NULL,
    person_id bigint NOT NULL,
    CONSTRAINT person_project_pkey PRIMARY KEY (project_id, person_id),
    CONSTRAINT person_project_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id),
    CONSTRAINT person_project_project_id_fkey FOREIGN KEY (project_id) REFERENCES project(project_id)
);
CREATE INDEX projects_of_person ON public.person_project USING btree (person_id);

CREATE TABLE project (
    project_id bigint NOT NULL,
    name text NOT NULL,
    sealed_secret text NOT NULL,
    previous_sealed_secret text,
    previous_secret_until timestamp with time zone,
    account_id bigint NOT NULL,
    settings jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT project_pkey PRIMARY KEY (project_id),
    CONSTRAINT project_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(account_id)
);

CREATE TABLE push (
    push_id bigint NOT NULL,
    token text NOT NULL,
    lane text NOT NULL,
    url text NOT NULL,
    body text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    http_status integer,
    error text NOT NULL DEFAULT ''::text,
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT push_pkey PRIMARY KEY (push_id),
    CONSTRAINT push_token_fkey FOREIGN KEY (token) REFERENCES api_token(token)
);
CREATE INDEX push_finished ON public.push USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX push_waiting ON public.push USING btree (lane, due_at) WHERE (state = 'waiting'::text);

CREATE TABLE recovery_code (
    person_id bigint NOT NULL,
    code_hash text NOT NULL,
    used_at timestamp with time zone,
    CONSTRAINT recovery_code_pkey PRIMARY KEY (person_id, code_hash),
    CONSTRAINT recovery_code_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id)
);

CREATE TABLE rolled_up (
    project_id bigint NOT NULL,
    until timestamp with time zone NOT NULL,
    looked_at timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
    CONSTRAINT rolled_up_pkey PRIMARY KEY (project_id)
);

CREATE TABLE saved_filter (
    person_id bigint NOT NULL,
    place text NOT NULL,
    name text NOT NULL,
    query text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT saved_filter_pkey PRIMARY KEY (person_id, place, name),
    CONSTRAINT saved_filter_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id)
);

CREATE TABLE schedule (
    schedule_id bigint NOT NULL,
    person_id bigint NOT NULL,
    name text NOT NULL,
    every text NOT NULL,
    day smallint NOT NULL,
    hour smallint NOT NULL,
    time_zone text NOT NULL,
    recipients text[] NOT NULL,
    format text NOT NULL,
    query text NOT NULL,
    filter jsonb NOT NULL,
    columns text[] NOT NULL,
    headings text[] NOT NULL,
    language text NOT NULL,
    active boolean NOT NULL,
    next_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT schedule_pkey PRIMARY KEY (schedule_id),
    CONSTRAINT schedule_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id)
);
CREATE INDEX schedule_due ON public.schedule USING btree (next_at) WHERE active;

CREATE TABLE schema_migration (
    name text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT schema_migration_pkey PRIMARY KEY (name)
);

CREATE TABLE session (
    session_id bigint NOT NULL,
    token_hash text NOT NULL,
    csrf text NOT NULL,
    person_id bigint NOT NULL,
    address text NOT NULL,
    device text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    confirmed_at timestamp with time zone,
    ended_at timestamp with time zone,
    CONSTRAINT session_pkey PRIMARY KEY (session_id),
    CONSTRAINT session_token_hash_key UNIQUE (token_hash),
    CONSTRAINT session_person_id_fkey FOREIGN KEY (person_id) REFERENCES person(person_id)
);
CREATE INDEX sessions_of_person ON public.session USING btree (person_id) WHERE (ended_at IS NULL);

CREATE TABLE transition (
    project_id bigint NOT NULL,
    operation_id bigint NOT NULL,
    seq smallint NOT NULL,
    event text NOT NULL,
    status text NOT NULL,
    stage text NOT NULL,
    payment_status text NOT NULL,
    code integer NOT NULL,
    final boolean NOT NULL,
    note text NOT NULL DEFAULT ''::text,
    at timestamp with time zone NOT NULL,
    CONSTRAINT transition_pkey PRIMARY KEY (project_id, operation_id, seq),
    CONSTRAINT transition_project_id_operation_id_fkey FOREIGN KEY (project_id, operation_id) REFERENCES operation(project_id, operation_id)
);
CREATE INDEX transition_final_by_time ON public.transition USING btree (project_id, at) WHERE final;
CREATE INDEX transition_to_error ON public.transition USING btree (project_id, operation_id) WHERE (payment_status = 'error'::text);
CREATE UNIQUE INDEX one_final_transition ON public.transition USING btree (project_id, operation_id) WHERE final;

CREATE TABLE violation (
    directive text NOT NULL,
    blocked text NOT NULL,
    page text NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    CONSTRAINT violation_pkey PRIMARY KEY (directive, blocked, page)
);
