-- The Data API's limits and pushes; exports with their files, schedules and mails; which days of the past were made up.
-- Reference tables: small beside the payment family, the same on every node.
SET lock_timeout = '5s';

CREATE TABLE api_pace (
    token text PRIMARY KEY REFERENCES api_token,
    calls timestamptz[] NOT NULL, -- of the last minute
    wide_at timestamptz -- the turn of the latest request over a long interval
);

CREATE TABLE push (
    push_id bigint PRIMARY KEY,
    token text NOT NULL REFERENCES api_token,
    lane text NOT NULL, -- scheme, host and port
    url text NOT NULL,
    body text NOT NULL, -- signed when it was enqueued, never changed
    state text NOT NULL, -- waiting, delivered, failed
    attempt integer NOT NULL DEFAULT 0, -- sends begun; also the fencing number
    failures integer NOT NULL DEFAULT 0,
    http_status integer, -- of the latest send; NULL: no answer
    error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL, -- next send; moved ahead as the lease while it is being sent
    finished_at timestamptz
);
CREATE INDEX push_waiting ON push (lane, due_at) WHERE state = 'waiting';
CREATE INDEX push_finished ON push (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE schedule (
    schedule_id bigint PRIMARY KEY,
    person_id bigint NOT NULL REFERENCES person, -- whose projects and right it goes by
    name text NOT NULL,
    every text NOT NULL, -- day, week, month
    day smallint NOT NULL, -- of the week (1 is Monday) or of the month; the last one of a shorter month
    hour smallint NOT NULL,
    time_zone text NOT NULL,
    recipients text[] NOT NULL,
    format text NOT NULL,
    query text NOT NULL, -- the table's conditions as in its URL, without a period: that follows from the run
    filter jsonb NOT NULL, -- the same as reports read it
    columns text[] NOT NULL,
    headings text[] NOT NULL,
    language text NOT NULL,
    active boolean NOT NULL,
    next_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX schedule_due ON schedule (next_at) WHERE active;

CREATE TABLE export (
    export_id bigint PRIMARY KEY,
    person_id bigint NOT NULL REFERENCES person,
    schedule_id bigint, -- NULL: asked for by hand; the schedule may be gone since
    run_at timestamptz, -- the appointment that it keeps
    name text NOT NULL,
    format text NOT NULL,
    query text NOT NULL,
    filter jsonb NOT NULL, -- projects that the person has lost since are left out
    columns text[] NOT NULL,
    headings text[] NOT NULL,
    language text NOT NULL,
    time_zone text NOT NULL,
    recipients text[] NOT NULL DEFAULT '{}',
    state text NOT NULL, -- waiting, ready, failed, removed
    rows_done bigint NOT NULL DEFAULT 0,
    rows_total bigint, -- NULL: not counted yet
    file_name text NOT NULL DEFAULT '',
    file_size bigint NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    attempt integer NOT NULL DEFAULT 0, -- fencing: the claim that may write
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL, -- next look of a worker; moved ahead as the lease while one works
    finished_at timestamptz
);
CREATE UNIQUE INDEX export_once_per_appointment ON export (schedule_id, run_at) WHERE run_at IS NOT NULL;
CREATE INDEX export_waiting ON export (due_at) WHERE state = 'waiting';
CREATE INDEX export_of_person ON export (person_id, export_id);
CREATE INDEX export_kept ON export (finished_at) WHERE state = 'ready';

CREATE TABLE export_piece (
    export_id bigint NOT NULL REFERENCES export,
    attempt integer NOT NULL,
    piece integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (export_id, attempt, piece)
);
ALTER TABLE export_piece ALTER COLUMN content SET STORAGE EXTERNAL; -- XLSX is compressed already, and reading pieces stays cheap

CREATE TABLE mail (
    mail_id bigint PRIMARY KEY,
    export_id bigint NOT NULL REFERENCES export,
    recipient text NOT NULL,
    message_id text NOT NULL, -- the same at every try, so that a mail program knows a repetition
    state text NOT NULL, -- waiting, sent, failed
    attempt integer NOT NULL DEFAULT 0, -- sends begun; also the fencing number
    error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    sent_at timestamptz
);
CREATE INDEX mail_waiting ON mail (due_at) WHERE state = 'waiting';
CREATE INDEX mail_of_export ON mail (export_id);

CREATE TABLE history (
    project_id bigint PRIMARY KEY REFERENCES project,
    until timestamptz NOT NULL -- the first start with a history: days are counted back from here, whenever it is asked for again
);

CREATE TABLE history_day (
    project_id bigint NOT NULL REFERENCES history,
    day date NOT NULL,
    payments integer NOT NULL,
    PRIMARY KEY (project_id, day)
);
