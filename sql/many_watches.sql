-- A table that very many functions read: they share watches, and stay as fine. What no watch is left for is said.
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
-- a column that some use, of a row with the kind of none of them, and with that of one of them
UPDATE wide SET m1 = m1 + 1 WHERE id = 3;
SELECT * FROM probe();
UPDATE wide SET kind = 'k0' WHERE id = 3;
SELECT * FROM probe();
UPDATE wide SET m1 = m1 + 1 WHERE id = 3;
SELECT * FROM probe();
-- another kind of key makes more
SELECT make(120, 140, 'tenant = t AND day = date ''2026-01-01'' + t AND kind <> %L');
SELECT count(*) AS watches FROM aggcache.watch WHERE relation = 'wide'::regclass;
SELECT left(unnest(watches), 70) FROM aggcache.tables WHERE relation = 'wide'::regclass;
SELECT granularity, count(*) FROM aggcache.dependencies WHERE relation = 'wide'::regclass GROUP BY 1 ORDER BY 1;
SELECT * FROM probe();
INSERT INTO wide (id, tenant, kind, day, m1) VALUES (9002, 8, 'k1', '2026-01-01', 5);
SELECT * FROM probe();
-- room that functions leave is used again
DO $$ BEGIN FOR n IN 0 .. 140 LOOP EXECUTE format('DROP FUNCTION c_%s(int)', n); END LOOP; END $$;
SELECT count(*) AS watches FROM aggcache.watch WHERE relation = 'wide'::regclass;
-- conditions that cannot be keys, more than can be told apart
CREATE FUNCTION make_each(first int, last int, clause text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR n IN first .. last LOOP
    EXECUTE format('CREATE FUNCTION c_%s(t int) RETURNS bigint LANGUAGE cached_sql STABLE AS %L', n,
      'SELECT sum(m2) FROM many_watches.wide WHERE ' || format(clause, n % 40 + 1));
  END LOOP;
END $$;
SELECT make_each(0, 39, 'tenant = t AND m1 <> %1$s'), make_each(40, 79, 'tenant = t AND m3 <> %1$s');
SELECT count(*) AS watches, sum((predicate IS NULL)::int) AS without FROM aggcache.watch
  WHERE relation = 'wide'::regclass;
SELECT granularity, reason, count(*) FROM aggcache.dependencies WHERE relation = 'wide'::regclass GROUP BY 1, 2
  ORDER BY 3;
SELECT * FROM probe();
SELECT * FROM probe();
-- keys that nothing shares, more than there can be watches
SELECT make_each(100, 139, 'm%1$s = t'), make_each(140, 179, 'tenant = t AND m%1$s = t'),
  make_each(180, 219, 'day = date ''2026-01-01'' + t AND m%1$s = t');
SELECT count(*) AS watches FROM aggcache.watch WHERE relation = 'wide'::regclass;
SET client_min_messages = notice;
SELECT make_each(220, 232, 'kind = t::text AND m%1$s = t');
SELECT function, granularity, reason FROM aggcache.dependencies WHERE relation = 'wide'::regclass
  AND granularity = 'table' ORDER BY function::text;
SELECT granularity, finer FROM aggcache.explain('c_232(int)', 3);
SELECT aggcache.refresh('c_232(int)');
SET client_min_messages = warning;
SELECT * FROM probe();
SELECT * FROM probe();
-- room that functions leave is used again
DO $$ BEGIN FOR n IN 0 .. 39 LOOP EXECUTE format('DROP FUNCTION c_%s(int)', n + 180); END LOOP; END $$;
SELECT aggcache.refresh('c_232(int)');
SELECT granularity, watch FROM aggcache.dependencies WHERE function = 'c_232(int)'::regprocedure;
SELECT count(*) AS watches FROM aggcache.watch WHERE relation = 'wide'::regclass;
DROP SCHEMA many_watches CASCADE;
