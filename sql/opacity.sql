-- What the analysis cannot see through is computed: each answer beside that of the same body in LANGUAGE sql.
CREATE TABLE event (ts timestamptz, b text, x int);
INSERT INTO event VALUES ('2024-03-09 12:30-05', 'running', 1), ('2024-03-10 12:45-04', 'run', 10),
  ('2024-03-09 12:50-05', 'today', 100);
CREATE FUNCTION twin(name text, result text, body text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FUNCTION c_%s() RETURNS %s LANGUAGE cached_sql STABLE AS %L', name, result, body);
  EXECUTE format('CREATE FUNCTION p_%s() RETURNS %s LANGUAGE sql STABLE AS %L', name, result, body);
END $$;
CREATE FUNCTION same(name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE same boolean;
BEGIN
  EXECUTE format('SELECT c_%1$s() IS NOT DISTINCT FROM p_%1$s()', name) INTO same;
  RETURN same;
END $$;

-- the frame of a window follows the time zone
SELECT twin('frame', 'bigint', $$ SELECT max(s) FROM (SELECT sum(x) OVER (ORDER BY ts RANGE BETWEEN '1 day' PRECEDING
  AND CURRENT ROW) AS s FROM event) w $$);
SET timezone = 'UTC';
SELECT same('frame'), same('frame');
SET timezone = 'America/New_York';
SELECT same('frame'), same('frame');
RESET timezone;

-- text search configurations are catalogs
CREATE TEXT SEARCH CONFIGURATION my (COPY = english);
SELECT twin('search', 'bigint', $$ SELECT count(*) FROM event WHERE to_tsvector('public.my', b) @@ 'run'::tsquery $$);
SELECT same('search'), same('search');
ALTER TEXT SEARCH CONFIGURATION my ALTER MAPPING FOR asciiword WITH simple;
SELECT same('search');

-- the attributes of a composite type are not those of a table
CREATE TYPE pair AS (a int, b int);
CREATE TABLE holder (v pair);
INSERT INTO holder VALUES (ROW (1, 2));
SELECT twin('pair', 'bigint', 'SELECT count(*) FROM holder WHERE v IS NOT NULL');
SELECT same('pair'), same('pair');
ALTER TYPE pair ADD ATTRIBUTE z int;
SELECT same('pair');

-- a setting behind an IMMUTABLE function
SELECT twin('quoted', 'text', 'SELECT max(quote_ident(b)) FROM event');
SELECT same('quoted'), same('quoted');
SET quote_all_identifiers = on;
SELECT same('quoted');
RESET quote_all_identifiers;

-- abbreviations of time zones are a setting
SELECT twin('abbreviation', 'text', $$ SELECT max(ts AT TIME ZONE 'UTC' AT TIME ZONE 'IST')::text FROM event $$);
SELECT same('abbreviation'), same('abbreviation');
SET timezone_abbreviations = 'India';
SELECT same('abbreviation');
RESET timezone_abbreviations;

-- texts that are moments
SELECT twin('moments', 'date', $$ SELECT max(b::date) FROM event WHERE b = 'today' $$);
SELECT same('moments');
SELECT result, reason FROM aggcache.last_call();
CREATE FUNCTION the_day() RETURNS date LANGUAGE sql STABLE AS $$ SELECT 'today'::date $$;
SELECT twin('inlined', 'bigint', 'SELECT count(*) FROM event WHERE the_day() > ts');
SELECT same('inlined'), same('inlined');
SELECT twin('day_range', 'daterange', $$ SELECT '[today,)'::daterange FROM event LIMIT 1 $$);

-- a function that is only declared IMMUTABLE is evaluated at each call
SET app.x = 1;
CREATE FUNCTION tenant() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN current_setting('app.x')::int; END $$;
CREATE FUNCTION of_tenant() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM event WHERE x = tenant() + 0';
SELECT of_tenant();
SET app.x = 77;
SELECT of_tenant();

-- SQL/JSON, where this version has it
SET client_min_messages = warning;
DO $$
BEGIN
  IF current_setting('server_version_num')::int >= 160000 THEN
    PERFORM twin('json', 'text', 'SELECT max(JSON_ARRAY(ts RETURNING jsonb)->>0) FROM event');
    SET timezone = 'UTC';
    ASSERT same('json') AND same('json');
    SET timezone = 'Asia/Tokyo';
    ASSERT same('json');
    RESET timezone;
  END IF;
END $$;
RESET client_min_messages;
\set VERBOSITY terse
DROP TABLE event, holder CASCADE;
DROP TYPE pair CASCADE;
DROP TEXT SEARCH CONFIGURATION my CASCADE;
SET client_min_messages = warning;
DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ '^[cp]_' LOOP
    EXECUTE 'DROP FUNCTION ' || f;
  END LOOP;
END $$;
DROP FUNCTION twin(text, text, text), same(text), the_day(), tenant(), of_tenant();
