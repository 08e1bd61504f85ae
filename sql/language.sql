-- Functions of every shape that LANGUAGE sql knows: each call is made twice, the second from the cache.
CREATE TABLE task (id int PRIMARY KEY, department_id int, status text, hours numeric);
INSERT INTO task SELECT i, i % 5, CASE WHEN i % 3 = 0 THEN 'open' ELSE 'done' END, i % 8 FROM generate_series(1, 100) i;

CREATE FUNCTION workload(dept int) RETURNS TABLE (status text, tasks bigint, hours numeric) LANGUAGE cached_sql STABLE
  AS $$ SELECT status, count(*), sum(hours) FROM task WHERE department_id = dept GROUP BY status ORDER BY status $$;
SELECT * FROM workload(3);
SELECT * FROM workload(3);
SELECT result FROM aggcache.last_call();

CREATE FUNCTION scalar(dept int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM task WHERE department_id = $1';
SELECT scalar(1), scalar(1), scalar(NULL), scalar(NULL);

CREATE FUNCTION by_reference(dept int) RETURNS text LANGUAGE cached_sql STABLE
  AS $$ SELECT string_agg(id::text, ',' ORDER BY id) FROM task WHERE department_id = $1 AND id < 20 $$;
SELECT by_reference(2), by_reference(2), by_reference(-1) IS NULL AS none, by_reference(-1) IS NULL AS none;

CREATE FUNCTION one_row() RETURNS task LANGUAGE cached_sql STABLE AS 'SELECT * FROM task WHERE id = 4';
SELECT one_row();
SELECT one_row(), (one_row()).status;
SELECT * FROM one_row();

CREATE FUNCTION several_out(OUT a int, OUT b text) LANGUAGE cached_sql STABLE AS $$ SELECT 1, 'x'::text $$;
SELECT several_out(), (several_out()).b;
SELECT * FROM several_out();

-- the same body, another shape: entries are not mixed up
CREATE FUNCTION records() RETURNS SETOF record LANGUAGE cached_sql STABLE AS $$ SELECT 1, 'x'::text $$;
SELECT * FROM records() AS (a int, b text);
SELECT * FROM records() AS (a int, b text);

CREATE FUNCTION rows_of_table() RETURNS SETOF task LANGUAGE cached_sql STABLE AS 'SELECT * FROM task WHERE id < 4 ORDER BY id';
SELECT * FROM rows_of_table();
SELECT rows_of_table();
SELECT (rows_of_table()).hours;

CREATE FUNCTION set_of_scalar() RETURNS SETOF int LANGUAGE cached_sql STABLE AS 'SELECT id FROM task WHERE id < 4 ORDER BY 1';
SELECT set_of_scalar();
SELECT set_of_scalar(), 1;
SELECT * FROM set_of_scalar() WITH ORDINALITY;

CREATE FUNCTION no_rows(a int) RETURNS TABLE (x int) LANGUAGE cached_sql STABLE AS 'SELECT id FROM task WHERE id = a';
SELECT * FROM no_rows(-1);
SELECT * FROM no_rows(-1);

CREATE FUNCTION variadic_argument(VARIADIC int[]) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM task WHERE department_id = ANY ($1)';
SELECT variadic_argument(1, 2, 3), variadic_argument(1), variadic_argument(1, 2, 3);

CREATE FUNCTION defaults(a int DEFAULT 3, b int DEFAULT NULL) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM task WHERE (department_id = a OR a IS NULL) AND (id = b OR b IS NULL)';
SELECT defaults(), defaults(4), defaults(b => 3), defaults(NULL, NULL), defaults();

CREATE FUNCTION polymorphic(x anyelement) RETURNS anyarray LANGUAGE cached_sql STABLE AS 'SELECT array_agg(x) FROM task WHERE id < 3';
SELECT polymorphic(1), polymorphic('a'::text), polymorphic(1), polymorphic('a'::text);

CREATE FUNCTION strict_one(a int) RETURNS int LANGUAGE cached_sql STABLE STRICT AS 'SELECT a + 1';
SELECT strict_one(1), strict_one(NULL);

-- every place where a function can stand
SELECT d, w.* FROM generate_series(1, 2) d, LATERAL workload(d) w;
SELECT count(*) FROM task WHERE scalar(department_id) = 20;
PREPARE p (int) AS SELECT * FROM workload($1);
EXECUTE p (3);
EXECUTE p (3);
DO $$
DECLARE n bigint;
BEGIN
  FOR i IN 1 .. 3 LOOP
    SELECT sum(tasks) INTO n FROM workload(i);
    RAISE NOTICE 'department %: %', i, n;
  END LOOP;
END $$;

-- a cursor sees what its snapshot sees
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM workload(3);
FETCH 1 FROM c;
UPDATE task SET hours = hours + 100 WHERE department_id = 3;
FETCH ALL FROM c;
SELECT * FROM workload(3);
ROLLBACK;
SELECT * FROM workload(3);

-- equal values that differ in bytes print differently, so they are different keys
CREATE FUNCTION echo(numeric) RETURNS numeric LANGUAGE cached_sql STABLE AS 'SELECT $1 FROM task LIMIT 1';
SELECT echo(1.0), echo(1.00), echo(1.0);
CREATE FUNCTION echo_float(float8) RETURNS float8 LANGUAGE cached_sql STABLE AS 'SELECT $1 FROM task LIMIT 1';
SELECT echo_float(0.0), echo_float('-0'), echo_float('NaN'), echo_float('NaN');

-- what is computed only because the arguments are known fails only where the plain function fails too
CREATE FUNCTION guarded(a int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM task WHERE department_id > 10 / a AND a <> 0';
CREATE FUNCTION guarded_plain(a int) RETURNS bigint LANGUAGE sql STABLE
  AS 'SELECT count(*) FROM task WHERE department_id > 10 / a AND a <> 0';
CREATE FUNCTION outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
  EXECUTE 'SELECT ' || call INTO answer;
  RETURN answer;
EXCEPTION WHEN division_by_zero THEN
  RETURN 'division by zero';
END $$;
SELECT guarded(5), outcome('guarded(0)') = outcome('guarded_plain(0)') AS same;

DROP TABLE task CASCADE;
DROP FUNCTION workload(int), scalar(int), by_reference(int), several_out(), records(), set_of_scalar(), no_rows(int),
  variadic_argument(int[]), defaults(int, int), polymorphic(anyelement), strict_one(int), echo(numeric), echo_float(float8),
  guarded(int), guarded_plain(int), outcome(text);
