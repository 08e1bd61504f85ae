-- aggcache.wrap(): a cached function from an existing one.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE wrap_owner;
CREATE ROLE wrap_other;
CREATE SCHEMA wrap;
CREATE SCHEMA "Other Place";
GRANT CREATE, USAGE ON SCHEMA wrap, "Other Place" TO wrap_owner;
SET ROLE wrap_owner;
SET search_path = wrap;
CREATE TABLE task (id int PRIMARY KEY, department_id int, status text, hours numeric);
INSERT INTO task SELECT i, 1 + i % 2, CASE i % 3 WHEN 0 THEN 'done' ELSE 'open' END, i FROM generate_series(1, 10) i;

CREATE FUNCTION dept_workload(dept int) RETURNS TABLE (status text, tasks bigint, hours numeric) LANGUAGE sql STABLE
  AS $$ SELECT status, count(*), sum(hours) FROM task WHERE department_id = dept GROUP BY status $$;
SELECT aggcache.wrap('dept_workload(int)');
SELECT * FROM cached_dept_workload(1) EXCEPT SELECT * FROM dept_workload(1);
SELECT count(*) FROM cached_dept_workload(1);
SELECT result FROM aggcache.last_call();
UPDATE task SET hours = 100 WHERE department_id = 1;
SELECT * FROM cached_dept_workload(1) EXCEPT SELECT * FROM dept_workload(1);

-- options, defaults, settings, quoted names
CREATE FUNCTION "Odd Name"(a int, "B c" text DEFAULT 'it''s', VARIADIC rest int[] DEFAULT '{1,2}', OUT n bigint, OUT
  "T" text)
  LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL RESTRICTED COST 123
  SET search_path = wrap, "Other Place", pg_temp SET aggcache.ttl = '5min' SET datestyle = 'ISO, YMD'
  AS 'SELECT count(*), max($2) FROM task WHERE id = a OR id = ANY (rest)';
SELECT aggcache.wrap('"Odd Name"(int,text,int[])', '"Other Place"."Its Copy"');
SELECT pg_get_functiondef('"Other Place"."Its Copy"(int,text,int[])'::regprocedure);
SELECT * FROM "Odd Name"(1);
SELECT * FROM "Other Place"."Its Copy"(1);
CREATE FUNCTION numbers(upto int) RETURNS SETOF int LANGUAGE sql STABLE ROWS 7
  AS 'SELECT id FROM task WHERE id <= upto ORDER BY 1';
SELECT aggcache.wrap('numbers(int)', 'quick_numbers');
SELECT prorows, procost, provolatile, proparallel FROM pg_proc WHERE oid = 'quick_numbers(int)'::regprocedure;
SELECT array_agg(n) FROM quick_numbers(3) n;

-- SQL-standard bodies mean the same whatever the search path
CREATE FUNCTION standard(dept int) RETURNS numeric LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT sum(t.hours) FROM task t WHERE t.department_id = standard.dept AND EXISTS (SELECT 1 FROM task u WHERE u.id =
  dept);
END;
SELECT aggcache.wrap('standard(int)');
CREATE FUNCTION counting(a int, b int DEFAULT 2) RETURNS bigint LANGUAGE sql STABLE
  RETURN (SELECT count(*) FROM task WHERE id BETWEEN a AND b);
SELECT aggcache.wrap('counting(int,int)');
SET search_path = "Other Place", public;
SELECT wrap.standard(1) = wrap.cached_standard(1) AS same, wrap.counting(1) = wrap.cached_counting(1) AS same;
SELECT result, cause FROM aggcache.last_call();
SELECT prosrc FROM pg_proc WHERE oid = 'wrap.cached_counting(int,int)'::regprocedure;
SET search_path = wrap;

-- who may run it stays
CREATE FUNCTION secret() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT count(*) FROM wrap.task';
REVOKE ALL ON FUNCTION secret() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION secret() TO wrap_other;
SELECT aggcache.wrap('secret()');
SELECT proacl = (SELECT proacl FROM pg_proc WHERE oid = 'secret()'::regprocedure) AS same_grants
  FROM pg_proc WHERE oid = 'cached_secret()'::regprocedure;

-- what cannot be wrapped
CREATE FUNCTION procedural() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END';
CREATE PROCEDURE proc() LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION volatile_one() RETURNS float LANGUAGE sql AS 'SELECT random()';
CREATE FUNCTION two() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1; SELECT 2';
CREATE FUNCTION two_atomic() RETURNS int LANGUAGE sql STABLE BEGIN ATOMIC SELECT 1; SELECT 2; END;
\set VERBOSITY sqlstate
SELECT aggcache.wrap('procedural()');
SELECT aggcache.wrap('proc()');
SELECT aggcache.wrap('lower(text)');
SELECT aggcache.wrap('count(*)');
SELECT aggcache.wrap('cached_secret()');
SELECT aggcache.wrap('volatile_one()');
SELECT aggcache.wrap('two()');
SELECT aggcache.wrap('two_atomic()');
SELECT aggcache.wrap('secret()');
SELECT aggcache.wrap('secret()', 'no_such_schema.name');
SELECT aggcache.wrap('secret()', 'a.b.c.d');
SELECT aggcache.wrap('secret()', '');
SELECT aggcache.wrap('no_such_function()');
SELECT aggcache.wrap(0::regprocedure);
SET ROLE wrap_other;
SELECT aggcache.wrap('wrap.secret()');
RESET ROLE;
SELECT aggcache.wrap(NULL) IS NULL;
DROP SCHEMA wrap, "Other Place" CASCADE;
DROP ROLE wrap_owner, wrap_other;
