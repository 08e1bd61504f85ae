-- What rounds the clock to a second or more needs no ttl: its value is part of the key, for as long as it is the same.
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
CREATE TABLE form (id serial, kind text, expression text);
CREATE TABLE tick (n int);
INSERT INTO tick VALUES (1), (2);
CREATE FUNCTION make(id int, expression text, arguments text DEFAULT '', returns text DEFAULT 'text') RETURNS text LANGUAGE plpgsql AS $$
DECLARE body text := format('SELECT (%s)::text || '' '' || sum(n) FROM tick', expression);
BEGIN
  EXECUTE format('CREATE FUNCTION c_%s(%s) RETURNS %s LANGUAGE cached_sql STABLE AS %L', id, arguments, returns, body);
  EXECUTE format('CREATE FUNCTION p_%s(%s) RETURNS %s LANGUAGE sql STABLE AS %L', id, arguments, returns, body);
  RETURN 'cached';
EXCEPTION WHEN OTHERS THEN RETURN sqlerrm;
END $$;
-- both in one transaction: whether they agree, what the cached call was, and the answer
CREATE FUNCTION twins(id int, arguments text DEFAULT '', OUT same boolean, OUT result text, OUT reason text, OUT answer text) LANGUAGE plpgsql AS $$
DECLARE plain text;
BEGIN
  EXECUTE format('SELECT c_%s(%s)', id, arguments) INTO answer;
  SELECT l.result, l.reason INTO result, reason FROM aggcache.last_call() l;
  EXECUTE format('SELECT p_%s(%s)', id, arguments) INTO plain;
  same := answer IS NOT DISTINCT FROM plain;
END $$;

-- ---- the edge comes each second ----
INSERT INTO form (kind, expression) SELECT 'second', e FROM unnest(ARRAY[
  $q$floor(extract(epoch FROM now()))$q$,
  $q$ceil(date_part('epoch', statement_timestamp()))$q$,
  $q$extract(epoch FROM now())::bigint$q$,
  $q$extract(epoch FROM current_timestamp)::int / 1$q$,
  $q$to_timestamp(floor(extract(epoch FROM now()) / 1) * 1)$q$,
  $q$date_bin('1 second', now(), timestamptz '2000-01-01 00:00Z')$q$,
  $q$date_bin('1 second', localtimestamp, timestamp '2000-01-01')$q$,
  $q$date_trunc('second', now()) - interval '1 day'$q$,
  $q$to_char(now(), 'HH24:MI:SS')$q$,
  $q$to_char(now() AT TIME ZONE 'Asia/Tokyo', 'SS')$q$,
  $q$to_char(localtimestamp - interval '1 day', 'HH24:MI:SS')$q$,
  $q$trunc(extract(second FROM now()))$q$,
  $q$date_part('second', now())::int$q$,
  $q$left(now()::text, 19)$q$,
  $q$split_part(to_char(now(), 'HH24:MI:SS.US'), '.', 1)$q$,
  $q$current_timestamp(0)$q$,
  $q$localtimestamp(0)$q$,
  $q$localtime(0)$q$,
  $q$now()::timestamptz(0)$q$,
  $q$now()::time(0)$q$,
  $q$make_interval(secs => floor(extract(epoch FROM now())))$q$,
  $q$CASE WHEN extract(year FROM now()) > 2000 THEN floor(extract(epoch FROM now())) END$q$,
  $q$extract(epoch FROM date_trunc('second', now())) + 5$q$]) e;
-- ---- or seldom ----
INSERT INTO form (kind, expression) SELECT 'seldom', e FROM unnest(ARRAY[
  $q$extract(year FROM now())$q$,
  $q$extract(year FROM current_date)$q$,
  $q$extract(month FROM localtimestamp)$q$,
  $q$extract(day FROM now() - interval '3 days')$q$,
  $q$extract(hour FROM now() AT TIME ZONE 'America/New_York')$q$,
  $q$extract(hour FROM localtime)$q$,
  $q$extract(isodow FROM current_timestamp)$q$,
  $q$date_part('week', now())$q$,
  $q$to_char(now(), 'YYYY-MM')$q$,
  $q$to_char(current_date, 'FMDay')$q$,
  $q$to_char(now() AT TIME ZONE 'Europe/Vienna', 'YYYY-MM-DD')::date$q$,
  $q$date_bin('15 minutes', now(), timestamptz '2000-01-01 00:00Z')$q$,
  $q$date_bin('1 day', now() - interval '1 hour', timestamptz '2000-01-01 00:00Z') + interval '1 month'$q$,
  $q$floor(extract(epoch FROM now()) / 300)$q$,
  $q$extract(epoch FROM now())::int / 300$q$,
  $q$to_timestamp(floor(extract(epoch FROM now()) / 300) * 300) - interval '1 hour'$q$,
  $q$make_date(extract(year FROM now())::int, 1, 1)$q$,
  $q$extract(year FROM now())::int * 100 + extract(month FROM now())::int$q$,
  $q$date_trunc('month', now() AT TIME ZONE 'Europe/Vienna') AT TIME ZONE 'Europe/Vienna'$q$,
  $q$substring(now()::text FROM 1 FOR 7)$q$]) e;
SELECT id, expression, made FROM (SELECT id, expression, make(id, expression) AS made FROM form) m WHERE made <> 'cached';
-- stored by one call, found by the next
SELECT kind, same, result, count(*) FROM form, twins(id) GROUP BY 1, 2, 3 ORDER BY 1;
BEGIN;
SELECT kind, bool_and(a.same AND b.same) AS same, bool_and(b.result = 'hit') AS hit FROM form, twins(id) a, LATERAL (SELECT * FROM twins(id) WHERE a.same) b GROUP BY 1 ORDER BY 1;
CREATE TEMP TABLE answered AS SELECT id, answer FROM form, twins(id);
COMMIT;
-- beyond the edge
SELECT pg_sleep(1.2);
SELECT kind, t.same, t.result, t.answer <> a.answer AS changed, count(*) FROM form JOIN answered a USING (id), twins(id) t WHERE kind = 'second' GROUP BY 1, 2, 3, 4;
-- another zone has another hour
SET timezone = 'Asia/Kolkata';
SELECT same, count(*) FROM form, twins(id) GROUP BY 1;
SET timezone = 'UTC';
-- writes count as ever
BEGIN;
SELECT count(*) FROM form, twins(id);
INSERT INTO tick VALUES (4);
SELECT same, result, count(*) FROM form, twins(id) GROUP BY 1, 2;
COMMIT;

-- ---- with arguments that do not decide whether it is rounded ----
SELECT make(901, $q$extract(year FROM now() - $1)$q$, 'interval'), make(902, $q$to_char(now() - make_interval(days => $1), 'YYYY-MM')$q$, 'int'),
  make(903, $q$floor(extract(epoch FROM now() - $1 * interval '1 day') / 3000)$q$, 'int'), make(904, $q$date_bin('1 day', now() - $1, timestamptz '2000-01-01 00:00Z')$q$, 'interval'),
  make(905, $q$extract(year FROM now()) - $1$q$, 'int');
BEGIN;
SELECT same, result FROM twins(901, $a$'2 years'$a$); SELECT same, result FROM twins(901, $a$'2 years'$a$); SELECT same, result FROM twins(901, $a$'3 years'$a$);
SELECT same, result FROM twins(902, '31'); SELECT same, result FROM twins(902, '31'); SELECT same, result FROM twins(902, '300');
SELECT same, result FROM twins(903, '1'); SELECT same, result FROM twins(903, '1'); SELECT same, result FROM twins(903, '2');
SELECT same, result FROM twins(904, $a$'1 day'$a$); SELECT same, result FROM twins(904, $a$'1 day'$a$); SELECT same, result FROM twins(904, $a$'3 days'$a$);
SELECT same, result FROM twins(905, '1'); SELECT same, result FROM twins(905, '1'); SELECT same, result FROM twins(905, '2');
COMMIT;

-- ---- with some that do: it is seen at the call ----
SELECT make(911, $q$date_trunc($1, now())$q$, 'text'), make(912, $q$date_part($1, now())$q$, 'text'),
  make(913, $q$date_bin($1, now(), timestamptz '2000-01-01 00:00Z')$q$, 'interval'), make(914, $q$to_char(now(), $1)$q$, 'text'),
  make(915, $q$floor(extract(epoch FROM now()) / $1) * $1$q$, 'numeric'), make(916, $q$date_trunc(current_setting('app.unit'), now())$q$),
  make(917, $q$date_trunc($1, now() - $2) || to_char(now(), $3)$q$, 'text, interval, text');
BEGIN;
SELECT same, result FROM twins(911, $a$'month'$a$); SELECT same, result FROM twins(911, $a$'month'$a$); SELECT same, result FROM twins(911, $a$'hour'$a$);
SELECT same, result, reason FROM twins(911, $a$'milliseconds'$a$);
SELECT same, result, reason FROM twins(911, $a$'microseconds'$a$);
SELECT same, result FROM twins(911, 'NULL');
SELECT same, result FROM twins(912, $a$'year'$a$); SELECT same, result FROM twins(912, $a$'year'$a$); SELECT same, result FROM twins(912, $a$'epoch'$a$); SELECT same, result FROM twins(912, $a$'second'$a$);
SELECT same, result FROM twins(913, $a$'15 minutes'$a$); SELECT same, result FROM twins(913, $a$'15 minutes'$a$); SELECT same, result FROM twins(913, $a$'1 millisecond'$a$);
SELECT same, result FROM twins(914, $a$'YYYY'$a$); SELECT same, result FROM twins(914, $a$'YYYY'$a$); SELECT same, result FROM twins(914, $a$'SS.US'$a$);
SELECT same, result FROM twins(915, '300'); SELECT same, result FROM twins(915, '300'); SELECT same, result FROM twins(915, '0.001');
SET LOCAL app.unit = 'day';
SELECT same, result FROM twins(916); SELECT same, result FROM twins(916);
SET LOCAL app.unit = 'year'; SELECT same, result FROM twins(916);
SET LOCAL app.unit = 'us'; SELECT same, result FROM twins(916);
SELECT same, result FROM twins(917, $a$'month', '1 day', 'YYYY'$a$); SELECT same, result FROM twins(917, $a$'month', '1 day', 'YYYY'$a$);
SELECT same, result FROM twins(917, $a$'us', '1 day', 'YYYY'$a$); SELECT same, result FROM twins(917, $a$'month', '1 day', 'US'$a$);
COMMIT;
SELECT c_911('decade') = p_911('decade') AS same; SELECT c_911('fortnight');
SELECT words FROM aggcache.explain('c_911(text)', 'microseconds'::text);
SELECT * FROM aggcache.explain('c_911(text)');
-- beyond the edge
SELECT answer AS before FROM twins(911, $a$'second'$a$) \gset
SELECT pg_sleep(1.2);
SELECT same, result, answer <> :'before' AS changed FROM twins(911, $a$'second'$a$);
-- such a function called by a cached one, with arguments and with rows
CREATE FUNCTION c_921(u text) RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT c_911(u) || sum(n) FROM tick';
CREATE FUNCTION p_921(u text) RETURNS text LANGUAGE sql STABLE AS 'SELECT p_911(u) || sum(n) FROM tick';
CREATE FUNCTION c_922() RETURNS text LANGUAGE cached_sql STABLE AS $$ SELECT string_agg(c_911(u), ',' ORDER BY u) FROM (SELECT 'day' FROM tick) t(u) $$;
CREATE FUNCTION p_922() RETURNS text LANGUAGE sql STABLE AS $$ SELECT string_agg(p_911(u), ',' ORDER BY u) FROM (SELECT 'day' FROM tick) t(u) $$;
CREATE FUNCTION c_923() RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT string_agg(c_3(), '','') FROM tick';
CREATE FUNCTION p_923() RETURNS text LANGUAGE sql STABLE AS 'SELECT string_agg(p_3(), '','') FROM tick';
BEGIN;
SELECT same, result FROM twins(921, $a$'month'$a$); SELECT same, result FROM twins(921, $a$'month'$a$); SELECT same FROM twins(921, $a$'us'$a$);
SELECT same FROM twins(922); SELECT same FROM twins(922); SELECT same FROM twins(923); SELECT same FROM twins(923);
COMMIT;
SELECT pg_sleep(1.2);
SELECT same FROM twins(923);

-- what a function of a user makes of the clock is rounded too
CREATE FUNCTION p_later(timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1 + interval ''1 year''; END';
SELECT make(925, $q$date_trunc('year', p_later(now()))$q$), make(926, $q$p_later(now())::date$q$), make(927, $q$extract(year FROM p_later(now()))$q$);
SELECT same, result FROM twins(925); SELECT same, result FROM twins(925); SELECT same, result FROM twins(926);

-- ---- what repeats for less than a second, or never ----
SELECT e, make(931 + i::int, e, CASE WHEN e ~ '\$1' THEN 'int' ELSE '' END) FROM unnest(ARRAY[
  $q$now() - interval '7 days'$q$,
  $q$extract(epoch FROM now())$q$,
  $q$extract(second FROM now())$q$,
  $q$extract(milliseconds FROM now())$q$,
  $q$date_part('microseconds', localtimestamp)$q$,
  $q$floor(extract(epoch FROM now()) * 1000)$q$,
  $q$extract(epoch FROM now())::numeric(20,1)$q$,
  $q$round(extract(epoch FROM now()), 2)$q$,
  $q$date_bin('1 millisecond', now(), timestamptz '2000-01-01 00:00Z')$q$,
  $q$date_trunc('milliseconds', now())$q$,
  $q$date_trunc('us', localtimestamp)$q$,
  $q$to_char(now(), 'YYYY-MM-DD HH24:MI:SS.MS')$q$,
  $q$to_char(now(), 'US')$q$,
  $q$current_timestamp(3)$q$,
  $q$localtime$q$,
  $q$current_time$q$,
  $q$md5(now()::text)$q$,
  $q$now() - date_trunc('day', now())$q$,
  $q$extract(epoch FROM now() - date_trunc('day', now()))$q$,
  $q$to_char(now(), 'YYYY') || now()$q$,
  $q$extract(epoch FROM now()) - $1$q$,
  $q$now() - $1 * interval '1 day'$q$]) WITH ORDINALITY u(e, i);

DROP TABLE form, tick, answered CASCADE;
SET client_min_messages = warning;
DO $$ DECLARE f regprocedure; BEGIN
  FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ '^(c_|p_|twins$|make$)' LOOP
    EXECUTE format('DROP FUNCTION %s CASCADE', f);
  END LOOP;
END $$;
