-- A result holds rows of a type as it was; when the type has changed, the body says what it has to say.
-- From version 18 on ROW() may have fewer columns than the type.
CREATE SCHEMA row_types;
SET search_path = row_types;
SET client_min_messages = warning;
\set VERBOSITY sqlstate
CREATE TABLE task (id int PRIMARY KEY, hours int NOT NULL);
INSERT INTO task SELECT i, i FROM generate_series(1, 2) i;
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION rows() RETURNS SETOF pair LANGUAGE cached_sql STABLE AS 'SELECT id, hours FROM row_types.task';
CREATE FUNCTION row_in_column() RETURNS TABLE (id int, p pair) LANGUAGE cached_sql STABLE
AS 'SELECT id, ROW(id, hours)::row_types.pair FROM row_types.task';
CREATE FUNCTION row_as_value() RETURNS SETOF pair[] LANGUAGE cached_sql STABLE
AS 'SELECT ARRAY[ROW(id, hours)::row_types.pair] FROM row_types.task';
SELECT * FROM rows();
SELECT * FROM row_in_column();
SELECT result, reason FROM aggcache.last_call();
SELECT * FROM row_as_value();
SELECT result, reason FROM aggcache.last_call();
ALTER TYPE pair ADD ATTRIBUTE c int;
SELECT * FROM rows();
SELECT * FROM row_in_column();
SELECT * FROM row_as_value();
ALTER TYPE pair DROP ATTRIBUTE c;
SELECT * FROM rows();
SELECT * FROM row_in_column();
SELECT * FROM row_as_value();
-- a statement that is planned, and not begun
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM rows();
ALTER TYPE pair ALTER ATTRIBUTE b TYPE bigint;
FETCH c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM rows();
FETCH c;
ROLLBACK;
DROP SCHEMA row_types CASCADE;
