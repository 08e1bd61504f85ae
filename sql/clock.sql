-- What an expression that shows the clock depends on besides the clock is in the key; literals that show it are found.
SET timezone = 'UTC';
CREATE TABLE doc (id int, tenant int, secret text);
INSERT INTO doc VALUES (1, 1, 'of one'), (2, 2, 'of two');
CREATE TABLE event (at timestamptz, wall timestamp, day date);
INSERT INTO event SELECT now() - i * interval '1 h', localtimestamp - i * interval '1 h', current_date - i
  FROM generate_series(1, 1000) i;

-- one function cached, with a ttl, and plain: whether they agree, and what the cached call was
CREATE FUNCTION twins(name text, returns text, body text, options text DEFAULT 'SET aggcache.ttl = ''1h''') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FUNCTION c_%s RETURNS %s LANGUAGE cached_sql STABLE %s AS %L', name, returns, options, body);
  EXECUTE format('CREATE FUNCTION p_%s RETURNS %s LANGUAGE sql STABLE AS %L', name, returns, body);
END $$;
CREATE FUNCTION compare(call text, OUT same boolean, OUT result text) LANGUAGE plpgsql AS $$
DECLARE plain text;
BEGIN
  EXECUTE format('SELECT c_%s::text', call) INTO result;
  EXECUTE format('SELECT p_%s::text', call) INTO plain;
  same := result IS NOT DISTINCT FROM plain;
  result := (SELECT coalesce(l.result || coalesce(': ' || nullif(l.not_stored, ''), ''), '') FROM aggcache.last_call() l);
END $$;

-- ---- row security ----
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE ROLE clock_reader;
GRANT SELECT ON doc, event TO clock_reader;
SELECT twins('secret()', 'text', 'SELECT string_agg(secret, '','' ORDER BY id) FROM doc');
-- a yes or no repeats, so it is in the key itself
CREATE POLICY p ON doc USING (tenant = current_setting('jwt.tenant')::int AND current_setting('jwt.exp')::timestamptz > now());
SET ROLE clock_reader;
SET jwt.tenant = 1; SET jwt.exp = '2099-01-01';
SELECT * FROM compare('secret()'); SELECT * FROM compare('secret()'); SELECT c_secret();
SET jwt.exp = '2098-01-01'; SELECT * FROM compare('secret()');
SET jwt.exp = '2020-01-01'; SELECT * FROM compare('secret()'); SELECT c_secret();
SET jwt.tenant = 2; SET jwt.exp = '2099-01-01';
SELECT * FROM compare('secret()'); SELECT c_secret();
-- the token ends within the ttl
BEGIN;
SET LOCAL jwt.exp TO DEFAULT;
SELECT set_config('jwt.exp', (clock_timestamp() + interval '1 s')::text, true) IS NOT NULL AS set;
SELECT * FROM compare('secret()');
SELECT set_config('clock.exp', current_setting('jwt.exp'), false) IS NOT NULL AS kept;
COMMIT;
SELECT pg_sleep(extract(epoch FROM current_setting('clock.exp')::timestamptz - clock_timestamp()) + 0.01);
SELECT set_config('jwt.exp', current_setting('clock.exp'), false) IS NOT NULL AS set;
SELECT * FROM compare('secret()'); SELECT c_secret();
RESET ROLE;
-- so is a value that only such a one decides
DROP POLICY p ON doc;
CREATE POLICY p ON doc USING (tenant = CASE WHEN now() < current_setting('jwt.exp')::timestamptz THEN current_setting('jwt.tenant')::int END);
SET ROLE clock_reader;
SET jwt.tenant = 1; SET jwt.exp = '2099-01-01'; SELECT * FROM compare('secret()'); SELECT c_secret();
SET jwt.tenant = 2; SELECT * FROM compare('secret()'); SELECT c_secret();
SET jwt.exp = '2020-01-01'; SELECT * FROM compare('secret()'); SELECT c_secret();
RESET ROLE;
-- the clock itself beside the tenant, the role and the session's role
DROP POLICY p ON doc;
CREATE FUNCTION tenant_of(role text) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN CASE role WHEN 'clock_reader' THEN 1 ELSE 2 END; END $$;
CREATE POLICY p ON doc USING (tenant::text = left(current_setting('jwt.tenant') || now()::text, 1));
SET ROLE clock_reader;
SET jwt.tenant = 1; SELECT * FROM compare('secret()'); SELECT * FROM compare('secret()'); SELECT c_secret();
SET jwt.tenant = 2; SELECT * FROM compare('secret()'); SELECT c_secret();
RESET ROLE;
DROP POLICY p ON doc;
CREATE POLICY p ON doc USING (tenant::text = left(tenant_of(current_user) || now()::text, 1));
CREATE ROLE clock_other IN ROLE clock_reader;
SET ROLE clock_reader; SELECT * FROM compare('secret()'); SELECT c_secret();
SET ROLE clock_other; SELECT * FROM compare('secret()'); SELECT c_secret();
RESET ROLE;

-- ---- settings, TimeZone ----
SELECT twins('window()', 'bigint', 'SELECT count(*) FROM event WHERE at > now() - current_setting(''app.win'')::interval');
SET app.win = '10h 30min'; SELECT * FROM compare('window()'); SELECT * FROM compare('window()');
SET app.win = '120h 30min'; SELECT * FROM compare('window()');
SELECT twins('local()', 'bigint', 'SELECT count(*) FROM event WHERE wall > localtimestamp - interval ''3 h 30 min''');
SET timezone = 'UTC'; SELECT * FROM compare('local()'); SELECT * FROM compare('local()');
SET timezone = 'America/New_York'; SELECT * FROM compare('local()');
SELECT twins('text()', 'bigint', 'SELECT count(*) FROM doc WHERE secret > now()::text || ''x''');
SET datestyle = 'German'; SELECT * FROM compare('text()');
SET datestyle = 'ISO'; SET timezone = 'UTC'; SELECT * FROM compare('text()');
SELECT twins('zone()', 'bigint', 'SELECT count(*) FROM event WHERE wall > now() AT TIME ZONE current_setting(''app.zone'') - interval ''60 h 30 min''');
SET app.zone = 'UTC'; SELECT * FROM compare('zone()');
SET app.zone = 'Asia/Tokyo'; SELECT * FROM compare('zone()');
SELECT twins('unit()', 'bigint', 'SELECT count(*) FROM event WHERE at > date_trunc(current_setting(''app.unit''), now()) - interval ''2 years''');
SET app.unit = 'hour'; SELECT * FROM compare('unit()');
SET app.unit = 'millennium'; SELECT * FROM compare('unit()');
-- what is rounded stays in the key, also beside the clock
SELECT twins('both(a int)', 'bigint', 'SELECT count(*) FROM event WHERE day > current_date - a AND at > now() - a * interval ''1 h'' - interval ''30 min''');
SELECT * FROM compare('both(5)'); SELECT * FROM compare('both(5)'); SELECT * FROM compare('both(50)');
SELECT aggcache.explain('c_window()'), aggcache.explain('c_zone()');

-- ---- what it says is in the key ----
CREATE FUNCTION c_said() RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.ttl = '1h'
  AS 'SELECT count(*) FROM event WHERE at > now() - interval ''10 h 30 min''';
SELECT c_said();
CREATE OR REPLACE FUNCTION c_said() RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.ttl = '1h'
  AS 'SELECT count(*) FROM event WHERE at > now() - interval ''30 h 30 min''';
SELECT c_said();
CREATE FUNCTION since() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() - interval ''10 h 30 min''';
CREATE OR REPLACE FUNCTION c_said() RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.ttl = '1h'
  AS 'SELECT count(*) FROM event WHERE at > since()';
SELECT c_said();
CREATE OR REPLACE FUNCTION since() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now() - interval ''30 h 30 min''';
SELECT c_said();

-- ---- functions that get the clock ----
CREATE TABLE span (hours int);
INSERT INTO span VALUES (10);
CREATE FUNCTION opaque(t timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE
  AS $$ BEGIN RETURN t - (SELECT hours FROM span) * interval '1 h' - interval '30 min'; END $$;
CREATE FUNCTION seen(t timestamptz) RETURNS timestamptz LANGUAGE sql STABLE
  AS $$ SELECT t - hours * interval '1 h' - interval '30 min' FROM span $$;
CREATE FUNCTION c_opaque() RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.ttl = '1h'
  AS 'SELECT count(*) FROM event WHERE at > opaque(now())';
SELECT twins('opaque()', 'bigint', 'SELECT count(*) FROM event WHERE at > opaque(now())', 'SET aggcache.ttl = ''1h'' SET aggcache.depends_on = ''span''');
SELECT twins('seen()', 'bigint', 'SELECT count(*) FROM event WHERE at > seen(now())');
SELECT * FROM compare('opaque()'); SELECT * FROM compare('opaque()'); SELECT * FROM compare('seen()'); SELECT * FROM compare('seen()');
UPDATE span SET hours = 30;
SELECT * FROM compare('opaque()'); SELECT * FROM compare('seen()');
-- without the clock it is evaluated for the key
CREATE FUNCTION hours() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT hours FROM span); END';
SELECT twins('hours()', 'bigint', 'SELECT count(*) FROM event WHERE at > now() - hours() * interval ''1 h'' - interval ''30 min''');
SELECT * FROM compare('hours()'); SELECT * FROM compare('hours()');
UPDATE span SET hours = 60;
SELECT * FROM compare('hours()');

-- ---- cached functions and functions of language sql that are called on rows ----
CREATE FUNCTION c_inner(i int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.ttl = '1h'
  AS 'SELECT count(*) FROM event WHERE at > now() - current_setting(''app.win'')::interval - i * interval ''1 h''';
CREATE FUNCTION p_inner(i int) RETURNS bigint LANGUAGE sql STABLE
  AS 'SELECT count(*) FROM event WHERE at > now() - current_setting(''app.win'')::interval - i * interval ''1 h''';
CREATE FUNCTION c_outer() RETURNS numeric LANGUAGE cached_sql STABLE AS 'SELECT sum(c_inner(hours)) FROM span';
CREATE FUNCTION p_outer() RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(p_inner(hours)) FROM span';
CREATE FUNCTION c_around() RETURNS numeric LANGUAGE cached_sql STABLE SET aggcache.ttl = '1h' AS 'SELECT sum(p_inner(hours)) FROM span';
CREATE FUNCTION p_around() RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(p_inner(hours)) FROM span';
SET app.win = '10h 30min'; SELECT * FROM compare('outer()'); SELECT * FROM compare('outer()'); SELECT * FROM compare('around()'); SELECT * FROM compare('around()');
SET app.win = '120h 30min'; SELECT * FROM compare('outer()'); SELECT * FROM compare('around()');
-- without a ttl of its own it would show the clock for ever
CREATE FUNCTION c_without() RETURNS numeric LANGUAGE cached_sql STABLE AS 'SELECT sum(p_inner(hours)) FROM span';

-- ---- literals ----
CREATE DOMAIN day AS date;
CREATE TYPE due AS (what text, at date);
CREATE TYPE word AS (what text, more text);
CREATE FUNCTION literal(body text, returns text DEFAULT 'text') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FUNCTION c_literal() RETURNS %s LANGUAGE cached_sql STABLE AS %L', returns, body);
  DROP FUNCTION c_literal();
  RETURN 'cached';
EXCEPTION WHEN OTHERS THEN RETURN sqlerrm;
END $$;
SELECT body, literal(body) FROM (VALUES
  ($q$SELECT timestamptz 'now'::text$q$),
  ($q$SELECT 'now'::timestamptz::text$q$),
  ($q$SELECT 'NOW '::timestamp::text$q$),
  ($q$SELECT $$now$$::timestamptz::text$q$),
  ($q$SELECT $x$today$x$::date::text$q$),
  ($q$SELECT E'n\x6fw'::timestamptz::text$q$),
  ($q$SELECT E'\156ow'::timestamptz::text$q$),
  ($q$SELECT E'\u006eow'::timestamptz::text$q$),
  ($q$SELECT U&'\006eow'::timestamptz::text$q$),
  ($q$SELECT U&'!006eow' UESCAPE '!'::timestamptz::text$q$),
  ($q$SELECT ('n'
    'ow')::timestamptz::text$q$),
  ($q$SELECT CAST('tomorrow' AS date)::text$q$),
  ($q$SELECT date('yesterday')::text$q$),
  ($q$SELECT time 'now'::text$q$),
  ($q$SELECT timetz 'now'::text$q$),
  ($q$SELECT timestamptz(0) 'now'::text$q$),
  ($q$SELECT 'today12:00'::timestamp::text$q$),
  ($q$SELECT '12:00today'::timestamp::text$q$),
  ($q$SELECT 'today'::day::text$q$),
  ($q$SELECT '{today,2020-01-01}'::date[]::text$q$),
  ($q$SELECT (ARRAY['today']::date[])::text$q$),
  ($q$SELECT '[now,)'::tstzrange::text$q$),
  ($q$SELECT '{[yesterday,today]}'::datemultirange::text$q$),
  ($q$SELECT '(now,today)'::due::text$q$),
  ($q$SELECT (ROW('x', 'today')::due).what$q$),
  ($q$SELECT count(*)::text FROM event WHERE day = 'today'$q$),
  ($q$SELECT count(*)::text FROM event WHERE day IN ('2020-01-01', 'yesterday')$q$),
  ($q$SELECT count(*)::text FROM event WHERE day = ANY ('{yesterday,today}')$q$),
  ($q$SELECT count(*)::text FROM event WHERE at BETWEEN 'yesterday' AND '2099-01-01'$q$),
  ($q$SELECT min(d)::text FROM (SELECT day FROM event UNION ALL SELECT 'today') u(d)$q$),
  ($q$SELECT coalesce(max(day), 'today')::text FROM event$q$),
  ($q$WITH w AS (SELECT date 'today' AS d) SELECT d::text FROM w$q$),
  ($q$SELECT (SELECT max(d)::text FROM (VALUES (date '2020-01-01'), ('tomorrow')) v(d))$q$),
  ($q$SELECT count(*)::text FROM event e LEFT JOIN doc ON e.day = 'today'$q$),
  ($q$SELECT timetz '12:00'::text$q$),
  -- these do not show it
  ($q$SELECT 'now'$q$),
  ($q$SELECT 'now'::varchar || 'today'$q$),
  ($q$SELECT count(*)::text FROM doc WHERE secret IN ('now', 'today')$q$),
  ($q$SELECT 'known'::text$q$),
  ($q$SELECT '{"at": "now"}'::jsonb::text$q$),
  ($q$SELECT '(now,today)'::word::text$q$),
  ($q$SELECT date '2020-01-01'::text /* not 'today' */$q$),
  ($q$SELECT timetz '12:00+02'::text$q$),
  ($q$SELECT 'epoch'::timestamptz::text$q$)) v(body);
-- read at the call: part of the key
SELECT literal($q$SELECT count(*)::text FROM event WHERE day = ('to' || 'day')::date$q$);
SELECT twins('cast()', 'bigint', 'SELECT count(*) FROM event WHERE day < (''to'' || ''day'')::text::date', '');
SELECT * FROM compare('cast()'); SELECT * FROM compare('cast()');
-- what is made when it is created stays, for the plain query too
CREATE VIEW fixed AS SELECT date 'today' AS d;
CREATE FUNCTION standard() RETURNS date LANGUAGE sql STABLE RETURN date 'today';
SELECT literal('SELECT d::text FROM fixed'), literal('SELECT standard()::text');

-- functions of language sql whose text says it are called, not taken apart, at whatever depth
CREATE FUNCTION says() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT E'n\157w'::timestamptz $$;
CREATE FUNCTION around_it(d int) RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT says() - d * interval ''1 min''';
CREATE FUNCTION claims() RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$ SELECT timestamptz $x$now$x$ $$;
CREATE FUNCTION c_says() RETURNS timestamptz LANGUAGE cached_sql STABLE AS 'SELECT says()';
CREATE FUNCTION c_deeper() RETURNS timestamptz LANGUAGE cached_sql STABLE AS 'SELECT around_it(0)';
CREATE FUNCTION c_handed() RETURNS timestamptz LANGUAGE cached_sql STABLE AS 'SELECT date_trunc(''second'', says()) + (says() - date_trunc(''second'', says()))';
CREATE FUNCTION c_claims() RETURNS timestamptz LANGUAGE cached_sql STABLE AS 'SELECT claims()';
CREATE FUNCTION c_on_rows() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM event WHERE at < around_it(extract(day FROM day)::int)';
SELECT c_says() = now() AS says, c_deeper() = now() AS deeper, c_handed() = now() AS handed, c_claims() = claims() AS claims;
SELECT c_says() = now() AS says, c_deeper() = now() AS deeper, c_handed() = now() AS handed, c_claims() = claims() AS claims;
SELECT reason FROM aggcache.functions WHERE function = 'c_on_rows()'::regprocedure;

DROP OWNED BY clock_reader, clock_other;
DROP ROLE clock_other, clock_reader;
DROP TABLE doc, event, span CASCADE;
DO $$ DECLARE f regprocedure; BEGIN
  FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    AND proname ~ '^(c_|p_|twins|compare|literal|tenant_of|since|opaque|seen|hours|standard|says|around_it|claims)' LOOP
    EXECUTE format('DROP FUNCTION %s CASCADE', f);
  END LOOP;
END $$;
DROP VIEW fixed;
DROP TYPE day, due, word;
