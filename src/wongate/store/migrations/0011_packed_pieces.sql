-- Pieces of a CSV come packed: PostgreSQL's own compression of a megabyte took 30 ms of a core in one go.
SET lock_timeout = '5s';

ALTER TABLE export_piece ADD COLUMN packed boolean NOT NULL DEFAULT false; -- content is a zlib stream of its own
