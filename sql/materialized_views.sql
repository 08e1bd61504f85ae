-- Materialized views as sources: what REFRESH and ALTER do to results, and that nothing is put on the view.
SET client_min_messages = warning;
CREATE SCHEMA materialized;
SET search_path = materialized;
CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL);
INSERT INTO task SELECT i, 1 + i % 3, i FROM generate_series(1, 9) i;
CREATE MATERIALIZED VIEW workload AS SELECT dept, sum(hours) AS hours FROM task GROUP BY dept;
CREATE UNIQUE INDEX ON workload (dept);
CREATE MATERIALIZED VIEW total AS SELECT sum(hours) AS hours FROM workload;
RESET client_min_messages;

CREATE FUNCTION cached_workload(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT hours FROM materialized.workload WHERE dept = d';
CREATE FUNCTION cached_total() RETURNS numeric LANGUAGE cached_sql STABLE
  AS 'SELECT hours FROM materialized.total';
CREATE FUNCTION cached_share(d int) RETURNS numeric LANGUAGE cached_sql STABLE
  AS 'SELECT sum(t.hours) / min(w.hours) FROM materialized.task t JOIN materialized.workload w USING (dept) WHERE dept = d';
CREATE FUNCTION check_all() RETURNS TABLE (what text, same bool, result text) LANGUAGE plpgsql AS $$
BEGIN
  what := 'workload';
  same := cached_workload(1) IS NOT DISTINCT FROM (SELECT w.hours FROM workload w WHERE dept = 1);
  SELECT c.result INTO result FROM aggcache.last_call() c;
  RETURN NEXT;
  what := 'total';
  same := cached_total() IS NOT DISTINCT FROM (SELECT t.hours FROM total t);
  SELECT c.result INTO result FROM aggcache.last_call() c;
  RETURN NEXT;
  what := 'share';
  same := cached_share(1) IS NOT DISTINCT FROM
    (SELECT sum(t.hours) / min(w.hours) FROM task t JOIN workload w USING (dept) WHERE dept = 1);
  SELECT c.result INTO result FROM aggcache.last_call() c;
  RETURN NEXT;
END $$;

SELECT function, state, reason FROM aggcache.functions WHERE function::text LIKE '%cached\_%' ORDER BY function::text;
SELECT function, relation, granularity, key_columns FROM aggcache.dependencies ORDER BY function::text, relation::text;
SELECT relation, tracked, reason, functions FROM aggcache.tables ORDER BY relation::text;
SELECT tgname FROM pg_trigger WHERE tgrelid IN ('workload'::regclass, 'total'::regclass);
SELECT * FROM check_all();
SELECT * FROM check_all();

-- a write to what the view was made from leaves it as it is
UPDATE task SET hours = hours + 1 WHERE dept = 1;
SELECT * FROM check_all();
-- each REFRESH concerns its own view
REFRESH MATERIALIZED VIEW workload;
SELECT * FROM check_all();
REFRESH MATERIALIZED VIEW CONCURRENTLY workload;
SELECT * FROM check_all();
UPDATE task SET hours = hours + 1 WHERE dept = 1;
REFRESH MATERIALIZED VIEW CONCURRENTLY workload;
SELECT * FROM check_all();
REFRESH MATERIALIZED VIEW total;
SELECT * FROM check_all();
SELECT * FROM check_all();

-- in the own transaction
BEGIN;
UPDATE task SET hours = hours + 1 WHERE dept = 1;
REFRESH MATERIALIZED VIEW CONCURRENTLY workload;
SELECT * FROM check_all();
ROLLBACK;
SELECT * FROM check_all();
BEGIN;
REFRESH MATERIALIZED VIEW workload;
SELECT * FROM check_all();
COMMIT;
SELECT * FROM check_all();

-- what the executor refuses is no change, and does not stand for a later one
BEGIN;
SELECT * FROM check_all();
SAVEPOINT refused;
INSERT INTO workload SELECT * FROM workload;
ROLLBACK TO refused;
SELECT * FROM check_all();
UPDATE task SET hours = hours + 1 WHERE dept = 1;
REFRESH MATERIALIZED VIEW CONCURRENTLY workload;
COMMIT;
SELECT * FROM check_all();

-- without data
REFRESH MATERIALIZED VIEW workload WITH NO DATA;
SELECT cached_workload(1);
SELECT cached_total();
REFRESH MATERIALIZED VIEW workload;
SELECT * FROM check_all();

-- ALTER
ALTER MATERIALIZED VIEW workload RENAME COLUMN hours TO amount;
SELECT cached_workload(1);
ALTER MATERIALIZED VIEW workload RENAME COLUMN amount TO hours;
ALTER MATERIALIZED VIEW workload RENAME TO other;
SELECT cached_workload(1);
ALTER MATERIALIZED VIEW other RENAME TO workload;
SELECT * FROM check_all();
ALTER MATERIALIZED VIEW workload SET (fillfactor = 50);
SELECT * FROM check_all();
DROP MATERIALIZED VIEW total;
CREATE MATERIALIZED VIEW total AS SELECT 5::numeric AS hours;
SELECT * FROM check_all();

-- nothing is put on it, and nothing need be
SELECT aggcache.attach('workload');
DROP FUNCTION cached_workload(int), cached_share(int);
SELECT relation FROM aggcache.tables ORDER BY relation::text;
DROP FUNCTION cached_total();
SET client_min_messages = warning;
DROP SCHEMA materialized CASCADE;
