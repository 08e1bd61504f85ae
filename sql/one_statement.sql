-- One statement in which the role changes, a savepoint is rolled back, or rows come in by COPY: each call answers as the
-- plain function beside it.
CREATE SCHEMA one_statement;
SET search_path = one_statement;
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL);
INSERT INTO task SELECT i, 1 + i % 3, i FROM generate_series(1, 9) i;
CREATE ROLE regress_aggcache_statement;
GRANT USAGE ON SCHEMA one_statement TO regress_aggcache_statement;
CREATE FUNCTION cached_hours(d int) RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT sum(hours) FROM one_statement.task WHERE dept = d';
CREATE FUNCTION plain_hours(d int) RETURNS bigint LANGUAGE sql STABLE
AS 'SELECT sum(hours) FROM one_statement.task WHERE dept = d';
SELECT cached_hours(1), cached_hours(2), cached_hours(3);

-- the role of the moment needs the privileges
BEGIN;
DECLARE c CURSOR FOR SELECT cached_hours(d) FROM generate_series(1, 3) d;
FETCH c;
SET LOCAL ROLE regress_aggcache_statement;
FETCH c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT plain_hours(d) FROM generate_series(1, 3) d;
FETCH c;
SET LOCAL ROLE regress_aggcache_statement;
FETCH c;
ROLLBACK;

-- what was found within a savepoint goes with it
BEGIN;
DECLARE c CURSOR FOR SELECT cached_hours(d), plain_hours(d) FROM generate_series(1, 3) d;
SAVEPOINT s;
CREATE OR REPLACE FUNCTION cached_hours(d int) RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT -sum(hours) FROM one_statement.task WHERE dept = d';
CREATE OR REPLACE FUNCTION plain_hours(d int) RETURNS bigint LANGUAGE sql STABLE
AS 'SELECT -sum(hours) FROM one_statement.task WHERE dept = d';
FETCH c;
ROLLBACK TO s;
FETCH c;
FETCH c;
ROLLBACK;

-- COPY is no statement of the executor: a trigger that asks meanwhile sees the rows that are in
CREATE TABLE seen (n serial, cached bigint, plain bigint, reason text);
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO one_statement.seen (cached, plain)
    VALUES (one_statement.cached_hours(1), one_statement.plain_hours(1));
  UPDATE one_statement.seen SET reason = (SELECT reason FROM aggcache.last_call())
    WHERE n = currval('one_statement.seen_n_seq');
  RETURN NEW;
END $$;
CREATE TRIGGER look BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION look();
COPY task FROM stdin WITH (FORMAT csv);
101,1,100
102,1,100
103,1,100
\.
SELECT * FROM seen ORDER BY n;

-- rows that an UPDATE of other partitions moves into the one that is read
CREATE TABLE split (k int, n int) PARTITION BY LIST (k);
CREATE TABLE split1 PARTITION OF split FOR VALUES IN (1);
CREATE TABLE split2 PARTITION OF split FOR VALUES IN (2);
INSERT INTO split SELECT 1, i FROM generate_series(1, 3) i;
CREATE FUNCTION cached_split() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM one_statement.split2';
CREATE FUNCTION seen_split(i int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN one_statement.cached_split() || ' of ' || (SELECT count(*) FROM one_statement.split2); END $$;
SELECT cached_split();
UPDATE split SET k = 2 WHERE k = 1 RETURNING n, seen_split(n);
SELECT seen_split(0);

-- more tables than the session takes note of one by one
DO $$
BEGIN
  FOR i IN 1..140 LOOP
    EXECUTE format('CREATE TABLE one_statement.t%s (id int)', i);
  END LOOP;
END $$;
CREATE FUNCTION cached_last() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM one_statement.t140';
CREATE FUNCTION seen_last(i int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN one_statement.cached_last() || ' of ' || (SELECT count(*) FROM one_statement.t140); END $$;
SELECT cached_last();
BEGIN;
DO $$
BEGIN
  FOR i IN 1..139 LOOP
    EXECUTE format('INSERT INTO one_statement.t%s VALUES (1)', i);
  END LOOP;
END $$;
INSERT INTO t140 SELECT generate_series(1, 3) RETURNING seen_last(id);
SELECT seen_last(0);
COMMIT;
SELECT seen_last(0);

DROP SCHEMA one_statement CASCADE;
DROP ROLE regress_aggcache_statement;
