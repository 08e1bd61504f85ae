-- What can be seen: last_call(), the views, explain(), health().
\set VERBOSITY terse
SET client_min_messages = warning;
-- entries and their sizes are those in shared memory
SET aggcache.store = 'shared';
CREATE ROLE observability_owner;
CREATE ROLE observability_other;
CREATE ROLE observability_monitor;
GRANT pg_monitor TO observability_monitor;
CREATE SCHEMA observability;
GRANT CREATE, USAGE ON SCHEMA observability TO observability_owner;
SET ROLE observability_owner;
SET search_path = observability;
CREATE TABLE department (id int PRIMARY KEY, name text);
CREATE TABLE task (id int PRIMARY KEY, department_id int, status text, hours numeric);
INSERT INTO department VALUES (1, 'one'), (2, 'two');
INSERT INTO task SELECT i, 1 + i % 2, 'open', 1 FROM generate_series(1, 10) i;
CREATE VIEW open_task AS SELECT * FROM task WHERE status = 'open';

-- Nothing was called yet.
SELECT count(*), count(function), count(result) FROM aggcache.last_call();

CREATE FUNCTION workload(dept int) RETURNS numeric LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours) FROM open_task t JOIN department d ON d.id = t.department_id WHERE d.id = dept';
CREATE FUNCTION total() RETURNS TABLE (name text, hours numeric) LANGUAGE cached_sql STABLE
  AS 'SELECT d.name, sum(t.hours) FROM observability.department d, observability.task t WHERE d.id = t.department_id
  GROUP BY 1';
CREATE FUNCTION mine(min int) RETURNS bigint LANGUAGE cached_sql STABLE
  SET aggcache.ttl = '5min' SET aggcache.max_staleness = '1500ms'
  AS 'SELECT count(*) FROM observability.task WHERE status = current_setting(''app.status'', true) AND id >= min';

-- last_call() after a miss, a hit, a changed row, an own write, an uncached call.
CREATE VIEW last AS
  SELECT function, result, cause, reason, age IS NOT NULL AS age, cost_ms > 0 AS cost, size > 0
  AS size, waited, stored, not_stored
  FROM aggcache.last_call();
\x on
SELECT workload(1);
SELECT * FROM last;
SELECT workload(1);
SELECT * FROM last;
UPDATE task SET hours = 2 WHERE id = 2;
SELECT workload(1);
SELECT * FROM last;
BEGIN;
UPDATE task SET hours = 3 WHERE id = 2;
SELECT workload(1);
SELECT * FROM last;
ROLLBACK;
SET aggcache.enabled = off;
SELECT workload(1);
SELECT * FROM last;
RESET aggcache.enabled;
SELECT result FROM (SELECT count(*) FROM total()) c, aggcache.last_call();
SET aggcache.max_entry_size = '1kB';
CREATE FUNCTION long() RETURNS text LANGUAGE cached_sql STABLE
  AS 'SELECT repeat(''x'', 2000) FROM observability.task WHERE id = 1';
SELECT length(long());
SELECT * FROM last;
RESET aggcache.max_entry_size;
-- After a call that fails it tells of that one: while it computes, without the cache, row by row, with a hit within.
CREATE FUNCTION share(n int) RETURNS numeric LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours) / n + (workload(1) IS NULL)::int FROM observability.task';
CREATE FUNCTION shares(n int) RETURNS SETOF numeric LANGUAGE cached_sql STABLE
  AS 'SELECT hours / (id - n) FROM observability.task ORDER BY id';
CREATE TABLE soon_gone (id int);
CREATE FUNCTION counted() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM observability.soon_gone';
SELECT workload(1);
SELECT share(0);
SELECT * FROM last;
SELECT workload(1);
SET aggcache.enabled = off;
SELECT share(0);
SELECT * FROM last;
SELECT workload(1);
SELECT shares(3);
SELECT * FROM last;
RESET aggcache.enabled;
SELECT workload(1);
SELECT count(*) FROM shares(3);
SELECT * FROM last;
SELECT workload(1);
DROP TABLE soon_gone;
SELECT counted();
SELECT * FROM last;
SELECT workload(1);
SELECT * FROM last;
DROP FUNCTION share(int), shares(int), counted();
\x off

-- functions: what is cached, and why something is not.
CREATE TABLE gone (id int);
CREATE FUNCTION broken() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM observability.gone';
DROP TABLE gone;
CREATE FUNCTION catalog() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM pg_class';
CREATE FUNCTION identity(x anyelement) RETURNS anyelement LANGUAGE cached_sql STABLE
  AS 'SELECT x FROM observability.task LIMIT 1';
CREATE FUNCTION off() RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.enabled = off
  AS 'SELECT count(*) FROM observability.task';
-- restored before its table, so not checked
SET check_function_bodies = off;
CREATE FUNCTION two() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT 1; SELECT 2';
CREATE FUNCTION writing() RETURNS bigint LANGUAGE cached_sql STABLE AS 'DELETE FROM observability.task RETURNING 1';
CREATE FUNCTION nonsense() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT FROM FROM';
CREATE FUNCTION changing() RETURNS float LANGUAGE cached_sql AS 'SELECT random()';
CREATE FUNCTION clock() RETURNS timestamptz LANGUAGE cached_sql STABLE AS 'SELECT now()';
RESET check_function_bodies;
SELECT function, state, reason, ttl, max_staleness, settings FROM aggcache.functions ORDER BY function::text;
-- a division by zero while planning is told, too
CREATE FUNCTION evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
  AS $$ BEGIN RAISE EXCEPTION 'evaluated by %', current_user; END $$;
SET check_function_bodies = off;
CREATE FUNCTION trap() RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM observability.task WHERE id = observability.evil(1)';
RESET check_function_bodies;
-- Whoever looks, code of the function does not run.
RESET ROLE;
SELECT function, owner, state, reason FROM aggcache.functions WHERE function::text LIKE 'trap%';
SET ROLE observability_monitor;
SELECT function, owner, state, reason FROM aggcache.functions WHERE function::text LIKE '%trap%' OR function::text
  LIKE '%workload%'
  ORDER BY function::text;
SET ROLE observability_other;
SELECT state, reason, count(*) FROM aggcache.functions GROUP BY 1, 2;
SELECT granularity, reason, count(*) FROM aggcache.dependencies GROUP BY 1, 2;
SET ROLE observability_owner;
SELECT pg_catalog.pg_get_userbyid(owner::oid) FROM aggcache.functions WHERE function::text LIKE 'trap%';
DROP FUNCTION trap();
SET search_path = observability;

-- Looking does not run what is declared IMMUTABLE, so this is quick; were it cancelled, the transaction would go on.
CREATE FUNCTION sleepy(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(60); RETURN 1; END';
SET check_function_bodies = off;
CREATE FUNCTION slow() RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM observability.task WHERE id = observability.sleepy(1)';
RESET check_function_bodies;
SET statement_timeout = '30s';
DO $$
BEGIN
  BEGIN
    PERFORM * FROM aggcache.functions;
  EXCEPTION WHEN query_canceled THEN
    RAISE WARNING 'cancelled';
  END;
  CREATE TABLE after_cancel (id int);
END $$;
RESET statement_timeout;
SELECT count(*) FROM after_cancel;
DROP FUNCTION slow();

-- dependencies
SELECT * FROM aggcache.dependencies WHERE function::text IN ('workload(integer)', 'total()', 'mine(integer)',
  'broken()', 'catalog()')
  ORDER BY function::text, relation::text;

-- stats, entries, tables, usage
RESET ROLE;
SET search_path = observability;
SELECT aggcache.reset_stats();
SELECT aggcache.invalidate_all() > 0 AS removed;
SELECT workload(1), workload(1), workload(2);
UPDATE task SET hours = 4 WHERE id = 2;
SELECT workload(1), workload(2);
BEGIN;
DELETE FROM task WHERE id = 1;
SELECT workload(1);
ROLLBACK;
SELECT catalog() > 0;
SELECT function, hits, stale_hits, misses, cold, changed, expired, evicted, own_write, snapshot, uncached, stores,
  rejected_stores,
       evictions, compute_ms > 0 AS computed, saved_ms > 0 AS saved, round(hit_ratio::numeric, 2) AS ratio,
       last_changed > now() - interval '1 hour' AS last_changed, entries, bytes > 0 AS bytes
  FROM aggcache.stats WHERE function::text LIKE 'workload%' OR function::text LIKE 'catalog%' ORDER BY function::text;
SELECT function, length(key_hash), size > 0 AS size, memory >= size AS memory, dependencies > 2 AS dependencies, uses > 0 AS used,
       cost_ms > 0 AS cost, stored_at <= now() AS stored_at, expires_at, valid
  FROM aggcache.entries WHERE function::text LIKE 'workload%' ORDER BY uses > 0;
TRUNCATE task;
SELECT relation, tracked, reason, watches, functions, rows, transactions, bulk, wide FROM aggcache.tables
  WHERE relation::text IN ('task', 'department') ORDER BY relation::text;
ALTER TABLE department DISABLE TRIGGER aggcache_track;
SELECT relation, tracked, reason FROM aggcache.tables WHERE relation::text = 'department';
SELECT state, reason FROM aggcache.functions WHERE function::text = 'workload(integer)';
ALTER TABLE department ENABLE ALWAYS TRIGGER aggcache_track;
SELECT memory > 0 AS memory, memory_free > 0 AS memory_free, entries > 0
  AS entries, stamp_slots, started_at < reset_at AS reset
  FROM aggcache.usage();
SELECT "check", ok FROM aggcache.health();

-- entries are for monitoring roles; the other views are for all
SET ROLE observability_monitor;
SELECT count(*) > 0 FROM aggcache.entries;
SET ROLE observability_other;
\set VERBOSITY sqlstate
SELECT count(*) FROM aggcache.entries;
\set VERBOSITY terse
SELECT count(*) > 0 FROM aggcache.stats;
SELECT count(*) > 0 FROM aggcache.tables;
SELECT count(*) > 0 FROM aggcache.health();
SELECT count(*) FROM aggcache.last_call();

-- explain
SET ROLE observability_owner;
SELECT aggcache.explain('workload(int)');
SELECT aggcache.explain('total()');
SELECT aggcache.explain('mine(int)');
SELECT aggcache.explain('catalog()');
SELECT aggcache.explain('broken()');
SELECT aggcache.explain('identity(anyelement)');
SELECT aggcache.explain('clock()');
\set VERBOSITY sqlstate
SELECT aggcache.explain('evil(int)');
SELECT aggcache.explain(0::regprocedure);
\set VERBOSITY terse
ALTER TABLE task ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON task USING (status = current_user);
SELECT aggcache.explain('mine(int)');
SET ROLE observability_other;
\set VERBOSITY sqlstate
SELECT count(*) FROM aggcache.explain('observability.total()'::regprocedure);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION total() FROM PUBLIC;
SELECT 'observability.total()'::regprocedure::oid AS total \gset
SET ROLE observability_other;
SELECT count(*) FROM aggcache.explain(:total);
RESET ROLE;
\set VERBOSITY terse

DROP SCHEMA observability CASCADE;
DROP ROLE observability_owner, observability_other, observability_monitor;
-- what is gone leaves no rows
SELECT count(*) FROM aggcache.functions WHERE function::text LIKE 'observability%';
SELECT count(*) FROM aggcache.tables WHERE relation::text LIKE 'observability%';
