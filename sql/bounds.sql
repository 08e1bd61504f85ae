-- How old a result may be: aggcache.ttl ends it, whoever set it.
CREATE SCHEMA bounds;
SET search_path = bounds;
CREATE TABLE task (id int PRIMARY KEY, hours int NOT NULL);
INSERT INTO task SELECT i, i FROM generate_series(1, 9) i;
CREATE FUNCTION total(x int) RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT sum(hours) + 0 * x FROM bounds.task';
CREATE FUNCTION moments() RETURNS timestamptz LANGUAGE cached_sql STABLE SET aggcache.ttl = '1h'
AS 'SELECT max(now()) FROM bounds.task';

-- of the caller
SELECT total(1);
SELECT pg_sleep(0.02);
SET aggcache.ttl = '10ms';
SELECT total(1);
SELECT result FROM aggcache.last_call();
-- of who stored it
SELECT total(2);
RESET aggcache.ttl;
SELECT pg_sleep(0.02);
SELECT total(2);
SELECT result FROM aggcache.last_call();
SELECT total(2);
SELECT result FROM aggcache.last_call();

-- of a result that it rests on
CREATE FUNCTION within(x int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.ttl = '1s'
AS 'SELECT sum(hours) + 0 * x FROM bounds.task';
CREATE FUNCTION around() RETURNS numeric LANGUAGE cached_sql STABLE
AS 'SELECT sum(bounds.within(id)) FROM bounds.task WHERE id < 3';
SELECT within(1), within(2);
SELECT around();
SELECT pg_sleep(1.1);
SELECT around();
SELECT result FROM aggcache.last_call();

-- the clock is not in the key: without ttl there is no result that fits
SELECT moments() IS NOT NULL AS computed;
SELECT moments() < now() AS earlier;
ALTER FUNCTION moments() RESET aggcache.ttl;
SELECT moments() = now() AS of_this_moment;
SELECT moments() = now() AS of_this_moment;

DROP FUNCTION total(int), moments(), around(), within(int);
DROP TABLE task;
DROP SCHEMA bounds;
