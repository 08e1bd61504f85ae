-- What is not an argument and still decides the result: settings, hidden parameters, roles.
CREATE TABLE task (id int PRIMARY KEY, tenant text, created timestamptz, rate float8);
INSERT INTO task SELECT i, 't' || i % 2, timestamptz '2020-01-01 12:00+00' + i * interval '1 hour', i / 3.0 FROM generate_series(1, 48) i;

CREATE FUNCTION last_day() RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT max(created)::date::text FROM task';
SET timezone = 'UTC'; SET datestyle = 'ISO';
SELECT last_day(), last_day();
SET timezone = 'Pacific/Kiritimati';
SELECT last_day();
SET timezone = 'UTC'; SET datestyle = 'German';
SELECT last_day();
SET datestyle = 'ISO';
SELECT last_day();
SELECT result FROM aggcache.last_call();

CREATE FUNCTION rates() RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT max(rate)::text FROM task WHERE id = 4';
SET extra_float_digits = 1;
SELECT rates();
SET extra_float_digits = 0;
SELECT rates();
RESET extra_float_digits;

-- a literal is read with the settings of the moment
CREATE FUNCTION literal() RETURNS bigint LANGUAGE cached_sql STABLE AS $$ SELECT count(*) FROM task WHERE created < '2/1/2020' $$;
SET datestyle = 'ISO, MDY';
SELECT literal();
SET datestyle = 'ISO, DMY';
SELECT literal();
RESET datestyle;

CREATE FUNCTION of_tenant() RETURNS bigint LANGUAGE cached_sql STABLE
  AS $$ SELECT count(*) FROM task WHERE tenant = current_setting('app.tenant') $$;
-- the query's own error; its context differs between versions
\set VERBOSITY terse
SELECT of_tenant();
\set VERBOSITY default
SET app.tenant = 't0';
SELECT of_tenant(), of_tenant();
SET app.tenant = 't1';
SELECT of_tenant();
SET app.tenant = 't2';
SELECT of_tenant();
SET app.tenant = 't0';
-- a row of another tenant leaves this one's entry alone
SELECT of_tenant();
INSERT INTO task VALUES (100, 't1', now(), 0);
SELECT of_tenant();
SELECT result FROM aggcache.last_call();
INSERT INTO task VALUES (101, 't0', now(), 0);
SELECT of_tenant();

CREATE FUNCTION whoami() RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT current_user || count(*) FROM task WHERE id = 1';
CREATE ROLE regress_aggcache_reader;
GRANT SELECT ON task TO regress_aggcache_reader;
SELECT whoami() = current_user || '1' AS own;
SET ROLE regress_aggcache_reader;
SELECT whoami();
RESET ROLE;

-- search_path
CREATE SCHEMA other;
CREATE TABLE other.task (LIKE task);
SELECT of_tenant();
SET search_path = other, public;
SELECT of_tenant();
RESET search_path;
SELECT of_tenant();
-- a new table earlier in the path hides the other
CREATE SCHEMA earlier;
SET search_path = earlier, public;
SELECT of_tenant();
CREATE TABLE earlier.task (LIKE task);
SELECT of_tenant();
CREATE TEMPORARY TABLE task AS SELECT 't0'::text AS tenant FROM generate_series(1, 7);
SELECT of_tenant();
DROP TABLE pg_temp.task;
RESET search_path;
SELECT of_tenant();

DROP SCHEMA other, earlier CASCADE;
DROP TABLE task CASCADE;
DROP FUNCTION last_day(), rates(), literal(), of_tenant(), whoami();
DROP ROLE regress_aggcache_reader;
