-- What explain() says would tell more changes apart: the limit that was met, and what to do about it.
CREATE SCHEMA finer;
SET search_path = finer;
SET client_min_messages = warning;
CREATE TABLE ord (id int PRIMARY KEY, customer int, code text);
CREATE TABLE line (id int, ord_id int, amount int, weight float8);
CREATE TABLE relic (id int, made timestamp, day date, wei numeric, kind int, room int);
INSERT INTO ord SELECT i, CASE WHEN i <= 300 THEN 1 ELSE i END, 'c' || i FROM generate_series(1, 600) i;
INSERT INTO line SELECT i, 1 + i % 600, i FROM generate_series(1, 2000) i;
ANALYZE;
CREATE FUNCTION lines(c int) RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT sum(l.amount) FROM ord o JOIN line l ON l.ord_id = o.id WHERE o.customer = c';
CREATE FUNCTION lines_of_all() RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT sum(l.amount) FROM ord o JOIN line l ON l.ord_id = o.id';
CREATE FUNCTION of_list(l int[]) RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT count(*) FROM ord WHERE customer = ANY (l)';
CREATE FUNCTION begins(p text) RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT count(*) FROM ord WHERE code LIKE p';
CREATE FUNCTION heavy(w float8) RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT count(*) FROM line WHERE weight > w';
CREATE FUNCTION made_in(a timestamp, b timestamp) RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT count(*) FROM relic WHERE made >= a AND made < b';
CREATE FUNCTION of_days(a date, b date) RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT count(*) FROM relic WHERE day BETWEEN a AND b';
CREATE FUNCTION worth(a numeric) RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT count(*) FROM relic WHERE wei >= a';
CREATE FUNCTION of_kinds(k int[], r int[]) RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT count(*) FROM relic WHERE kind = ANY (k) AND room = ANY (r)';

SELECT function, relation, granularity, reason FROM aggcache.dependencies
  WHERE function::text ~ 'lines' ORDER BY function::text, relation::text;
-- the rows that it is joined with: few, many, all
SELECT relation, granularity, finer FROM aggcache.explain('lines(int)', 400);
SELECT relation, granularity, finer FROM aggcache.explain('lines(int)', 1);
SELECT relation, granularity, finer FROM aggcache.explain('lines_of_all()', VARIADIC '{}'::text[]);
-- lists, alone and together
SELECT granularity, finer FROM aggcache.explain('of_list(int[])', (SELECT array_agg(i) FROM generate_series(1, 256) i));
SELECT granularity, finer FROM aggcache.explain('of_list(int[])', (SELECT array_agg(i) FROM generate_series(1, 257) i));
SELECT granularity, finer FROM aggcache.explain('of_kinds(int[], int[])',
  (SELECT array_agg(i) FROM generate_series(1, 100) i), (SELECT array_agg(i) FROM generate_series(1, 100) i));
-- patterns, and types whose ranges are not followed
SELECT granularity, finer FROM aggcache.explain('begins(text)', 'c1%'::text);
SELECT granularity, finer FROM aggcache.explain('begins(text)', '%1'::text);
SELECT granularity, finer FROM aggcache.explain('heavy(float8)', 1.0);
-- values outside of the cells, until these are wider
SELECT granularity, finer FROM aggcache.explain('made_in(timestamp, timestamp)', timestamp '1500-01-01', timestamp '1501-01-01');
SELECT granularity, finer FROM aggcache.explain('made_in(timestamp, timestamp)', timestamp '2026-01-01', timestamp '2027-01-01');
SELECT granularity, finer FROM aggcache.explain('of_days(date, date)', date '0900-01-01', date '1001-01-01');
SELECT granularity, finer FROM aggcache.explain('worth(numeric)', 1e24);
SELECT aggcache.set_cell_width('relic', 'made', '30 days');
SELECT aggcache.set_cell_width('relic', 'day', '30 days');
SELECT aggcache.set_cell_width('relic', 'wei', '1000000000000000');
SELECT granularity, finer FROM aggcache.explain('made_in(timestamp, timestamp)', timestamp '1500-01-01', timestamp '1501-01-01');
SELECT granularity, finer FROM aggcache.explain('of_days(date, date)', date '0900-01-01', date '1001-01-01');
SELECT granularity, finer FROM aggcache.explain('worth(numeric)', 1e24);
-- and so they are told apart
SELECT made_in('1500-01-01', '1501-01-01'), of_days('0900-01-01', '1001-01-01'), worth(1e24);
INSERT INTO relic VALUES (1, '1600-01-01', '1100-01-01', 1e23), (2, '2026-01-01', '2026-01-01', 1);
SELECT made_in('1500-01-01', '1501-01-01');
SELECT result FROM aggcache.last_call();
SELECT of_days('0900-01-01', '1001-01-01');
SELECT result FROM aggcache.last_call();
SELECT worth(1e24);
SELECT result FROM aggcache.last_call();
INSERT INTO relic VALUES (3, '1500-12-31 23:59:59.999999', '1001-01-01', 1e24);
SELECT made_in('1500-01-01', '1501-01-01'), of_days('0900-01-01', '1001-01-01'), worth(1e24);
DROP SCHEMA finer CASCADE;
