-- What a comparison with the provider's books found; kept so that people can work through it.
SET lock_timeout = '5s';

CREATE TABLE difference (
    project_id bigint NOT NULL, -- 0 where only the provider knows the transaction
    run_no bigint NOT NULL, -- one comparison
    reference text NOT NULL, -- the provider's id (TID)
    bucket text NOT NULL, -- only ours, only theirs, different, unresolved
    order_number text NOT NULL,
    ours bigint, -- won that should be with the merchant by our books
    theirs bigint, -- and by the provider's
    text text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (project_id, run_no, reference)
);
