-- What CREATE FUNCTION refuses, with its SQLSTATE, and what it accepts with a notice.
CREATE TABLE task (id int PRIMARY KEY, department_id int);

CREATE FUNCTION f() RETURNS int LANGUAGE cached_sql STABLE AS 'SELECT 1; SELECT 2';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS int LANGUAGE cached_sql STABLE AS 'INSERT INTO task VALUES (1, 1) RETURNING id';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS bigint LANGUAGE cached_sql STABLE AS 'WITH d AS (DELETE FROM task RETURNING *) SELECT count(*) FROM d';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS int LANGUAGE cached_sql STABLE AS 'SELECT id FROM task FOR UPDATE';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS float8 LANGUAGE cached_sql STABLE AS 'SELECT random()';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS int LANGUAGE cached_sql AS 'SELECT 1';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS timestamptz LANGUAGE cached_sql STABLE AS 'SELECT now()';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS date LANGUAGE cached_sql STABLE AS $$ SELECT 'today'::date $$;
\echo :LAST_ERROR_SQLSTATE
CREATE TEMPORARY TABLE scratch (a int);
CREATE FUNCTION f() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM scratch';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELEC count(*) FROM task';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM no_such_table';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS date LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM task';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS trigger LANGUAGE cached_sql STABLE AS 'SELECT 1';
\echo :LAST_ERROR_SQLSTATE
CREATE PROCEDURE p() LANGUAGE cached_sql AS 'SELECT 1';
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION f() RETURNS int LANGUAGE cached_sql STABLE SET aggcache.no_such_setting = 1 AS 'SELECT 1';
\echo :LAST_ERROR_SQLSTATE

-- a volatile function behind a view or another function is found too
CREATE VIEW v AS SELECT id, random() AS r FROM task;
CREATE FUNCTION f() RETURNS float8 LANGUAGE cached_sql STABLE AS 'SELECT sum(r) FROM v';
\echo :LAST_ERROR_SQLSTATE

-- rounded clocks repeat; with a ttl any clock will do
CREATE FUNCTION today() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM task WHERE current_date > ''2000-01-01''';
CREATE FUNCTION this_hour() RETURNS timestamptz LANGUAGE cached_sql STABLE AS $$ SELECT date_trunc('hour', now()) $$;
CREATE FUNCTION moment() RETURNS timestamptz LANGUAGE cached_sql STABLE SET aggcache.ttl = '1h' AS 'SELECT now()';
SELECT today(), this_hour() = date_trunc('hour', now()) AS hour, moment() = moment() AS kept;

-- not cached, and why
CREATE FUNCTION reads_catalog() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM pg_class';
CREATE FUNCTION opaque(int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM task); END';
SET check_function_bodies = off;  -- else it is refused: opaque_functions
CREATE FUNCTION calls_opaque() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(opaque(id)) FROM task';
RESET check_function_bodies;
SELECT calls_opaque();
SELECT result, reason FROM aggcache.last_call();
-- without a column, the opaque function's value is part of the key
CREATE FUNCTION calls_once() RETURNS int LANGUAGE cached_sql STABLE AS 'SELECT opaque(1)';
SELECT calls_once();
INSERT INTO task VALUES (1, 1);
SELECT calls_once();

-- no checks, no triggers, and still the plain answer
SET check_function_bodies = off;
CREATE FUNCTION unchecked() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM later';
RESET check_function_bodies;
CREATE TABLE later (a int);
SELECT unchecked();
INSERT INTO later VALUES (1);
SELECT unchecked();
SELECT result, reason FROM aggcache.last_call();

DROP VIEW v;
DROP TABLE later, scratch;
DROP FUNCTION today(), this_hour(), moment(), reads_catalog(), calls_opaque(), calls_once(), opaque(int), unchecked();
SELECT count(*) AS triggers FROM pg_trigger WHERE NOT tgisinternal;
DROP TABLE task;
