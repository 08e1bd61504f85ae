-- A result is there for all, and handed to those only who may run the query; whoever stored it, and whichever session
-- has asked before.
CREATE SCHEMA privileges;
SET search_path = privileges;
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE TABLE task (id int PRIMARY KEY, hours int NOT NULL);
INSERT INTO task SELECT i, i FROM generate_series(1, 9) i;
CREATE TABLE secret (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO secret SELECT i, 1 FROM generate_series(1, 9) i;
CREATE FUNCTION doubled(i int) RETURNS int LANGUAGE sql STABLE AS 'SELECT max(n) * 2 * i FROM privileges.secret WHERE id = i';
CREATE FUNCTION twice_doubled(i int) RETURNS int LANGUAGE sql STABLE
AS 'SELECT max(privileges.doubled(id)) * 2 FROM privileges.secret WHERE id = i';
CREATE FUNCTION of_table() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(hours) FROM privileges.task';
CREATE FUNCTION of_function() RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT sum(privileges.doubled(id)) FROM privileges.task';
CREATE FUNCTION of_functions() RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT sum(privileges.twice_doubled(id)) FROM privileges.task';
REVOKE EXECUTE ON FUNCTION doubled(int) FROM PUBLIC;
CREATE ROLE regress_aggcache_all;
CREATE ROLE regress_aggcache_none;
CREATE ROLE regress_aggcache_not_within;
CREATE ROLE regress_aggcache_not_execute;
GRANT USAGE ON SCHEMA privileges
  TO regress_aggcache_all, regress_aggcache_none, regress_aggcache_not_within, regress_aggcache_not_execute;
GRANT SELECT ON task TO regress_aggcache_all, regress_aggcache_not_within, regress_aggcache_not_execute;
GRANT SELECT ON secret TO regress_aggcache_all, regress_aggcache_not_execute;
GRANT EXECUTE ON FUNCTION doubled(int) TO regress_aggcache_all, regress_aggcache_not_within, regress_aggcache_none;
SELECT of_table(), of_function(), of_functions();
SET ROLE regress_aggcache_all;
SELECT of_table(), of_function(), of_functions();
SELECT result FROM aggcache.last_call();
SET ROLE regress_aggcache_none;
SELECT of_table();
SELECT of_function();
SET ROLE regress_aggcache_not_within;
SELECT of_table();
SELECT of_function();
SELECT of_functions();
SET ROLE regress_aggcache_not_execute;
SELECT of_table();
SELECT of_function();
SELECT of_functions();
RESET ROLE;
SELECT of_table(), of_function(), of_functions();
SELECT result FROM aggcache.last_call();
DROP SCHEMA privileges CASCADE;
DROP ROLE regress_aggcache_all, regress_aggcache_none, regress_aggcache_not_within, regress_aggcache_not_execute;
