-- The people of the Dashboard, what they may see, and what they did. Reference tables: small, the same on every node.
SET lock_timeout = '5s';

CREATE TABLE person (
    person_id bigint PRIMARY KEY,
    login text NOT NULL,
    login_key text NOT NULL UNIQUE, -- login as it is compared: without case
    name text NOT NULL,
    password_hash text NOT NULL, -- argon2id with its parameters
    password_initial boolean NOT NULL, -- made for the person by somebody else: to be replaced at the first sign-in
    roles text[] NOT NULL,
    rights_added text[] NOT NULL DEFAULT '{}',
    rights_removed text[] NOT NULL DEFAULT '{}',
    sealed_totp text, -- NULL: no second factor
    totp_step bigint NOT NULL DEFAULT 0, -- of the last code that was taken: a code works once
    language text NOT NULL DEFAULT 'en',
    time_zone text NOT NULL DEFAULT 'Asia/Seoul',
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE person_project (
    project_id bigint NOT NULL REFERENCES project,
    person_id bigint NOT NULL REFERENCES person,
    PRIMARY KEY (project_id, person_id)
);
CREATE INDEX projects_of_person ON person_project (person_id);

CREATE TABLE recovery_code (
    person_id bigint NOT NULL REFERENCES person,
    code_hash text NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (person_id, code_hash)
);

CREATE TABLE session (
    session_id bigint PRIMARY KEY,
    token_hash text NOT NULL UNIQUE, -- SHA-256: the token itself is with the browser alone
    csrf text NOT NULL,
    person_id bigint NOT NULL REFERENCES person,
    address text NOT NULL,
    device text NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    confirmed_at timestamptz, -- the last second factor; NULL: the password alone was right
    ended_at timestamptz
);
CREATE INDEX sessions_of_person ON session (person_id) WHERE ended_at IS NULL;

CREATE TABLE guess (
    subject text PRIMARY KEY, -- login:<hash>, address:<address>, factor:<person>, all
    failures integer NOT NULL,
    last_at timestamptz NOT NULL,
    free_at timestamptz NOT NULL -- no further try before
);
CREATE INDEX guess_age ON guess (last_at);

CREATE TABLE api_token (
    token text PRIMARY KEY,
    person_id bigint NOT NULL REFERENCES person,
    sealed_secret text NOT NULL,
    created_at timestamptz NOT NULL,
    used_at timestamptz,
    ended_at timestamptz
);
CREATE UNIQUE INDEX one_api_token_per_person ON api_token (person_id) WHERE ended_at IS NULL;

CREATE TABLE saved_filter (
    person_id bigint NOT NULL REFERENCES person,
    place text NOT NULL, -- the page it belongs to
    name text NOT NULL,
    query text NOT NULL, -- the page's state as it stands in the URL
    created_at timestamptz NOT NULL,
    PRIMARY KEY (person_id, place, name)
);

CREATE TABLE board (
    person_id bigint PRIMARY KEY REFERENCES person,
    tiles jsonb NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE audit_entry (
    seq bigint PRIMARY KEY, -- without gaps
    at timestamptz NOT NULL,
    person_id bigint, -- NULL: the operator at the command line, or nobody known
    actor text NOT NULL, -- the login as it was then
    address text NOT NULL,
    action text NOT NULL,
    object text NOT NULL, -- what it was done to: project/1001, person/7
    project_ids bigint[] NOT NULL, -- whose people may read it
    before jsonb,
    after jsonb,
    confirmed boolean NOT NULL, -- with a fresh second factor
    hash text NOT NULL -- SHA-256 over the previous row's hash and this row
);
CREATE INDEX audit_of_projects ON audit_entry USING gin (project_ids);

CREATE TABLE audit_head ( -- one row, made by the first writer
    id smallint PRIMARY KEY CHECK (id = 1),
    seq bigint NOT NULL,
    hash text NOT NULL -- of the last entry; its lock puts writers in a row
);
