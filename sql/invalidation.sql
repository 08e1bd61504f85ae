-- What a write invalidates and what it leaves, key by key; every answer beside that of the plain query.
CREATE TABLE department (id int PRIMARY KEY, name text);
CREATE TABLE task (id int PRIMARY KEY, department_id int, operator text, hours numeric);
INSERT INTO department SELECT i, 'd' || i FROM generate_series(0, 4) i;
INSERT INTO task SELECT i, i % 5, 'op' || i % 7, i % 8 FROM generate_series(1, 200) i;
CREATE FUNCTION by_department(int) RETURNS numeric LANGUAGE cached_sql STABLE AS 'SELECT sum(hours) FROM task WHERE department_id = $1';
CREATE FUNCTION by_operator(text) RETURNS numeric LANGUAGE cached_sql STABLE AS 'SELECT sum(hours) FROM task WHERE operator = $1';
CREATE FUNCTION optional(int) RETURNS numeric LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours) FROM task WHERE department_id = $1 OR $1 IS NULL';
CREATE FUNCTION joined(int) RETURNS numeric LANGUAGE cached_sql STABLE
  AS 'SELECT sum(hours) FROM task t JOIN department d ON d.id = t.department_id WHERE d.id = $1';
CREATE FUNCTION total() RETURNS numeric LANGUAGE cached_sql STABLE AS 'SELECT sum(hours) FROM task';
SELECT relation, watches FROM aggcache.tables ORDER BY relation::text;

CREATE FUNCTION show(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text; outcome text;
BEGIN
  EXECUTE 'SELECT ' || call INTO answer;
  SELECT coalesce(cause, result) INTO outcome FROM aggcache.last_call();
  RETURN rpad(call, 22) || rpad(answer, 6) || outcome;
END $$;
CREATE VIEW calls AS
  SELECT show(c) FROM unnest('{by_department(1),by_department(2),by_operator(''op1''),optional(1),optional(NULL),joined(1),joined(2),total()}'::text[]) c;
SELECT * FROM calls;
SELECT * FROM calls;
-- a row of department 1, operator op1
UPDATE task SET hours = hours + 100 WHERE id = 1;
SELECT * FROM calls;
-- a row of department 2, operator op2
UPDATE task SET hours = hours + 100 WHERE id = 2;
SELECT * FROM calls;
-- a row moves from department 1 to 2
UPDATE task SET department_id = 2 WHERE id = 1;
SELECT * FROM calls;
DELETE FROM task WHERE id = 6;
SELECT * FROM calls;
INSERT INTO task VALUES (1000, 2, 'op9', 1);
SELECT * FROM calls;
-- the other table of the join
UPDATE department SET name = 'x' WHERE id = 2;
SELECT * FROM calls;
-- rolled back: a needless miss is allowed, a wrong answer is not
BEGIN;
UPDATE task SET hours = 0;
SELECT total() = (SELECT sum(hours) FROM task) AS same;
ROLLBACK;
SELECT total() = (SELECT sum(hours) FROM task) AS same;
-- many keys at once: the whole table
SET aggcache.bulk_threshold = 10;
UPDATE task SET hours = hours + 1;
RESET aggcache.bulk_threshold;
SELECT count(*) FROM calls;
SELECT * FROM calls;
TRUNCATE task;
SELECT by_department(1) IS NULL AS empty, total() IS NULL AS empty;
INSERT INTO task VALUES (1, 1, 'op1', 5);
SELECT by_department(1), total();
ALTER TABLE task ALTER hours TYPE float8;
DROP TABLE task, department CASCADE;
DROP FUNCTION by_department(int), by_operator(text), optional(int), joined(int), total();
SELECT (SELECT count(*) FROM aggcache.watch) AS watches, (SELECT count(*) FROM aggcache.dependency) AS dependencies;
DROP VIEW calls;
DROP FUNCTION show(text);
