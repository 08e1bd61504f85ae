-- What changes an answer although no row does, or is chosen at random, is not cached.
CREATE SCHEMA unseen;
SET search_path = unseen;
SET client_min_messages = error;
CREATE TABLE task (id int PRIMARY KEY, hours int NOT NULL, day timestamptz);
INSERT INTO task SELECT i, i, timestamptz '2020-01-01 00:00+00' + i * interval '1 day' FROM generate_series(1, 9) i;
CREATE TABLE rate (n int);
INSERT INTO rate VALUES (1);
-- an aggregate and a domain that read a table
CREATE FUNCTION rated_sum(bigint, int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE
AS 'BEGIN RETURN coalesce($1, 0) + $2 * (SELECT max(n) FROM unseen.rate); END';
CREATE AGGREGATE rated_total(int) (SFUNC = rated_sum, STYPE = bigint);
CREATE FUNCTION is_allowed(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
AS 'BEGIN RETURN $1 >= (SELECT max(n) FROM unseen.rate); END';
CREATE DOMAIN allowed AS int CHECK (unseen.is_allowed(VALUE));

CREATE FUNCTION places() RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM unseen.task WHERE ctid < '(0,100)' AND xmin IS NOT NULL $$;
CREATE FUNCTION sampled() RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT count(*) FROM unseen.task TABLESAMPLE bernoulli (50)';
CREATE FUNCTION rated() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT unseen.rated_total(hours) FROM unseen.task';
CREATE FUNCTION checked() RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT sum(hours::unseen.allowed) FROM unseen.task';
SELECT function, reason FROM aggcache.functions
WHERE function::text IN ('places()', 'sampled()', 'rated()', 'checked()') ORDER BY function::text;

-- how far a day reaches depends on the zone: a frame compares by it
CREATE FUNCTION framed() RETURNS bigint[] LANGUAGE cached_sql STABLE
AS $$ SELECT array_agg(n ORDER BY day) FROM (SELECT day, count(*) OVER (ORDER BY day RANGE '1 day' PRECEDING) AS n
        FROM unseen.task) counted $$;
INSERT INTO task VALUES (10, 10, '2020-03-08 08:00+00'), (11, 11, '2020-03-09 07:30+00');
SET timezone = 'UTC';
SELECT framed();
SET timezone = 'America/Chicago';
SELECT framed();
DROP SCHEMA unseen CASCADE;
