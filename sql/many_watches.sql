-- A table that very many functions read: from some number on they share watches, and stay as fine by key and range. What
-- no watch is left for is said.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA many_watches;
SET search_path = many_watches;
SELECT format('CREATE TABLE wide (id int PRIMARY KEY, tenant int, kind text, day date, %s)',
  string_agg(format('m%s int', g), ', ')) FROM generate_series(1, 40) g \gexec
INSERT INTO wide (id, tenant, kind, day, m1, m2)
  SELECT i, i % 10, 'k' || i % 5, date '2026-01-01' + i % 90, i, i FROM generate_series(1, 500) i;
CREATE FUNCTION make(first int, last int, clause text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR n IN first .. last LOOP
    EXECUTE format('CREATE FUNCTION c_%s(t int) RETURNS bigint LANGUAGE cached_sql STABLE AS %L', n,
      format('SELECT sum(m%s) FROM many_watches.wide WHERE ' || clause, 1 + n % 40, 'k' || n / 40));
  END LOOP;
END $$;
-- makes all calls; how many were no hits, and how many are wrong
CREATE FUNCTION probe(OUT calls bigint, OUT missed bigint, OUT wrong bigint) LANGUAGE plpgsql AS $$
DECLARE one record; cached bigint; plain bigint; outcome text;
BEGIN
  calls = 0; missed = 0; wrong = 0;
  FOR one IN SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'many_watches'::regnamespace AND proname ~ '^c_' LOOP
    EXECUTE format('SELECT %I(3)', one.proname) INTO cached;
    SELECT result INTO outcome FROM aggcache.last_call();
    EXECUTE regexp_replace(one.prosrc, '\mt\M', '3', 'g') INTO plain;
    calls = calls + 1;
    missed = missed + (outcome <> 'hit')::int;
    wrong = wrong + (cached IS DISTINCT FROM plain)::int;
  END LOOP;
END $$;
SELECT make(0, 119, 'tenant = t AND kind = %L');
SELECT granularity, reason, count(*) FROM aggcache.dependencies
  WHERE relation = 'wide'::regclass GROUP BY 1, 2;
SELECT count(*) AS watches FROM aggcache.watch WHERE relation = 'wide'::regclass;
SELECT granularity, watch, finer FROM aggcache.explain('c_0(int)', 3);
SELECT granularity, watch, finer FROM aggcache.explain('c_119(int)', 3);
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO wide (id, tenant, kind, day, m1) VALUES (9001, 7, 'k1', '2026-01-01', 5);
UPDATE wide SET m1 = 6, m2 = 7 WHERE id = 9001;
SELECT * FROM probe();
-- a column that one uses: those with watches of their own, the one that uses it and those that share
UPDATE wide SET m1 = m1 + 1 WHERE id = 3;
SELECT * FROM probe();
-- another kind of key makes one more, and all are in use by somebody
SELECT make(120, 140, 'tenant = t AND day = date ''2026-01-01'' + t AND kind <> %L');
SELECT count(*) AS watches FROM aggcache.watch WHERE relation = 'wide'::regclass;
SELECT count(*) AS unused FROM aggcache.watch w WHERE NOT EXISTS (
  SELECT FROM aggcache.watch_use u WHERE u.relation = w.relation AND u.watch = w.id);
SELECT granularity, count(*) FROM aggcache.dependencies WHERE relation = 'wide'::regclass GROUP BY 1 ORDER BY 1;
SELECT * FROM probe();
INSERT INTO wide (id, tenant, kind, day, m1) VALUES (9002, 8, 'k1', '2026-01-01', 5);
SELECT * FROM probe();
-- without key and range there is nothing to share
SET client_min_messages = notice;
CREATE FUNCTION c_150(t int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT sum(m9) + t FROM many_watches.wide';
SELECT granularity, reason FROM aggcache.dependencies WHERE function = 'c_150(int)'::regprocedure;
SELECT granularity, finer FROM aggcache.explain('c_150(int)', 3);
SELECT aggcache.refresh('c_150(int)');
-- room that functions leave is used again
DO $$ BEGIN FOR n IN 0 .. 139 LOOP EXECUTE format('DROP FUNCTION c_%s(int)', n); END LOOP; END $$;
SELECT aggcache.refresh('c_150(int)');
SELECT granularity, watch FROM aggcache.dependencies WHERE function = 'c_150(int)'::regprocedure;
SELECT count(*) AS watches FROM aggcache.watch WHERE relation = 'wide'::regclass;
SET client_min_messages = warning;
DROP SCHEMA many_watches CASCADE;
