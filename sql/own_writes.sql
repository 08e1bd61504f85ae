-- Own writes in places where what the session notes of them does not reach by itself: workers, and earlier results that
-- aggcache.max_staleness accepts.
CREATE SCHEMA own_writes;
SET search_path = own_writes;
SET client_min_messages = warning;
CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL);
INSERT INTO task SELECT i, 1 + i % 3, i FROM generate_series(1, 9) i;
CREATE FUNCTION cached_hours(d int) RETURNS bigint LANGUAGE cached_sql STABLE PARALLEL SAFE
AS 'SELECT sum(hours) FROM own_writes.task WHERE dept = d';
CREATE FUNCTION plain_hours(d int) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
AS 'SELECT sum(hours) FROM own_writes.task WHERE dept = d';

-- Triggers tell of a statement's rows when it ends. A query that it runs meanwhile sees those written so far, in a
-- parallel worker too.
CREATE FUNCTION seen_by_worker(d int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  seen text;
BEGIN
  EXECUTE 'SELECT own_writes.cached_hours($1) || '' of '' || own_writes.plain_hours($1)' INTO seen USING d;
  RETURN seen;
END $$;
SELECT cached_hours(1), plain_hours(1);
BEGIN;
SELECT count(set_config(name, 'on', true)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT seen_by_worker(1);
-- where there is no result, a worker computes one, for itself
SELECT seen_by_worker(3);
UPDATE task SET hours = hours + 100 WHERE dept = 1 RETURNING id, seen_by_worker(1);
SELECT seen_by_worker(1);
ROLLBACK;
SELECT cached_hours(1), plain_hours(1);

-- An earlier result is accepted, but not one that lacks what this session has committed.
SET aggcache.max_staleness = '1h';
SELECT cached_hours(2);
INSERT INTO task VALUES (10, 2, 1000);
SELECT cached_hours(2), plain_hours(2);
BEGIN;
UPDATE task SET hours = 2000 WHERE id = 10;
SELECT cached_hours(2), plain_hours(2);
COMMIT;
SELECT cached_hours(2), plain_hours(2);
RESET aggcache.max_staleness;

DROP SCHEMA own_writes CASCADE;
