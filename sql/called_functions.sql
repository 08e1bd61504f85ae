-- What a result rests on through the cached functions that its body calls on rows, also where their results are not
-- kept, or are very many.
CREATE SCHEMA called_functions;
SET search_path = called_functions;
SET client_min_messages = warning;
CREATE TABLE dept (id int PRIMARY KEY);
CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL);
INSERT INTO dept SELECT generate_series(1, 2);
INSERT INTO task SELECT i, 1 + i % 3, i FROM generate_series(1, 9) i;
CREATE INDEX ON task (dept);

-- arguments that are too large for a key: the call is not cached, and what rests on it is not
CREATE FUNCTION of_text(d int, t text) RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT sum(hours) + 0 * length(t) FROM called_functions.task WHERE dept = d';
CREATE FUNCTION over_text(x int) RETURNS numeric LANGUAGE cached_sql STABLE
AS $$ SELECT sum(called_functions.of_text(id, repeat('x', 100000 + id))) + 0 * x FROM called_functions.dept $$;
CREATE FUNCTION over_over_text() RETURNS numeric LANGUAGE cached_sql STABLE
AS $$ SELECT sum(called_functions.over_text(id)) FROM called_functions.dept WHERE id = 1 $$;
SET aggcache.max_entry_size = '64kB';
SELECT over_text(1), over_over_text();
UPDATE task SET hours = hours + 100;
SELECT over_text(1), over_over_text();
RESET aggcache.max_entry_size;

-- more than can be remembered: one row of one of them ends it
CREATE FUNCTION of_dept(d int) RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT sum(hours) FROM called_functions.task WHERE dept = d';
CREATE FUNCTION over_all() RETURNS numeric LANGUAGE cached_sql STABLE
AS 'SELECT sum(called_functions.of_dept(id)) FROM called_functions.dept';
INSERT INTO dept SELECT generate_series(3, 9000);
SELECT over_all();
UPDATE task SET hours = hours + 1 WHERE id = 1;
SELECT over_all();
UPDATE task SET hours = hours + 1 WHERE id = 3;
SELECT over_all();

DROP SCHEMA called_functions CASCADE;
