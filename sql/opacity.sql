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

-- settings behind built-in functions that are IMMUTABLE, called by name or by another one
CREATE TABLE mixed (a timestamptz, b timestamptz, f float8, p point, y bytea, z timetz);
INSERT INTO mixed VALUES ('2020-03-01 02:00+00', '2020-01-31 03:00+00', 1.0 / 3, '(0.3333333333333333,2)', '\x4142ff', '12:00+02');
CREATE FUNCTION my_age(timestamptz, timestamptz) RETURNS interval LANGUAGE internal IMMUTABLE STRICT AS 'timestamptz_age';
SELECT twin('age', 'interval', 'SELECT max(age(a, b)) FROM mixed');
SELECT twin('my_age', 'interval', 'SELECT max(my_age(a, b)) FROM mixed');
SELECT twin('out', 'text', 'SELECT max(textin(float8out(f)) || textin(byteaout(y)) || textin(point_out(p)) || p::text) FROM mixed');
SET timezone = 'UTC';
SELECT same('age'), same('my_age'), same('out');
SET timezone = 'America/New_York';
SET extra_float_digits = -9;
SET bytea_output = escape;
SELECT same('age'), same('my_age'), same('out');
RESET timezone;
RESET extra_float_digits;
RESET bytea_output;
-- the same of arguments
CREATE FUNCTION c_age_of(a timestamptz, b timestamptz) RETURNS text LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) || '' '' || my_age($1, $2) FROM mixed';
SET timezone = 'UTC';
SELECT c_age_of('2020-03-01 02:00+00', '2020-01-31 03:00+00');
SET timezone = 'America/New_York';
SELECT c_age_of('2020-03-01 02:00+00', '2020-01-31 03:00+00');
RESET timezone;
-- what of a zone applies to a time without a date depends on the day
SELECT twin('day', 'timetz', $$ SELECT max(timezone('Europe/Paris', z)) FROM mixed $$);
-- catalogs behind built-in functions that are IMMUTABLE
SELECT twin('root', 'bigint', $$ SELECT count(pg_partition_root(x::oid)) FROM event $$);

-- conversions through text: of arguments, and of types whose text is made of the value
CREATE FUNCTION c_query(k text) RETURNS bigint LANGUAGE cached_sql STABLE
  AS $$ SELECT count(*) FROM event WHERE to_tsvector('pg_catalog.english'::regconfig, 'a run') @@ k::tsquery AND '{"a": 1}'::jsonb @? '$.a' $$;
CREATE FUNCTION c_point(k point) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM event WHERE b = k::text';
SELECT c_query('run'), c_query('run'), c_point('(1,2)'), c_point('(1,2)');
SELECT function, state, reason FROM aggcache.functions WHERE function::text ~ '^c_(query|point)' ORDER BY function::text DESC;

-- the labels of an enum, in functions that print what they get and in texts that are read
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE felt (m mood, label text, type_name text);
INSERT INTO felt VALUES ('good', 'good', 'mood');
SELECT twin('printed', 'text', $$ SELECT max(concat(m, to_json(m), array_to_string(ARRAY[m], ','))) FROM felt $$);
SELECT twin('read', 'bigint', 'SELECT count(*) FROM felt WHERE label::mood = m');
SELECT same('printed'), same('read');
ALTER TYPE mood RENAME VALUE 'good' TO 'fine';
ALTER TYPE mood RENAME VALUE 'bad' TO 'good';
SELECT same('printed'), same('read');
-- a type of somebody's that is read as one of PostgreSQL's is
SET client_min_messages = error;
CREATE TYPE of_type;
CREATE FUNCTION of_type_in(cstring) RETURNS of_type LANGUAGE internal STABLE STRICT AS 'regtypein';
CREATE FUNCTION of_type_out(of_type) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'oidout';
CREATE TYPE of_type (INPUT = of_type_in, OUTPUT = of_type_out, LIKE = oid);
RESET client_min_messages;
CREATE FUNCTION c_of_type() RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT max(type_name::of_type::text) FROM felt';

-- a domain that a function returns is gone from the body as long as it has no constraint
CREATE DOMAIN amount AS int;
CREATE FUNCTION amount_of(int) RETURNS amount LANGUAGE sql IMMUTABLE AS 'SELECT $1';
SELECT twin('checked', 'bigint', 'SELECT sum(amount_of(x)) FROM event');
SELECT same('checked'), same('checked');
SELECT result FROM aggcache.last_call();
ALTER DOMAIN amount ADD CONSTRAINT small CHECK (VALUE < 100);
SELECT p_checked();
SELECT c_checked();

-- a number of type oid is no relation that is read; one that is read and dropped is missed
CREATE TABLE oids (o oid, t regtype, n int);
INSERT INTO oids VALUES (1, 'mood', 1), ('pg_class'::regclass, 'int', 10);
CREATE TABLE going (n int);
CREATE FUNCTION is_mood(t regtype) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT t = 'mood'::regtype $$;
SELECT twin('of_oid', 'bigint', $$ SELECT sum(n) FROM oids WHERE o = '1' $$);
SELECT twin('of_mood', 'bigint', 'SELECT sum(n) FROM oids WHERE is_mood(t)');
CREATE FUNCTION c_of_relation(r regclass) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(n) FROM oids WHERE o = r';
CREATE FUNCTION c_going() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM going';
SELECT function, state, reason FROM aggcache.functions WHERE function::text ~ '^c_(of_(oid|mood|relation)|going)' ORDER BY function::text;
SELECT same('of_oid'), same('of_mood'), c_of_relation('pg_class'), c_going();
SELECT same('of_oid');
SELECT result FROM aggcache.last_call();
SELECT same('of_mood');
SELECT result FROM aggcache.last_call();
SELECT c_of_relation('pg_class');
SELECT result FROM aggcache.last_call();
INSERT INTO oids SELECT o, t, 100 FROM oids;
SELECT same('of_oid'), same('of_mood'), c_of_relation('pg_class');
DROP TABLE going;
SELECT c_going();

-- a limit that cuts what a GIN index finds
CREATE TABLE tagged (id int, tags int[]);
INSERT INTO tagged SELECT i, ARRAY[1, i] FROM generate_series(1, 20000) i;
CREATE INDEX ON tagged USING gin (tags);
ANALYZE tagged;
SELECT twin('tagged', 'bigint', 'SELECT count(*) FROM tagged WHERE tags @> ARRAY[1]');
SET enable_seqscan = off;
SET gin_fuzzy_search_limit = 100;
SELECT c_tagged() < 20000 AS cut;
SELECT result, reason FROM aggcache.last_call();
RESET gin_fuzzy_search_limit;
RESET enable_seqscan;
SELECT c_tagged();

-- an index whose access method may find too few, in the plan or in those of a function; where it is not used, no matter
CREATE ACCESS METHOD vague TYPE INDEX HANDLER hashhandler;
CREATE OPERATOR CLASS vague_ops DEFAULT FOR TYPE int USING vague AS OPERATOR 1 =, FUNCTION 1 hashint4(int);
CREATE TABLE found (id int, x int);
INSERT INTO found SELECT i, i % 100 FROM generate_series(1, 1000) i;
CREATE INDEX found_vaguely ON found USING vague (x);
CREATE FUNCTION finds(x int) RETURNS bigint LANGUAGE plpgsql STABLE
  AS 'BEGIN RETURN (SELECT count(*) FROM found WHERE found.x = finds.x); END';
SELECT twin('found', 'bigint', 'SELECT count(*) FROM found WHERE x = 7');
CREATE FUNCTION c_finds() RETURNS numeric LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'found'
  AS 'SELECT sum(finds(x)) FROM event';
SET enable_seqscan = off;
SELECT c_found();
SELECT result, reason FROM aggcache.last_call();
SET enable_seqscan = on;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT c_found(), c_found();
SELECT result, reason FROM aggcache.last_call();
RESET enable_seqscan;
RESET enable_indexscan;
RESET enable_bitmapscan;
SELECT c_finds();
SELECT result, reason FROM aggcache.last_call();
DROP INDEX found_vaguely;
SELECT c_finds(), c_finds();
SELECT result, reason FROM aggcache.last_call();

-- a slow function of arguments only is evaluated at each call, unless it is stated what it reads
CREATE SEQUENCE evaluations;
CREATE TABLE slow_source (x int);
INSERT INTO slow_source VALUES (1);
CREATE FUNCTION slow(d int) RETURNS int LANGUAGE plpgsql STABLE
  AS $$ BEGIN PERFORM nextval('evaluations'); RETURN d + (SELECT sum(x) FROM slow_source); END $$;
CREATE FUNCTION c_slow(d int) RETURNS int LANGUAGE cached_sql STABLE AS 'SELECT slow(d)';
SELECT c_slow(1), c_slow(1);
SELECT nextval('evaluations') - 1 AS evaluations;
CREATE OR REPLACE FUNCTION c_slow(d int) RETURNS int LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'slow_source'
  AS 'SELECT slow(d)';
SELECT setval('evaluations', 1, false);
SELECT c_slow(1);
SELECT c_slow(1);
SELECT c_slow(2);
SELECT nextval('evaluations') - 1 AS evaluations;
SELECT result FROM aggcache.last_call();
UPDATE slow_source SET x = 10;
SELECT c_slow(1);
-- what is not opaque in its arguments is in the key
CREATE OR REPLACE FUNCTION c_slow(d int) RETURNS int LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'slow_source'
  AS $$ SELECT slow(d + current_setting('app.x')::int) $$;
SET app.x = 100;
SELECT c_slow(1), c_slow(1);
SET app.x = 200;
SELECT c_slow(1);
-- functions of policies are nobody's statement
CREATE TABLE secret (x int);
INSERT INTO secret VALUES (1), (2);
CREATE TABLE who (x int);
INSERT INTO who VALUES (1);
CREATE FUNCTION my_x() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT max(x) FROM who); END';
CREATE POLICY mine ON secret USING (x = my_x());
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE ROLE regress_opacity;
GRANT ALL ON secret, who, slow_source, evaluations TO regress_opacity;
CREATE FUNCTION c_secret() RETURNS int LANGUAGE cached_sql STABLE SET aggcache.depends_on = '' AS 'SELECT sum(x)::int FROM secret';
SET ROLE regress_opacity;
SELECT c_secret(), c_secret();
UPDATE who SET x = 2;
SELECT c_secret();
RESET ROLE;

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
DROP TABLE event, holder, mixed, felt, oids, found, tagged, secret, who, slow_source CASCADE;
DROP TYPE pair, mood, of_type CASCADE;
DROP DOMAIN amount CASCADE;
DROP TEXT SEARCH CONFIGURATION my CASCADE;
SET client_min_messages = warning;
DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ '^[cp]_' LOOP
    EXECUTE 'DROP FUNCTION ' || f;
  END LOOP;
END $$;
DROP FUNCTION twin(text, text, text), same(text), is_mood(regtype), the_day(), tenant(), of_tenant(), my_age(timestamptz, timestamptz), slow(int), my_x(), finds(int);
DROP ACCESS METHOD vague CASCADE;
DROP SEQUENCE evaluations;
DROP ROLE regress_opacity;
