-- aggcache.blame: which writes invalidate results.
\set VERBOSITY terse
SET client_min_messages = warning;
-- with it each query counts by itself
SET compute_query_id = off;
CREATE SCHEMA blame;
SET search_path = blame;
CREATE TABLE department (id int PRIMARY KEY, name text);
CREATE TABLE task (id int PRIMARY KEY, department_id int REFERENCES department ON UPDATE CASCADE ON DELETE CASCADE,
                   status text, hours int);
CREATE TABLE other (id int);
INSERT INTO department VALUES (1, 'one'), (2, 'two');
INSERT INTO task SELECT i, 1 + i % 2, 'open', 1 FROM generate_series(1, 10) i;
CREATE FUNCTION plain_hours(dept int) RETURNS bigint LANGUAGE sql STABLE
  AS 'SELECT sum(hours) FROM blame.task WHERE department_id = dept';
CREATE FUNCTION cached_hours(dept int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours) FROM blame.task WHERE department_id = dept';
CREATE FUNCTION cached_others() RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM blame.other, blame.department';

-- Answers as the plain query, and what was to blame since the last time.
CREATE FUNCTION ask() RETURNS boolean LANGUAGE sql VOLATILE
  AS 'SELECT cached_hours(1) IS NOT DISTINCT FROM plain_hours(1)';
CREATE VIEW blamed AS
  SELECT function, relation, statement, columns, invalidations, last_at IS NOT NULL AS dated
  FROM aggcache.blame ORDER BY function::text COLLATE "C", relation::text COLLATE "C", statement, columns;

SELECT aggcache.reset_stats();
SELECT ask();
SELECT * FROM blamed;
INSERT INTO task VALUES (11, 1, 'open', 1);
SELECT ask();
UPDATE task SET hours = 2 WHERE id = 2;
SELECT ask();
UPDATE task SET hours = 3 WHERE id = 2;
SELECT ask();
UPDATE task SET status = 'done', hours = 4 WHERE id = 2;
SELECT ask();
DELETE FROM task WHERE id = 11;
SELECT ask();
MERGE INTO task USING (VALUES (12, 5)) v (id, hours) ON task.id = v.id
  WHEN NOT MATCHED THEN INSERT VALUES (v.id, 1, 'open', v.hours);
SELECT ask();
COPY task FROM stdin;
13	1	open	7
\.
SELECT ask();
TRUNCATE task;
SELECT ask();
ALTER TABLE task ADD CHECK (hours > 0);
SELECT ask();
SELECT * FROM blamed;

-- What is asked for only later counts once. Another key, another table: nobody.
SELECT aggcache.reset_stats();
SELECT * FROM blamed;
INSERT INTO task VALUES (1, 1, 'open', 1);
INSERT INTO task VALUES (2, 1, 'open', 1);
SELECT ask();
INSERT INTO task VALUES (3, 2, 'open', 1);
INSERT INTO other VALUES (1);
SELECT ask();
SELECT * FROM blamed;

-- A cascade, and a transaction that changes more than one source.
SELECT aggcache.reset_stats();
UPDATE department SET id = 3 WHERE id = 1;
SELECT ask();
SELECT cached_others();
BEGIN;
INSERT INTO other VALUES (2);
SAVEPOINT a;
UPDATE department SET name = 'x' WHERE id = 3;
COMMIT;
SELECT cached_others();
SELECT * FROM blamed;

-- A statement of many rows counts once; what was rolled back is not to blame.
SELECT cached_hours(2) = plain_hours(2);
SELECT aggcache.reset_stats();
INSERT INTO task SELECT i, 2, 'open', 1 FROM generate_series(100, 300) i;
SELECT cached_hours(2) = plain_hours(2);
BEGIN;
DELETE FROM task;
ROLLBACK;
SELECT cached_hours(2) = plain_hours(2);
SELECT * FROM blamed;

-- Which of several statements of one transaction it was is not known: each kind counts. UPDATEs of one table are told
-- apart by their query ids only.
SELECT aggcache.reset_stats();
BEGIN;
UPDATE task SET hours = 2 WHERE id = 100;
UPDATE task SET status = 'done' WHERE id = 101;
DELETE FROM task WHERE id = 102;
COMMIT;
SELECT cached_hours(2) = plain_hours(2);
SELECT * FROM blamed;

-- By hand.
SELECT aggcache.reset_stats();
SELECT aggcache.invalidate_table('task');
SELECT cached_hours(2) = plain_hours(2);
SELECT * FROM blamed;

-- The id of the session's statement.
SELECT aggcache.reset_stats();
SET compute_query_id = on;
INSERT INTO task VALUES (1000, 2, 'open', 1);
SELECT cached_hours(2) = plain_hours(2);
INSERT INTO task VALUES (1001, 2, 'open', 1);
SELECT cached_hours(2) = plain_hours(2);
SET compute_query_id = off;
SELECT statement, query_id IS NOT NULL AS has_id, invalidations FROM aggcache.blame;

DROP SCHEMA blame CASCADE;
