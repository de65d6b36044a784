-- What browsers reported of pages that broke their policy: one row for each kind, few new ones a day, kept for a month.
SET lock_timeout = '5s';

CREATE TABLE violation (
    directive text NOT NULL,
    blocked text NOT NULL, -- an origin or a keyword
    page text NOT NULL, -- the part of its path that names nobody
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (directive, blocked, page)
);
