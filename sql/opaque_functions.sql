-- Functions on rows that cannot be seen through: refused, unless it is stated what they read.
CREATE SCHEMA oq;
SET search_path = oq, public;
CREATE TABLE rate (dept int PRIMARY KEY, factor int);
CREATE TABLE task (id int PRIMARY KEY, dept int, hours int);
CREATE TABLE other (x int);
INSERT INTO rate VALUES (1, 10), (2, 20);
INSERT INTO task VALUES (1, 1, 1), (2, 1, 2), (3, 2, 3);
INSERT INTO other VALUES (1);
CREATE FUNCTION factor(d int) RETURNS int LANGUAGE plpgsql STABLE
  AS 'BEGIN RETURN (SELECT r.factor FROM oq.rate r WHERE r.dept = d); END';
CREATE FUNCTION told() RETURNS text LANGUAGE sql
  AS $$ SELECT concat_ws(': ', result, reason, not_stored) FROM aggcache.last_call() $$;

-- refused, whatever the function is labelled
CREATE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours * factor(dept)) FROM oq.task WHERE dept = d';
\set VERBOSITY sqlstate
CREATE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours * factor(dept)) FROM oq.task WHERE dept = d';
ALTER FUNCTION factor(int) IMMUTABLE;
CREATE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours * factor(dept)) FROM oq.task WHERE dept = d';
ALTER FUNCTION factor(int) STABLE;
-- as are a missing relation and what is not a list
CREATE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'oq.rate, oq.missing'
  AS 'SELECT sum(hours * factor(dept)) FROM oq.task WHERE dept = d';
CREATE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'oq.rate,'
  AS 'SELECT sum(hours * factor(dept)) FROM oq.task WHERE dept = d';
\set VERBOSITY default
-- the session's value states nothing
SET aggcache.depends_on = 'oq.rate';
CREATE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours * factor(dept)) FROM oq.task WHERE dept = d';
RESET aggcache.depends_on;
SET aggcache.depends_on = 'a.b.c';
-- without a column it is a hidden parameter, as ever
CREATE FUNCTION one_factor(d int) RETURNS int LANGUAGE cached_sql STABLE AS 'SELECT max(hours) * factor(d) FROM oq.task';
DROP FUNCTION one_factor(int);

-- stated: tracked at table level
CREATE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = '"oq".rate'
  AS 'SELECT sum(hours * factor(dept)) FROM oq.task WHERE dept = d';
CREATE FUNCTION plain_cost(d int) RETURNS bigint LANGUAGE sql STABLE
  AS 'SELECT sum(hours * oq.factor(dept)) FROM oq.task WHERE dept = d';
CREATE FUNCTION check_cost(d int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE same boolean;
BEGIN
  SELECT oq.cost(d) IS NOT DISTINCT FROM oq.plain_cost(d) INTO same;
  RETURN CASE WHEN same THEN '' ELSE 'DIFFERS ' END || oq.told();
END $$;
SELECT relation, tracked, granularity FROM aggcache.dependencies WHERE function = 'cost(int)'::regprocedure ORDER BY 1;
SELECT function, state, reason FROM aggcache.functions WHERE function = 'cost(int)'::regprocedure;
SELECT check_cost(1);
SELECT check_cost(1);
INSERT INTO other VALUES (2);                          -- not read
SELECT check_cost(1);
UPDATE task SET hours = 4 WHERE dept = 2;              -- another key of what the body itself reads
SELECT check_cost(1);
UPDATE rate SET factor = 21 WHERE dept = 2;            -- of what is stated, every row counts
SELECT check_cost(1);
SELECT check_cost(1);
UPDATE rate SET factor = 11 WHERE dept = 1;
SELECT check_cost(1);
SELECT check_cost(1);
BEGIN;
UPDATE rate SET factor = 12 WHERE dept = 1;
SELECT check_cost(1);
ROLLBACK;
SELECT check_cost(1);
TRUNCATE rate;
SELECT check_cost(1);
INSERT INTO rate VALUES (1, 10), (2, 20);
SELECT check_cost(1);
SELECT check_cost(1);

-- what such a function may notice besides: other functions, roles, settings, temporary objects
CREATE OR REPLACE FUNCTION factor(d int) RETURNS int LANGUAGE plpgsql STABLE
  AS 'BEGIN RETURN (SELECT r.factor + oq.surplus() FROM oq.rate r WHERE r.dept = d); END';
CREATE FUNCTION surplus() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 1; END $$;
SELECT check_cost(1);
SELECT check_cost(1);
CREATE OR REPLACE FUNCTION surplus() RETURNS int LANGUAGE plpgsql STABLE AS $$
  BEGIN RETURN coalesce(current_setting('oq.surplus', true), '0')::int; END $$;
SELECT check_cost(1);
SELECT check_cost(1);
SET oq.surplus = 5;
SELECT check_cost(1);
SELECT check_cost(1);
RESET oq.surplus;
CREATE OR REPLACE FUNCTION surplus() RETURNS int LANGUAGE plpgsql STABLE AS $$
  BEGIN RETURN CASE WHEN pg_has_role('regress_oq_user', 'regress_oq_group', 'MEMBER') THEN 100 ELSE length(current_user) END; END $$;
CREATE ROLE regress_oq_user;
CREATE ROLE regress_oq_group;
GRANT USAGE ON SCHEMA oq TO regress_oq_user;
GRANT SELECT ON task, rate TO regress_oq_user;
SELECT check_cost(1);
SELECT check_cost(1);
SET ROLE regress_oq_user;
SELECT check_cost(1);
SELECT check_cost(1);
RESET ROLE;
GRANT regress_oq_group TO regress_oq_user;
SELECT check_cost(1);
SELECT check_cost(1);
REVOKE regress_oq_group FROM regress_oq_user;
SELECT check_cost(1);
-- a privilege that only the opaque function needs
\set SHOW_CONTEXT never
SET ROLE regress_oq_user;
SELECT check_cost(1);
RESET ROLE;
REVOKE SELECT ON rate FROM regress_oq_user;
SET ROLE regress_oq_user;
SELECT cost(1);
RESET ROLE;
GRANT SELECT (dept), SELECT (factor) ON rate TO regress_oq_user;
SET ROLE regress_oq_user;
SELECT check_cost(1);
SELECT check_cost(1);
RESET ROLE;
REVOKE SELECT (factor) ON rate FROM regress_oq_user;
SET ROLE regress_oq_user;
SELECT cost(1);
RESET ROLE;
GRANT SELECT ON rate TO regress_oq_user;
-- row security of a stated table
CREATE OR REPLACE FUNCTION surplus() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 0; END $$;
SET ROLE regress_oq_user;
SELECT check_cost(1);
SELECT check_cost(1), cost(1);
RESET ROLE;
ALTER TABLE rate ENABLE ROW LEVEL SECURITY;
SET ROLE regress_oq_user;
SELECT check_cost(1), cost(1);
RESET ROLE;
ALTER TABLE rate DISABLE ROW LEVEL SECURITY;

-- a view is what it reads
CREATE VIEW live_rate AS SELECT * FROM rate WHERE factor > 0;
CREATE OR REPLACE FUNCTION factor(d int) RETURNS int LANGUAGE plpgsql STABLE
  AS 'BEGIN RETURN (SELECT r.factor FROM oq.live_rate r WHERE r.dept = d); END';
ALTER FUNCTION cost(int) SET aggcache.depends_on = 'oq.live_rate';
SELECT check_cost(1);
SELECT check_cost(1);
UPDATE rate SET factor = -1 WHERE dept = 1;
SELECT check_cost(1);
SELECT check_cost(1);
CREATE OR REPLACE VIEW live_rate AS SELECT * FROM rate;
SELECT check_cost(1);
SELECT check_cost(1);

-- ALTER FUNCTION takes effect at once; what it names is tracked by refresh
CREATE OR REPLACE FUNCTION factor(d int) RETURNS int LANGUAGE plpgsql STABLE
  AS 'BEGIN RETURN (SELECT max(x) FROM oq.other); END';
ALTER FUNCTION cost(int) SET aggcache.depends_on = 'oq.other';
SELECT check_cost(1);
SELECT function, state, reason FROM aggcache.functions WHERE function = 'cost(int)'::regprocedure;
SELECT aggcache.refresh('cost(int)');
SELECT check_cost(1);
SELECT check_cost(1);
INSERT INTO other VALUES (7);
SELECT check_cost(1);
ALTER FUNCTION cost(int) RESET aggcache.depends_on;
SELECT check_cost(1);
SELECT function, state, reason FROM aggcache.functions WHERE function = 'cost(int)'::regprocedure;
-- it reads nothing
CREATE OR REPLACE FUNCTION factor(d int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN d * 2; END';
ALTER FUNCTION cost(int) SET aggcache.depends_on = '';
SELECT check_cost(1);
SELECT check_cost(1);
UPDATE task SET hours = hours + 1 WHERE dept = 1;
SELECT check_cost(1);
SELECT check_cost(1);
-- a relation that goes and comes back
CREATE TABLE extra (x int);
CREATE OR REPLACE FUNCTION factor(d int) RETURNS int LANGUAGE plpgsql STABLE
  AS $$ BEGIN RETURN CASE WHEN to_regclass('oq.extra') IS NULL THEN 1 ELSE 2 END; END $$;
CREATE OR REPLACE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  SET search_path = oq SET aggcache.depends_on = 'extra, rate'
  AS 'SELECT sum(hours * factor(dept)) FROM task WHERE dept = d';
SELECT check_cost(1);
SELECT check_cost(1);
DROP TABLE extra;
SELECT check_cost(1);
SELECT function, state, reason FROM aggcache.functions WHERE function = 'cost(int)'::regprocedure;
CREATE TABLE extra (x int);
SELECT check_cost(1);
SELECT aggcache.refresh('cost(int)');
SELECT check_cost(1);
SELECT check_cost(1);

-- functions that PostgreSQL's own planner cannot inline are seen through if they are one SELECT
CREATE FUNCTION sql_factor(d int) RETURNS int LANGUAGE sql STABLE SECURITY DEFINER
  AS 'SELECT r.factor FROM oq.rate r WHERE r.dept = d';
CREATE FUNCTION atomic_factor(d int) RETURNS int LANGUAGE sql STABLE SET work_mem = '1MB'
  RETURN (SELECT r.factor FROM oq.rate r WHERE r.dept = d);
CREATE FUNCTION two_statements(d int) RETURNS int LANGUAGE sql STABLE
  AS 'SELECT 1; SELECT r.factor FROM oq.rate r WHERE r.dept = d';
CREATE OR REPLACE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours * oq.sql_factor(dept) + oq.atomic_factor(dept)) FROM oq.task WHERE dept = d';
ALTER FUNCTION cost(int) RESET ALL;
CREATE OR REPLACE FUNCTION plain_cost(d int) RETURNS bigint LANGUAGE sql STABLE
  AS 'SELECT sum(hours * oq.sql_factor(dept) + oq.atomic_factor(dept)) FROM oq.task WHERE dept = d';
SELECT relation, tracked, granularity FROM aggcache.dependencies WHERE function = 'cost(int)'::regprocedure ORDER BY 1;
SELECT check_cost(1);
SELECT check_cost(1);
UPDATE task SET hours = 4 WHERE dept = 2;
SELECT check_cost(1);
UPDATE rate SET factor = 31 WHERE dept = 1;
SELECT check_cost(1);
SELECT check_cost(1);
CREATE OR REPLACE FUNCTION sql_factor(d int) RETURNS int LANGUAGE sql STABLE SECURITY DEFINER
  AS 'SELECT r.factor + 1 FROM oq.rate r WHERE r.dept = d';
SELECT check_cost(1);
SELECT check_cost(1);
\set VERBOSITY terse
CREATE OR REPLACE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours * oq.two_statements(dept)) FROM oq.task WHERE dept = d';

-- a type that hides the one which an opaque function names
CREATE SCHEMA oq_front;
SET search_path = oq_front, oq;
CREATE DOMAIN oq.looked_up AS int;
CREATE TABLE oq.type_named (k int, t regtype, n int);
INSERT INTO type_named VALUES (1, 'looked_up', 7);
CREATE FUNCTION oq.look_up(i int) RETURNS int LANGUAGE plpgsql STABLE AS $$ DECLARE found int; BEGIN
  EXECUTE 'SELECT sum(n) FROM oq.type_named WHERE t = ''looked_up''::regtype' INTO found;
  RETURN found; END $$;
CREATE FUNCTION oq.cached_look_up() RETURNS bigint LANGUAGE cached_sql STABLE
SET aggcache.depends_on = 'oq.type_named'
AS 'SELECT sum(look_up(k)) FROM oq.type_named';
SELECT cached_look_up(), sum(look_up(k)) FROM type_named;
SELECT cached_look_up();
SELECT result FROM aggcache.last_call();
CREATE DOMAIN oq_front.looked_up AS text;
SELECT cached_look_up(), sum(look_up(k)) FROM type_named;
DROP DOMAIN oq_front.looked_up;
SELECT cached_look_up(), sum(look_up(k)) FROM type_named;
SET search_path = oq, public;
DROP SCHEMA oq_front;

-- temporary objects could be what such a function means
CREATE OR REPLACE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'oq.rate'
  AS 'SELECT sum(hours * oq.two_statements(dept)) FROM oq.task WHERE dept = d';
CREATE OR REPLACE FUNCTION plain_cost(d int) RETURNS bigint LANGUAGE sql STABLE
  AS 'SELECT sum(hours * oq.two_statements(dept)) FROM oq.task WHERE dept = d';
SELECT check_cost(1);
SELECT check_cost(1);
CREATE TEMPORARY TABLE rate (dept int);
SELECT check_cost(1);
SET client_min_messages = warning;
DROP SCHEMA oq CASCADE;
DROP ROLE regress_oq_user, regress_oq_group;
