-- Cached functions that call cached functions: the outer result rests on what the inner ones rest on.
CREATE SCHEMA co;
SET search_path = co, public;
CREATE TABLE dept (id int PRIMARY KEY, name text);
CREATE TABLE task (id int PRIMARY KEY, dept int, hours int);
INSERT INTO dept VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO task VALUES (1, 1, 1), (2, 1, 2), (3, 2, 3), (4, 3, 4);
CREATE FUNCTION told() RETURNS text LANGUAGE sql
  AS $$ SELECT concat_ws(': ', cause, not_stored, CASE result WHEN 'uncached' THEN reason WHEN 'hit' THEN 'hit' END)
        FROM aggcache.last_call() $$;
-- makes c_name in language cached_sql and its twin p_name in language sql, of bodies that differ in the functions named
CREATE FUNCTION twin(signature text, result text, body text, options text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE OR REPLACE FUNCTION c_%s RETURNS %s LANGUAGE cached_sql STABLE %s AS %L', signature, result,
    options, body);
  EXECUTE format('CREATE OR REPLACE FUNCTION p_%s RETURNS %s LANGUAGE sql STABLE %s AS %L', signature, result,
    options, replace(body, 'c_', 'p_'));
END $$;
CREATE FUNCTION look(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE same boolean;
BEGIN
  EXECUTE format('SELECT (SELECT array_agg(a ORDER BY a) FROM p_%1$s a) IS NOT DISTINCT FROM
    (SELECT array_agg(a ORDER BY a) FROM c_%1$s a)', call) INTO same;
  RETURN CASE WHEN same THEN '' ELSE 'DIFFERS ' END || told();
END $$;

-- a scalar on rows, two levels deep
SELECT twin('hours(d int)', 'bigint', 'SELECT sum(hours) FROM co.task WHERE dept = d');
SELECT twin('double(d int)', 'bigint', 'SELECT 2 * co.c_hours(id) FROM co.dept WHERE id = d');
SELECT twin('low(top int)', 'TABLE (n text, h bigint)',
  'SELECT name, co.c_double(id) FROM co.dept WHERE id < top');
SELECT function, relation, tracked, granularity FROM aggcache.dependencies
  WHERE function::text ~ 'c_(low|double)' ORDER BY 1, 2;
SELECT look('low(3)');
SELECT look('low(3)');
UPDATE task SET hours = hours + 1 WHERE dept = 3;      -- in none of the departments
SELECT look('low(3)');
UPDATE task SET hours = hours + 1 WHERE dept = 2;
SELECT look('low(3)');
SELECT look('low(3)');
SELECT look('double(1)');                              -- had not changed meanwhile
SELECT look('double(2)');                              -- was computed as a part
UPDATE dept SET name = 'TWO' WHERE id = 2;
SELECT look('low(3)');
SELECT look('low(3)');
TRUNCATE task;
SELECT look('low(3)');
INSERT INTO task VALUES (1, 1, 1), (2, 1, 2), (3, 2, 3), (4, 3, 4);
SELECT look('low(3)');
SELECT look('low(3)');
-- stored from hits alone
SELECT aggcache.invalidate('c_low(int)');
SELECT look('low(3)');
SELECT look('low(3)');
UPDATE task SET dept = 1 WHERE id = 4;                 -- into one of them
SELECT look('low(3)');
SELECT look('low(3)');
BEGIN;
UPDATE task SET hours = 100 WHERE id = 1;
SELECT look('low(3)');
ROLLBACK;
SELECT look('low(3)');

-- sets in FROM and LATERAL
SELECT twin('rows_of(d int)', 'SETOF co.task', 'SELECT * FROM co.task WHERE dept = d');
SELECT twin('joined(a int, b int)', 'TABLE (n text, id int)',
  'SELECT d.name, r.id FROM co.dept d, LATERAL co.c_rows_of(d.id) r WHERE d.id IN (a, b)');
SELECT look('joined(1, 2)');
SELECT look('joined(1, 2)');
INSERT INTO task VALUES (9, 3, 9);
SELECT look('joined(1, 2)');
INSERT INTO task VALUES (10, 2, 5);
SELECT look('joined(1, 2)');
SELECT look('joined(1, 2)');
ALTER TABLE task ADD COLUMN extra int;
SELECT look('joined(1, 2)');
SELECT look('joined(1, 2)');

-- replaced, dropped
SELECT twin('hours(d int)', 'bigint', 'SELECT 10 * sum(hours) FROM co.task WHERE dept = d');
SELECT look('low(3)');
SELECT look('low(3)');
DROP FUNCTION c_hours(int);
SELECT function, reason FROM aggcache.functions WHERE function::text ~ 'c_(low|double)' ORDER BY 1;
SELECT * FROM c_low(3);
SELECT twin('hours(d int)', 'bigint', 'SELECT sum(hours) FROM co.task WHERE dept = d');
SELECT look('low(3)');
SELECT look('low(3)');

-- what the inner function takes from outside is an input of the outer one too
SET co.tenant = 1;
SELECT twin('tenant(d int)', 'bigint', $$ SELECT count(*) FROM co.task WHERE dept = d AND hours > current_setting('co.tenant')::int $$);
SELECT twin('tenants()', 'bigint', 'SELECT sum(co.c_tenant(id)) FROM co.dept');
SELECT look('tenants()');
SELECT look('tenants()');
SET co.tenant = 3;
SELECT look('tenants()');
SELECT look('tenants()');
SET co.tenant = 1;
SELECT look('tenants()');
-- settings that functions read silently
SELECT twin('day(d int)', 'text', $$ SELECT to_char(timestamptz '2024-01-01 12:00+00' + d * interval '1 hour', 'HH24') $$);
SELECT twin('days()', 'SETOF text', 'SELECT co.c_day(id) FROM co.dept');
SELECT look('days()');
SELECT look('days()');
SET timezone = 'Asia/Tokyo';
SELECT look('days()');
RESET timezone;
-- but not what depends on arguments and more than settings, nor what only the inner function would see
SELECT twin('since(d int)', 'bigint', 'SELECT count(*) FROM co.task WHERE dept = d AND hours < current_date - (date ''2020-01-01'' + d)');
SELECT twin('sinces()', 'bigint', 'SELECT sum(co.c_since(id)) FROM co.dept');
SELECT look('sinces()');
SELECT twin('zone(d int)', 'bigint', 'SELECT count(*) FROM co.task WHERE dept = d AND current_date > ''2020-01-01''', 'SET timezone = ''UTC''');
SELECT twin('zones()', 'bigint', 'SELECT sum(co.c_zone(id)) FROM co.dept');
SELECT look('zones()');
SELECT twin('zone(d int)', 'bigint', $$SELECT count(*) FROM co.task WHERE dept = d AND hours > current_setting('co.tenant')::int$$, 'SET timezone = ''UTC''');
SELECT look('zones()');
SELECT look('zones()');
SET co.tenant = 3;
SELECT look('zones()');

-- equal lists of inputs, used otherwise
SET co.a = 0;
SET co.b = 100;
CREATE VIEW v1 AS SELECT * FROM task WHERE hours > current_setting('co.a')::int;
CREATE VIEW v2 AS SELECT * FROM task WHERE hours > current_setting('co.b')::int;
CREATE VIEW v3 AS SELECT * FROM task WHERE hours > current_setting('co.a')::int;
SELECT twin('v1(d int)', 'bigint', 'SELECT count(*) FROM co.v1 WHERE dept = d');
SELECT twin('v2(d int)', 'bigint', 'SELECT count(*) FROM co.v2 WHERE dept = d');
SELECT twin('v3(d int)', 'bigint', 'SELECT count(*) FROM co.v3 WHERE dept = d');
SELECT twin('vs()', 'SETOF bigint', 'SELECT co.c_v1(id) + 10 * co.c_v2(id) + 100 * co.c_v3(id) FROM co.dept');
SELECT look('vs()');
SELECT look('vs()');
CREATE OR REPLACE VIEW v3 AS SELECT * FROM task WHERE hours > current_setting('co.b')::int;
SELECT look('vs()');

-- functions of arguments inside the inner one
CREATE FUNCTION bound(d int) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
  AS 'SELECT min(hours) FROM co.task WHERE dept = d';
SELECT twin('above(d int)', 'bigint', 'SELECT count(*) FROM co.dept WHERE id + 2 > co.bound(d)');
SELECT twin('aboves()', 'bigint', 'SELECT sum(co.c_above(id)) FROM co.dept');
SELECT look('above(2)');                               -- so it is there before
SELECT look('aboves()');
SELECT look('aboves()');
UPDATE task SET hours = hours - 1 WHERE dept = 2;
SELECT look('aboves()');
SELECT look('aboves()');
SELECT twin('above(d int)', 'bigint', 'SELECT count(*) FROM co.dept WHERE id + 2 > co.c_tenant(d)');
SELECT look('above(2)');
SELECT look('aboves()');
SELECT look('aboves()');
INSERT INTO task VALUES (20, 2, 20);
SELECT look('aboves()');
SELECT look('aboves()');
CREATE FUNCTION hidden(d int) RETURNS bigint LANGUAGE plpgsql STABLE
  AS 'BEGIN RETURN (SELECT count(*) FROM co.task WHERE dept = d); END';
SELECT twin('above(d int)', 'bigint', 'SELECT count(*) FROM co.dept WHERE id + 2 > co.hidden(d)');
SELECT look('above(2)');
SELECT look('aboves()');
SELECT look('aboves()');
SELECT * FROM aggcache.explain('c_tenants()');

-- the inner one's obstacle is the outer one's
SELECT twin('moving(d int)', 'bigint', 'SELECT count(*) FROM co.task WHERE dept = d AND ctid IS NOT NULL');
SELECT twin('movings()', 'bigint', 'SELECT sum(co.c_moving(id)) FROM co.dept');
SELECT look('movings()');
SELECT twin('bare(d int)', 'bigint', 'SELECT count(*) FROM co.task WHERE dept = d');
SELECT twin('bares()', 'bigint', 'SELECT sum(co.c_bare(id)) FROM co.dept');
ALTER TABLE task DISABLE TRIGGER aggcache_track;
SELECT look('bares()');
ALTER TABLE task ENABLE ALWAYS TRIGGER aggcache_track;
SELECT look('bares()');
SELECT look('bares()');

-- recursion ends
SELECT twin('even(n int)', 'boolean', 'SELECT bool_and(id > 0) FROM co.dept');
SELECT twin('odd(n int)', 'boolean', 'SELECT bool_or(co.c_even(id - 1)) FROM co.dept WHERE id = n AND n > 0');
SELECT twin('even(n int)', 'boolean', 'SELECT coalesce(bool_or(co.c_odd(id - 1)), n = 0) FROM co.dept WHERE id = n AND n > 0');
SELECT look('even(2)');

-- looser contracts stay the inner one's
SELECT twin('now_ish(d int)', 'bigint', $$ SELECT count(*) FROM co.task WHERE dept = d AND now() > '2020-01-01' $$, 'SET aggcache.ttl = ''1h''');
SELECT twin('now_ishes()', 'bigint', 'SELECT sum(co.c_now_ish(id)) FROM co.dept');
SELECT look('now_ishes()');
SELECT look('now_ishes()');
-- (what is in Redis, the view does not show)
SELECT coalesce(bool_and(expires_at BETWEEN now() AND now() + interval '1h'),
                current_setting('aggcache.store') = 'redis') AS bounded
  FROM aggcache.entries WHERE function = 'c_now_ishes()'::regprocedure;
ALTER FUNCTION c_hours(int) SET aggcache.enabled = off;
SELECT look('double(1)');
ALTER FUNCTION c_hours(int) RESET aggcache.enabled;

-- security definer: as the owner
CREATE ROLE regress_co_user;
GRANT USAGE ON SCHEMA co TO regress_co_user;
GRANT SELECT ON dept TO regress_co_user;
SELECT twin('hours(d int)', 'bigint', 'SELECT sum(hours) FROM co.task WHERE dept = d', 'SECURITY DEFINER');
SET ROLE regress_co_user;
SELECT look('low(3)');
SELECT look('low(3)');
RESET ROLE;
SELECT twin('hours(d int)', 'bigint', 'SELECT sum(hours) FROM co.task WHERE dept = d');
SET ROLE regress_co_user;
SELECT * FROM c_low(3);
RESET ROLE;
SELECT look('low(3)');
SELECT look('low(3)');
SET ROLE regress_co_user;
SELECT * FROM c_low(3);
RESET ROLE;
-- the caller must be allowed to call the inner one, hit or not
GRANT SELECT ON task TO regress_co_user;
SET ROLE regress_co_user;
SELECT look('low(3)');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION c_hours(int) FROM PUBLIC;
SET ROLE regress_co_user;
SELECT * FROM c_low(3);
RESET ROLE;
GRANT EXECUTE ON FUNCTION c_hours(int) TO PUBLIC;
-- row security of what the inner one reads
ALTER TABLE task ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON task USING (hours > current_setting('co.tenant')::int);
SET ROLE regress_co_user;
SET co.tenant = 1;
SELECT look('low(3)');
SELECT look('low(3)');
SET co.tenant = 3;
SELECT look('low(3)');
SELECT look('low(3)');
RESET ROLE;
SELECT look('low(3)');
ALTER TABLE task DISABLE ROW LEVEL SECURITY;

-- cached functions inside an opaque one
CREATE FUNCTION wrapped(d int) RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN co.c_hours(d); END';
CREATE FUNCTION c_wraps() RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'co.task'
  AS 'SELECT sum(co.wrapped(id)) FROM co.dept';
CREATE FUNCTION p_wraps() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(co.wrapped(id)) FROM co.dept';
SELECT look('wraps()');
SELECT look('wraps()');
UPDATE task SET hours = hours + 1 WHERE dept = 2;
SELECT look('wraps()');
-- a failure inside is not kept
CREATE FUNCTION fails(d int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN (SELECT co.c_ratio(d)); EXCEPTION WHEN division_by_zero THEN RETURN -1; END $$;
SELECT twin('ratio(d int)', 'bigint', 'SELECT sum(hours / (dept - 2)) FROM co.task WHERE dept = d');
CREATE FUNCTION c_ratios() RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'co.task'
  AS 'SELECT sum(co.fails(id)) FROM co.dept';
CREATE FUNCTION p_ratios() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(co.fails(id)) FROM co.dept';
SELECT look('ratios()');
SELECT look('ratios()');

-- functions that are not inlined between cached ones: what they reach counts as a whole
SELECT twin('hours(d int)', 'bigint', 'SELECT sum(hours) FROM co.task WHERE dept = d');
CREATE FUNCTION between_c(d int) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT co.c_hours(id) FROM co.dept WHERE id = d';
CREATE FUNCTION c_around(top int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(co.between_c(id)) FROM co.dept WHERE id < top';
CREATE FUNCTION p_around(top int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(co.p_hours(id)) FROM co.dept WHERE id < top';
SELECT look('around(3)');
SELECT look('around(3)');
UPDATE task SET hours = hours + 1 WHERE dept = 3;
SELECT look('around(3)');
SELECT look('around(3)');

SET client_min_messages = warning;
DROP SCHEMA co CASCADE;
DROP ROLE regress_co_user;
