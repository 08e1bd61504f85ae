-- What tells changes apart: columns, predicates, ranges, sets, joins. Every write is followed by the calls whose results
-- it invalidated; every answer is compared with that of the plain twin.
CREATE SCHEMA granularity;
SET search_path = granularity;
SET client_min_messages = warning;
\set ECHO none
\i sql/include/twin.sql
\set ECHO all
CREATE TABLE department (id int PRIMARY KEY, name text, head text);
INSERT INTO department SELECT i, 'd' || i, 'h' || i FROM generate_series(1, 3) i;
CREATE TABLE task (
  id int PRIMARY KEY, department_id int, status text NOT NULL, hours numeric, note text, due date, created timestamptz,
  parent_id int, urgent boolean NOT NULL DEFAULT false);
INSERT INTO task SELECT i, 1 + i % 3, CASE WHEN i % 2 = 0 THEN 'open' ELSE 'done' END, i % 8, 'n' || i,
  '2026-01-01'::date + i, '2026-01-01 12:00Z'::timestamptz + i * interval '1 day', CASE WHEN i % 3 > 0 THEN i / 3 END
  FROM generate_series(1, 90) i;

SELECT FROM twin('sum', 'd int', 'numeric', 'SELECT sum(hours) FROM task WHERE department_id = d');
SELECT FROM twin('open', 'd int', 'bigint', $$SELECT count(*) FROM task WHERE department_id = d AND status = 'open'$$);
SELECT FROM twin('all_open', '', 'bigint', $$SELECT count(*) FROM task WHERE status = 'open'$$);
SELECT FROM twin('count', '', 'bigint', 'SELECT count(*) FROM task');
SELECT FROM twin('rows', 'd int', 'SETOF task', 'SELECT * FROM task WHERE department_id = d');
INSERT INTO call (call) VALUES ('sum(1)'), ('sum(2)'), ('open(1)'), ('open(2)'), ('all_open()'), ('count()'), ('rows(1)');
SELECT * FROM probe();
SELECT * FROM probe();

-- Columns: what no query uses, only rows() has
UPDATE task SET note = 'changed' WHERE id = 3;
SELECT * FROM probe();
-- no-op updates are no change
UPDATE task SET hours = hours, note = note, department_id = department_id;
SELECT * FROM probe();
-- hours of an open task (id 6 of department 1): open() uses department_id and status alone
UPDATE task SET hours = 100 WHERE id = 6;
SELECT * FROM probe();
-- values that are equal but not the same
UPDATE task SET hours = 100.0 WHERE id = 6;
SELECT * FROM probe();
-- values out of line, untouched and changed
UPDATE task SET note = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i) WHERE id = 9;
SELECT * FROM probe();
UPDATE task SET note = note || '', urgent = urgent WHERE id = 9;
SELECT * FROM probe();
UPDATE task SET note = reverse(note) WHERE id = 9;
SELECT * FROM probe();
-- Predicates: a row that was not open and is not
UPDATE task SET status = 'waiting' WHERE id = 3;
SELECT * FROM probe();
-- one that becomes open, one that ceases to be
UPDATE task SET status = 'open' WHERE id = 3;
SELECT * FROM probe();
UPDATE task SET status = 'done' WHERE id = 6;
SELECT * FROM probe();
INSERT INTO task VALUES (1001, 1, 'done', 1);
SELECT * FROM probe();
INSERT INTO task VALUES (1002, 3, 'open', 1);
SELECT * FROM probe();
DELETE FROM task WHERE id IN (1001, 1002);
SELECT * FROM probe();
TRUNCATE call;

-- Ranges
SELECT FROM twin('month', 'f date, t date', 'numeric', 'SELECT sum(hours) FROM task WHERE due >= f AND due < t');
SELECT FROM twin('between', 'd int, f date, t date', 'numeric',
  'SELECT sum(hours) FROM task WHERE department_id = d AND due BETWEEN f AND t');
SELECT FROM twin('since', 'f timestamptz', 'bigint', 'SELECT count(*) FROM task WHERE created >= f');
SELECT FROM twin('until', 't timestamptz', 'bigint', 'SELECT count(*) FROM task WHERE created < t');
SELECT FROM twin('of_day', 'd date', 'bigint', 'SELECT count(*) FROM task WHERE created >= d AND created < d + 1');
SELECT FROM twin('optional', 'f date', 'bigint', 'SELECT count(*) FROM task WHERE due >= f OR f IS NULL');
INSERT INTO call (call) VALUES ($$month('2026-01-01', '2026-02-01')$$), ($$month('2026-02-01', '2026-03-01')$$),
  ($$between(1, '2026-01-01', '2026-01-31')$$), ($$between(2, '2026-01-01', '2026-01-31')$$),
  ($$since('2026-03-01')$$), ($$until('2026-02-01')$$), ($$of_day('2026-02-10')$$), ('optional(NULL)'), ($$optional('2026-03-01')$$),
  ($$month('2026-03-01', '2026-01-01')$$);
SELECT * FROM probe();
SELECT * FROM probe();
-- a row of 1 March
INSERT INTO task VALUES (1001, 1, 'open', 1, NULL, '2026-03-01', '2026-03-01 10:00Z');
SELECT * FROM probe();
-- the last day of January, the first of February, and in between two columns apart
INSERT INTO task VALUES (1002, 1, 'open', 1, NULL, '2026-01-31', '2026-01-31 12:00Z');
SELECT * FROM probe();
INSERT INTO task VALUES (1003, 2, 'open', 1, NULL, '2026-02-01', '2026-02-01 12:00Z');
SELECT * FROM probe();
-- a row without dates is in no range
INSERT INTO task VALUES (1004, 2, 'open', 1);
SELECT * FROM probe();
-- out of one range into another
UPDATE task SET due = '2026-02-11' WHERE id = 1002;
SELECT * FROM probe();
UPDATE task SET created = '2026-02-10 23:59:59.999999' WHERE id = 1002;
SELECT * FROM probe();
UPDATE task SET due = 'infinity', created = '-infinity' WHERE id = 1003;
SELECT * FROM probe();
DELETE FROM task WHERE id > 1000;
SELECT * FROM probe();
TRUNCATE call;

-- narrower and wider cells tell today's values apart as well
SELECT FROM twin('moments', 'f timestamptz, t timestamptz', 'bigint', 'SELECT count(*) FROM task WHERE created >= f AND created < t');
SELECT FROM twin('days', 'f date, t date', 'bigint', 'SELECT count(*) FROM task WHERE due >= f AND due < t');
INSERT INTO call (call) VALUES ($$moments('2026-03-05 10:00Z', '2026-03-05 10:10Z')$$), ($$moments('2026-03-05 10:20Z', '2026-03-05 10:30Z')$$),
  ($$days('2026-03-02', '2026-03-03')$$), ($$days('2026-06-01', '2026-07-01')$$);
SELECT aggcache.set_cell_width('task', 'created', '10 minutes');
SELECT aggcache.set_cell_width('task', 'due', '7 days');
SELECT length(invalidated) > 0 AS cold, wrong FROM probe();
SELECT * FROM probe();
INSERT INTO task VALUES (2001, 1, 'open', 1, NULL, '2026-03-05', '2026-03-05 10:25Z');
SELECT * FROM probe();
SELECT aggcache.set_cell_width('task', 'created', '1 second');
SELECT length(invalidated) > 0 AS cold, wrong FROM probe();
INSERT INTO task VALUES (2002, 1, 'open', 1, NULL, '2026-03-12', '2026-03-05 10:09:59Z');
SELECT * FROM probe();
SELECT aggcache.set_cell_width('task', 'created');
SELECT aggcache.set_cell_width('task', 'due');
DELETE FROM task WHERE id > 2000;
TRUNCATE call;

-- Numbers, and types that meet
CREATE TABLE price (id bigint, small smallint, amount numeric, word varchar(20), code char(4), tag text);
INSERT INTO price SELECT i, i, i, 'w' || i, 'c' || i, 't' || i FROM generate_series(1, 100) i;
SELECT FROM twin('ids', 'f int, t bigint', 'bigint', 'SELECT count(*) FROM price WHERE id > f AND id <= t');
SELECT FROM twin('smalls', 'f int', 'bigint', 'SELECT count(*) FROM price WHERE small < f');
SELECT FROM twin('amounts', 'f numeric, t numeric', 'bigint', 'SELECT count(*) FROM price WHERE amount BETWEEN f AND t');
SELECT FROM twin('small_is', 'v bigint', 'bigint', 'SELECT count(*) FROM price WHERE small = v');
SELECT FROM twin('cast_is', 'v bigint', 'bigint', 'SELECT count(*) FROM price WHERE small::bigint = v');
SELECT FROM twin('word_is', 'v text', 'bigint', 'SELECT count(*) FROM price WHERE word = v');
SELECT FROM twin('code_is', 'v char', 'bigint', 'SELECT count(*) FROM price WHERE code = v');
SELECT FROM twin('lower_is', 'v text', 'bigint', 'SELECT count(*) FROM price WHERE lower(word) = v');
INSERT INTO call (call) VALUES ('ids(0, 10)'), ('ids(10, 20)'), ('smalls(10)'), ('amounts(1, 10)'), ('amounts(10.5, 20.5)'),
  ('small_is(7)'), ('small_is(8)'), ('cast_is(7)'), ('cast_is(8)'), ($$word_is('w7')$$), ($$word_is('w8')$$), ($$code_is('c7')$$), ($$code_is('c7  ')$$),
  ($$lower_is('w8')$$);
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO price VALUES (7, 7, 7, 'w7', 'c7', 't7');
SELECT * FROM probe();
INSERT INTO price VALUES (15, 15, 15, 'w15', 'c15', 't15');
SELECT * FROM probe();
INSERT INTO price VALUES (15, NULL, 10.2, NULL, NULL, NULL), (15, NULL, 'NaN', NULL, NULL, NULL);
SELECT * FROM probe();
-- wider cells: what lies near is no longer told apart
SELECT aggcache.set_cell_width('price', 'id', '1000');
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO price VALUES (555, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM probe();
SELECT relation, "column", width FROM aggcache.cell_width WHERE relation = 'price'::regclass;
SELECT aggcache.set_cell_width('price', 'id');
SELECT aggcache.set_cell_width('task', 'created', '1 month');
SELECT aggcache.set_cell_width('task', 'created', '100 ms');
SELECT aggcache.set_cell_width('task', 'due', '12 hours');
SELECT aggcache.set_cell_width('task', 'due', '0 days');
SELECT aggcache.set_cell_width('task', 'note', '1');
SELECT aggcache.set_cell_width('task', 'absent', '1');
TRUNCATE call;

-- Sets, several columns, nulls
SELECT FROM twin('any', 'ds int[]', 'numeric', 'SELECT sum(hours) FROM task WHERE department_id = ANY (ds)');
SELECT FROM twin('in_two', 'a int, b int', 'numeric', 'SELECT sum(hours) FROM task WHERE department_id IN (a, b)');
SELECT FROM twin('two', 'd int, s text', 'numeric', 'SELECT sum(hours) FROM task WHERE department_id = d AND status = s');
SELECT FROM twin('parent', 'p int', 'bigint', 'SELECT count(*) FROM task WHERE parent_id IS NOT DISTINCT FROM p');
SELECT FROM twin('orphans', '', 'bigint', 'SELECT count(*) FROM task WHERE parent_id IS NULL');
SELECT FROM twin('urgent', 'u boolean', 'bigint', 'SELECT count(*) FROM task WHERE urgent = u');
SELECT FROM twin('filter', 'd int, s text', 'bigint',
  'SELECT count(*) FROM task WHERE (department_id = d OR d IS NULL) AND (status = s OR s IS NULL)');
SELECT FROM twin('or_null', 'd int', 'bigint', 'SELECT count(*) FROM task WHERE department_id = d OR department_id IS NULL');
INSERT INTO call (call) VALUES ($$any('{1,2}')$$), ($$any('{2,3,NULL}')$$), ($$any('{}')$$), ('any(NULL)'), ('in_two(1, 2)'), ('in_two(2, 3)'),
  ($$two(1, 'open')$$), ($$two(1, 'done')$$), ($$two(2, 'open')$$), ('parent(5)'), ('parent(NULL)'), ('orphans()'),
  ('urgent(true)'), ('urgent(false)'), ('filter(1, NULL)'), ('filter(2, NULL)'), ($$filter(NULL, 'done')$$), ($$filter(NULL, 'open')$$), ($$filter(2, 'open')$$), ('filter(NULL, NULL)'),
  ('or_null(1)'), ('or_null(2)');
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO task VALUES (1001, 1, 'open', 5, NULL, NULL, NULL, 5);
SELECT * FROM probe();
INSERT INTO task VALUES (1002, NULL, 'done', 5, NULL, NULL, NULL, NULL, true);
SELECT * FROM probe();
UPDATE task SET urgent = true WHERE id = 1001;
SELECT * FROM probe();
UPDATE task SET department_id = 3 WHERE id = 1001;
SELECT * FROM probe();
DELETE FROM task WHERE id > 1000;
SELECT * FROM probe();
TRUNCATE call;

-- Domains, citext, collations: equality is that of the operator; what is not proven equal is coarse
CREATE EXTENSION citext;
CREATE DOMAIN code AS text CHECK (value <> '');
CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE word (d code, c citext, n text COLLATE folded, t text);
INSERT INTO word SELECT 'w' || i, 'w' || i, 'w' || i, 'w' || i FROM generate_series(1, 20) i;
SELECT FROM twin('domain', 'v text', 'bigint', 'SELECT count(*) FROM word WHERE d = v');
SELECT FROM twin('domains', 'v code[]', 'bigint', 'SELECT count(*) FROM word WHERE d = ANY (v)');
SELECT FROM twin('citext', 'v citext', 'bigint', 'SELECT count(*) FROM word WHERE c = v');
SELECT FROM twin('folded', 'v text', 'bigint', 'SELECT count(*) FROM word WHERE n = v');
SELECT FROM twin('folded_by_query', 'v text', 'bigint', 'SELECT count(*) FROM word WHERE t = v COLLATE folded');
INSERT INTO call (call) VALUES ($$domain('w7')$$), ($$domain('w8')$$), ($$domains('{w7,w9}')$$), ($$domains('{w8}')$$), ($$citext('W7')$$), ($$citext('w8')$$),
  ($$folded('W7')$$), ($$folded('W8')$$), ($$folded_by_query('W7')$$), ($$folded_by_query('w8')$$);
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO word VALUES ('w7', 'w7', 'w7', 'w7');
SELECT * FROM probe();
UPDATE word SET c = 'W8', n = 'W8' WHERE d = 'w8';
SELECT * FROM probe();
UPDATE word SET c = 'other', n = 'other' WHERE d = 'w8';
SELECT * FROM probe();
TRUNCATE call;

-- Joins: a dimension that changes leaves what it does not reach
SELECT FROM twin('by_head', 'd int', 'text',
  'SELECT string_agg(p.head || t.id, '','' ORDER BY t.id) FROM task t JOIN department p ON p.id = t.department_id WHERE p.id = d AND t.id < 20');
SELECT FROM twin('names', 'd int', 'text',
  'SELECT string_agg(p.name, '','' ORDER BY t.id) FROM task t LEFT JOIN department p ON p.id = t.parent_id WHERE t.department_id = d');
SELECT FROM twin('exists', 'd int', 'bigint',
  'SELECT count(*) FROM department p WHERE p.id = d AND EXISTS (SELECT FROM task t WHERE t.department_id = p.id AND t.urgent)');
INSERT INTO call (call) VALUES ('by_head(1)'), ('by_head(2)'), ('names(1)'), ('names(2)'), ('exists(1)'), ('exists(2)');
SELECT * FROM probe();
SELECT * FROM probe();
UPDATE department SET name = 'other' WHERE id = 1;
SELECT * FROM probe();
UPDATE department SET head = 'other' WHERE id = 1;
SELECT * FROM probe();
UPDATE task SET urgent = true WHERE id = 3;
SELECT * FROM probe();
INSERT INTO department VALUES (30, 'new', 'new');
SELECT * FROM probe();

TRUNCATE call;

-- Row security: who creates a function is mostly exempt from it, who calls it is not
CREATE TABLE ticket (id int, tenant int, hours int);
INSERT INTO ticket SELECT i, i % 3, i FROM generate_series(1, 30) i;
ALTER TABLE ticket ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ticket USING (tenant = current_setting('app.tenant')::int);
CREATE ROLE granularity_tenant;
GRANT USAGE ON SCHEMA granularity TO granularity_tenant;
GRANT SELECT ON ticket, call TO granularity_tenant;
SELECT FROM twin('tickets', '', 'bigint', 'SELECT sum(hours) FROM ticket');
SELECT FROM twin('ticket', 'i int', 'bigint', 'SELECT sum(hours) FROM ticket WHERE id = i');
INSERT INTO call (call) VALUES ('tickets()'), ('ticket(1)');
SET ROLE granularity_tenant;
SET app.tenant = 1;
SELECT * FROM probe();
SELECT * FROM probe();
RESET ROLE;
INSERT INTO ticket VALUES (1, 2, 100);
SET ROLE granularity_tenant;
SELECT * FROM probe();
RESET ROLE;
INSERT INTO ticket VALUES (31, 1, 100);
SET ROLE granularity_tenant;
SELECT * FROM probe();
RESET ROLE;
TRUNCATE call;

SELECT relation, unnest(watches) FROM aggcache.tables WHERE relation::text !~ '[.]' ORDER BY relation::text, 2;
SELECT function, relation, granularity, key_columns, range_column, watch FROM aggcache.dependencies
  WHERE function::text ~ '^cached_(between|filter|month)' ORDER BY function::text, relation::text;
-- what one call depends on
\x
SELECT * FROM aggcache.explain('cached_between(int,date,date)', 1, '2026-01-01', '2026-01-31');
SELECT * FROM aggcache.explain('cached_filter(int,text)', NULL::int, 'open');
SELECT * FROM aggcache.explain('cached_filter(int,text)', NULL::int, NULL::text);
SELECT * FROM aggcache.explain('cached_names(int)', 1);
SELECT * FROM aggcache.explain('cached_month(date,date)', '2026-02-01', '2026-01-01');
SELECT * FROM aggcache.explain('cached_optional(date)', NULL::date);
SELECT * FROM aggcache.explain('cached_lower_is(text)', 'x');
SELECT * FROM aggcache.explain('cached_any(int[])', '{1,2,3}'::text);
SELECT * FROM aggcache.explain('cached_count()', VARIADIC '{}'::text[]);
SELECT * FROM aggcache.explain('cached_sum(int)', VARIADIC '{}'::text[]);
SELECT * FROM aggcache.explain('cached_sum(int)', 1, 2);
SELECT * FROM aggcache.explain('plain_sum(int)', 1);
\x
-- watches go with the functions that need them
DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT function FROM aggcache.functions WHERE function::text ~ '^cached_' LOOP EXECUTE 'DROP FUNCTION ' || f; END LOOP; END $$;
SELECT (SELECT count(*) FROM aggcache.watch WHERE relation = ANY (r)) AS watches,
  (SELECT count(*) FROM aggcache.watch_use WHERE relation = ANY (r)) AS uses, (SELECT count(*) FROM aggcache.dependency WHERE relation = ANY (r)) AS dependencies
  FROM (SELECT array_agg(oid) FROM pg_class WHERE relnamespace = 'granularity'::regnamespace) AS x(r);
DROP SCHEMA granularity CASCADE;
DROP ROLE granularity_tenant;
