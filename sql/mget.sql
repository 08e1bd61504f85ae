-- aggcache.mget(): many calls in one statement give what the calls one by one give
\set VERBOSITY sqlstate
CREATE SCHEMA mget;
SET search_path = mget, public;
CREATE TABLE task (id int PRIMARY KEY, dept int, status text, hours numeric);
INSERT INTO task SELECT i, i % 300, (ARRAY['open', 'done'])[1 + i % 2], i % 7 FROM generate_series(1, 3000) i;
CREATE FUNCTION workload(dept int) RETURNS TABLE (status text, tasks bigint, hours numeric) LANGUAGE cached_sql STABLE
  AS 'SELECT status, count(*), sum(hours) FROM task t WHERE t.dept = $1 GROUP BY status';
CREATE FUNCTION hours_of(dept int, status text DEFAULT 'open') RETURNS numeric LANGUAGE cached_sql STABLE STRICT
  AS 'SELECT sum(hours) FROM task t WHERE t.dept = $1 AND t.status = $2';
CREATE FUNCTION latest(dept int) RETURNS task LANGUAGE cached_sql STABLE
  AS 'SELECT * FROM task t WHERE t.dept = $1 ORDER BY id DESC LIMIT 1';
CREATE FUNCTION anonymous(dept int) RETURNS SETOF record LANGUAGE cached_sql STABLE
  AS 'SELECT id, hours FROM task t WHERE t.dept = $1';
CREATE FUNCTION plain(dept int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM task t WHERE t.dept = $1';

-- sets: nothing missing, nothing more, whether computed or hit, in more than one batch
CREATE VIEW difference AS
  WITH many AS (
    SELECT dept, r.* FROM aggcache.mget('workload(int)', (SELECT array_agg(d ORDER BY d) FROM generate_series(1, 700) d))
        AS r (ordinality bigint, status text, tasks bigint, hours numeric),
      LATERAL (SELECT ordinality::int AS dept) d),
  each AS (
    SELECT dept, t.status, count(*) AS tasks, sum(t.hours) AS hours FROM task t WHERE dept BETWEEN 1 AND 700
    GROUP BY dept, t.status)
  SELECT count(*) AS rows,
         count(*) FILTER (WHERE (m.tasks, m.hours) IS NOT DISTINCT FROM (e.tasks, e.hours)) AS equal
  FROM (SELECT dept, status, tasks, hours FROM many) m FULL JOIN each e USING (dept, status);
SELECT * FROM difference;
SELECT * FROM difference;
UPDATE task SET hours = hours + 1 WHERE dept IN (5, 250);
SELECT * FROM difference;
BEGIN;
DELETE FROM task WHERE dept = 7;
SELECT * FROM difference;
ROLLBACK;
SELECT * FROM difference;

-- scalars, defaults, nulls of a strict function, rows of a named type, text for other types
SELECT * FROM aggcache.mget('hours_of(int, text)', ARRAY[1, NULL, 2, 2]) AS r (n bigint, hours numeric) ORDER BY n;
SELECT * FROM aggcache.mget('hours_of(int, text)', ARRAY[1, 2], ARRAY['done', 'open']) AS r (n bigint, hours numeric)
ORDER BY n;
SELECT * FROM aggcache.mget('hours_of(int, text)', ARRAY['1', '2'], ARRAY['done', 'open']::varchar[])
  AS r (n bigint, hours numeric) ORDER BY n;
SELECT * FROM aggcache.mget('latest(int)', ARRAY[1, 100000]) AS r (n bigint, id int, dept int, status text, hours numeric)
ORDER BY n;
SELECT count(*) FROM aggcache.mget('workload(int)', ARRAY[]::int[]) AS r (n bigint, status text, tasks bigint, hours numeric);
SELECT count(*) FROM aggcache.mget('workload(int)', NULL::int[]) AS r (n bigint, status text, tasks bigint, hours numeric);

-- blanks of char(n), names of objects, rows of a table that has lost a column
CREATE FUNCTION of_status(status text) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM task t WHERE t.status = $1';
SELECT * FROM aggcache.mget('of_status(text)', ARRAY['open', 'done']::char(10)[]) AS r (n bigint, tasks bigint)
ORDER BY n;
CREATE FUNCTION with_oid(o oid) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM task t WHERE t.id = $1::bigint % 10';
SELECT n, tasks >= 0 AS counted FROM aggcache.mget('with_oid(oid)', ARRAY['task'::regclass]) AS r (n bigint, tasks bigint);
CREATE TABLE reduced (id int, gone int, name text, note text);
INSERT INTO reduced SELECT i, -i, 'name ' || i, CASE WHEN i % 2 = 0 THEN 'note' END FROM generate_series(1, 6) i;
ALTER TABLE reduced DROP COLUMN gone;
CREATE FUNCTION reduced_from(first int) RETURNS SETOF reduced LANGUAGE cached_sql STABLE
  AS 'SELECT * FROM reduced WHERE id >= $1 ORDER BY id';
CREATE FUNCTION reduced_one(wanted int) RETURNS reduced LANGUAGE cached_sql STABLE
  AS 'SELECT * FROM reduced WHERE id = $1';
SELECT * FROM aggcache.mget('reduced_from(int)', ARRAY[5, 6]) AS r (n bigint, id int, name text, note text);
SELECT * FROM aggcache.mget('reduced_from(int)', ARRAY[5, 6]) AS r (n bigint, id int, name text, note text);
SELECT * FROM aggcache.mget('reduced_one(int)', ARRAY[1, 2, 99]) AS r (n bigint, id int, name text, note text);

-- rows of hits whose columns are of all alignments, long, empty and null
CREATE FUNCTION shapes(dept int) RETURNS TABLE (odd boolean, id int, small smallint, status text, long text, big bigint,
  letter "char", numbers int[], at timestamp, hours numeric, maybe text) LANGUAGE cached_sql STABLE
  AS $$SELECT id % 2 = 1, id, id::smallint, left(t.status, id % 5), repeat(t.status, id % 70), id::bigint * 1000000000,
         'x'::"char", ARRAY[id, id % 3], timestamp '2024-01-01' + id * interval '1 second', t.hours,
         CASE WHEN id / 300 % 2 = 0 THEN 'there' END
       FROM task t WHERE t.dept = $1$$;
DO $$ BEGIN
  EXECUTE replace(replace(pg_get_functiondef('shapes(int)'::regprocedure), 'shapes', 'plain_shapes'), 'cached_sql', 'sql');
END $$;
CREATE VIEW shape_difference AS
  SELECT count(*) AS rows, count(*) FILTER (WHERE many = each) AS equal, count(*) FILTER (WHERE NOT many ? 'maybe') AS nulls
  FROM (SELECT jsonb_strip_nulls(to_jsonb(r)) AS many, n, id
        FROM aggcache.mget('shapes(int)', (SELECT array_agg(d) FROM generate_series(1, 20) d))
          AS r (n bigint, odd boolean, id int, small smallint, status text, long text, big bigint, letter "char",
                numbers int[], at timestamp, hours numeric, maybe text)) m
       FULL JOIN
       (SELECT jsonb_strip_nulls(to_jsonb(p) || jsonb_build_object('n', d)) AS each, d::bigint AS n, p.id
        FROM generate_series(1, 20) d, LATERAL plain_shapes(d) p) e USING (n, id);
SELECT * FROM shape_difference;
SELECT * FROM shape_difference;

-- errors
\set VERBOSITY default
SELECT * FROM aggcache.mget('workload(int)', ARRAY[1]) AS r (status text, tasks bigint, hours numeric);
SELECT * FROM aggcache.mget('workload(int)', 1) AS r (n bigint, status text, tasks bigint, hours numeric);
SELECT * FROM aggcache.mget('hours_of(int, text)', ARRAY[1, 2], ARRAY['open']) AS r (n bigint, hours numeric);
SELECT * FROM aggcache.mget('anonymous(int)', ARRAY[1]) AS r (n bigint, id int, hours numeric);
SELECT * FROM aggcache.mget('plain(int)', ARRAY[1]) AS r (n bigint, tasks bigint);
CREATE ROLE regress_mget;
GRANT USAGE ON SCHEMA mget TO regress_mget;
REVOKE EXECUTE ON FUNCTION workload(int) FROM PUBLIC;
SET ROLE regress_mget;
SELECT * FROM aggcache.mget('workload(int)', ARRAY[1]) AS r (n bigint, status text, tasks bigint, hours numeric);
SELECT * FROM aggcache.mget('hours_of(int, text)', ARRAY[1]) AS r (n bigint, hours numeric);
RESET ROLE;

-- a function's own settings count
ALTER FUNCTION workload(int) SET aggcache.ttl = '1h';
SELECT count(*) FROM aggcache.mget('workload(int)', ARRAY[1, 2, 3]) AS r (n bigint, status text, tasks bigint, hours numeric);
SET client_min_messages = warning;
DROP SCHEMA mget CASCADE;
DROP ROLE regress_mget;
