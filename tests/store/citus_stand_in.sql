-- Functions by the names and arguments of Citus, in a PostgreSQL without it. They write down what they are asked for and refuse
-- what Citus refuses; rows stay where they are.
CREATE SCHEMA citus_stand_in;
SET search_path = public, citus_stand_in;

CREATE TABLE citus_stand_in.asked (
    number bigint GENERATED ALWAYS AS IDENTITY,
    name regclass PRIMARY KEY,
    kind text NOT NULL,
    distribution_column text,
    colocation_id bigint
);

CREATE VIEW citus_stand_in.citus_tables AS
    SELECT name AS table_name, kind AS citus_table_type, distribution_column, colocation_id FROM asked;

CREATE FUNCTION citus_stand_in.create_reference_table(table_name regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    target regclass;
BEGIN
    FOR target IN
        SELECT confrelid FROM pg_constraint WHERE conrelid = table_name AND contype = 'f' AND confrelid <> table_name
    LOOP
        IF NOT EXISTS (SELECT FROM asked WHERE name = target AND kind = 'reference') THEN
            RAISE 'foreign key from reference table % to %, which is none', table_name, target;
        END IF;
    END LOOP;
    INSERT INTO asked (name, kind) VALUES (table_name, 'reference');
END $$;

CREATE FUNCTION citus_stand_in.create_distributed_table(
    table_name regclass,
    distribution_column text,
    distribution_type text DEFAULT 'hash',
    colocate_with text DEFAULT 'default',
    shard_count int DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    own smallint := (SELECT attnum FROM pg_attribute WHERE attrelid = table_name AND attname = distribution_column);
    place bigint;
    index record;
    key record;
BEGIN
    FOR index IN SELECT indexrelid::regclass AS name, indkey FROM pg_index WHERE indrelid = table_name AND indisunique LOOP
        IF NOT own = ANY (index.indkey) THEN
            RAISE 'unique index % does not hold the distribution column', index.name;
        END IF;
    END LOOP;
    SELECT colocation_id INTO place FROM asked WHERE name = to_regclass(colocate_with) AND kind = 'distributed';
    IF place IS NULL AND colocate_with <> 'none' THEN
        RAISE 'no distributed table % to lie beside', colocate_with;
    END IF;
    place := coalesce(place, table_name::oid::bigint);
    FOR key IN
        SELECT k.conname, k.conkey, k.confkey, a.kind, a.colocation_id, t.attnum AS theirs
        FROM pg_constraint k
        LEFT JOIN asked a ON a.name = k.confrelid
        LEFT JOIN pg_attribute t ON t.attrelid = k.confrelid AND t.attname = distribution_column
        WHERE k.conrelid = table_name AND k.contype = 'f' AND k.conparentid = 0
    LOOP
        IF key.kind = 'reference' THEN
            CONTINUE;
        END IF;
        IF key.kind IS DISTINCT FROM 'distributed' OR key.colocation_id <> place
            OR array_position(key.conkey, own) IS DISTINCT FROM array_position(key.confkey, key.theirs)
            OR NOT own = ANY (key.conkey) THEN
            RAISE 'foreign key % leads to a table that does not lie beside %, or not by the distribution column',
                key.conname, table_name;
        END IF;
    END LOOP;
    INSERT INTO asked (name, kind, distribution_column, colocation_id)
        VALUES (table_name, 'distributed', distribution_column, place);
END $$;
