-- Rows told apart by functions of a column, by what a table is joined with, by arms of an OR, by casts. Every write is
-- followed by the calls whose results it invalidated; every answer is compared with that of the plain twin.
CREATE SCHEMA narrowing;
SET search_path = narrowing;
SET client_min_messages = warning;
SET timezone = 'Europe/Berlin';
\set ECHO none
\i sql/include/twin.sql
\set ECHO all
CREATE TABLE sale (id int PRIMARY KEY, shop int, placed timestamptz, local_at timestamp, day date, code char(4), n int);
INSERT INTO sale SELECT i, 1 + i % 5, t, t AT TIME ZONE 'UTC', t::date, 'c' || i % 7, i
  FROM generate_series(1, 400) i, LATERAL (SELECT timestamptz '2026-01-01 00:30Z' + i * interval '1 day' AS t) x;

-- Functions of a column that keep its order: a write in the period, at its edges, and outside
SELECT FROM twin('on_day', 'd date', 'bigint', 'SELECT count(*) FROM sale WHERE placed::date = d');
SELECT FROM twin('in_month', 'd timestamptz', 'bigint', $$SELECT count(*) FROM sale WHERE date_trunc('month', placed) = d$$);
SELECT FROM twin('in_year', 'y int', 'bigint', 'SELECT count(*) FROM sale WHERE extract(year FROM placed) = y');
SELECT FROM twin('days', 'a date, b date', 'bigint',
  $$SELECT count(*) FROM sale WHERE (placed AT TIME ZONE 'America/New_York')::date BETWEEN a AND b$$);
SELECT FROM twin('binned', 't timestamp', 'bigint',
  $$SELECT count(*) FROM sale WHERE date_bin('6 hours', local_at, '2026-01-01') = t$$);
SELECT FROM twin('later_day', 't timestamptz', 'bigint', 'SELECT count(*) FROM sale WHERE day >= t');
SELECT FROM twin('thirds', 'k int', 'bigint', 'SELECT count(*) FROM sale WHERE n / 30 = k');
SELECT FROM twin('left_of', 'k int', 'bigint', 'SELECT count(*) FROM sale WHERE 1000 - n > k');
SELECT FROM twin('one_of_days', 'ds date[]', 'bigint', 'SELECT count(*) FROM sale WHERE placed::date = ANY (ds)');
INSERT INTO call (call) VALUES ($$on_day('2026-03-29')$$), ($$in_month('2026-10-01 00:00+02')$$), ('in_year(2026)'),
  ($$days('2026-03-07', '2026-03-09')$$), ($$binned('2026-05-05 06:00')$$), ($$later_day('2027-01-20 12:00Z')$$),
  ('thirds(2)'), ('left_of(990)'), ($$one_of_days('{2026-06-01,2026-06-03}')$$);
SELECT * FROM probe();
SELECT * FROM probe();
-- the night in which clocks are put forward: just before, at the first and the last moment of the day, just after
INSERT INTO sale VALUES (1001, 1, '2026-03-28 22:59:59.999999Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (1002, 1, '2026-03-28 23:00Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (1003, 1, '2026-03-29 21:59:59.999999Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (1004, 1, '2026-03-29 22:00Z');
SELECT * FROM probe();
-- a day whose local time comes twice in an hour
INSERT INTO sale VALUES (1005, 1, '2026-10-25 00:30Z'), (1006, 1, '2026-10-25 01:30Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (1007, 1, '2026-10-31 22:59:59.999999Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (1008, 1, '2026-10-31 23:00Z');
SELECT * FROM probe();
-- a year's last moment, the next one's first, and another century
INSERT INTO sale VALUES (1009, 1, '2026-12-31 22:59:59.999999Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (1010, 1, '2027-06-01'), (1011, 1, '1926-06-01'), (1012, 1, '1026-06-01');
SELECT * FROM probe();
INSERT INTO sale VALUES (1013, 1, 'infinity'), (1014, 1, '-infinity');
SELECT * FROM probe();
-- where no function is known to work, results end: evaluating could raise an error
INSERT INTO sale VALUES (1015, 1, '200000-01-01');
SELECT * FROM probe();
-- a day elsewhere
INSERT INTO sale VALUES (1016, 1, '2026-03-07 04:59:59Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (1017, 1, '2026-03-07 05:00Z');
SELECT * FROM probe();
INSERT INTO sale (id, local_at) VALUES (1018, '2026-05-05 11:59:59.999999');
SELECT * FROM probe();
INSERT INTO sale (id, local_at) VALUES (1019, '2026-05-09 06:00');
SELECT * FROM probe();
-- texts of times: the month that they name, its edges in this zone, another format, and another order of texts
SELECT FROM twin('month_text', 'm text', 'bigint', $$SELECT count(*) FROM sale WHERE to_char(placed, 'YYYY-MM') = m$$);
SELECT FROM twin('week_text', 'm text', 'bigint', $$SELECT count(*) FROM sale WHERE to_char(day, 'IYYY"-W"IW') = m$$);
SELECT FROM twin('texts', 'ms text[]', 'bigint', $$SELECT count(*) FROM sale WHERE to_char(local_at, 'yyyy/mm/dd hh24') = ANY (ms)$$);
SELECT FROM twin('until_text', 'm text', 'bigint',
  $$SELECT count(*) FROM sale WHERE to_char(placed, 'YYYY-MM') COLLATE "C" < m$$);
SELECT FROM twin('until_sorted', 'm text', 'bigint',
  $$SELECT count(*) FROM sale WHERE to_char(placed, 'YYYY-MM') COLLATE "und-x-icu" < m$$);
SELECT FROM twin('year_last', 'm text', 'bigint', $$SELECT count(*) FROM sale WHERE to_char(placed, 'MM-YYYY') = m$$);
SELECT FROM twin('no_month', 'm text', 'bigint', $$SELECT count(*) FROM sale WHERE to_char(placed, 'YYYY-DD') = m$$);
-- no field in small letters and capitals: text, and so days of all months are alike
SELECT FROM twin('mixed', 'm text', 'bigint', $$SELECT count(*) FROM sale WHERE to_char(placed, 'YYYY-Mm-DD') = m$$);
INSERT INTO call (call) VALUES ($$mixed('2026-Mm-10')$$), ($$month_text('2026-10')$$), ($$week_text('2026-W53')$$),
  ($$texts('{2026/02/03 07,2026/02/05 23}')$$), ($$until_text('2026-02')$$), ($$until_sorted('2026-02')$$),
  ($$year_last('10-2026')$$), ($$no_month('2026-10')$$), ($$month_text('nonsense')$$), ($$month_text(NULL)$$);
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO sale VALUES (3101, 1, '2026-09-30 22:00Z'), (3102, 1, '2026-10-31 22:59:59.999999Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (3103, 1, '2026-09-20 22:00Z'), (3104, 1, '2026-11-10 22:59:59.999999Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (3105, 1, '2026-01-31 22:59:59.999999Z');
SELECT * FROM probe();
INSERT INTO sale (id, local_at) VALUES (3106, '2026-02-03 07:59:59.999999'), (3107, '2026-02-05 23:00');
SELECT * FROM probe();
INSERT INTO sale (id, local_at) VALUES (3108, '2026-02-02 23:00'), (3109, '2026-02-07 00:00');
SELECT * FROM probe();
INSERT INTO sale (id, day) VALUES (3110, '2027-01-03'), (3111, '2026-12-28');
SELECT * FROM probe();
INSERT INTO sale (id, day) VALUES (3112, '2027-01-08'), (3113, '2026-12-20');
SELECT * FROM probe();
-- before Christ the years are written as after, and beyond 9999 with more digits
INSERT INTO sale VALUES (3114, 1, '2026-10-10 BC'), (3115, 1, '12026-10-10'), (3116, 1, 'infinity');
SELECT * FROM probe();
DELETE FROM call WHERE call ~ 'text|sorted|year_last|no_month|mixed';
-- a date compared with a moment is midnight here
INSERT INTO sale (id, day) VALUES (1020, '2027-01-20'), (1021, '2026-02-20');
SELECT * FROM probe();
INSERT INTO sale (id, day) VALUES (1022, '2027-01-21');
SELECT * FROM probe();
INSERT INTO sale (id, n) VALUES (1023, 59), (1024, 90);
SELECT * FROM probe();
INSERT INTO sale (id, n) VALUES (1025, 60);
SELECT * FROM probe();
INSERT INTO sale (id, n) VALUES (1026, -5);
SELECT * FROM probe();
INSERT INTO sale (id, placed) VALUES (1027, '2026-06-03 10:00Z');
SELECT * FROM probe();
-- an hour of local time that comes twice: wherever the edge is found, both are in
SELECT FROM twin('from_local', 't timestamp', 'bigint',
  $$SELECT count(*) FROM sale WHERE (placed AT TIME ZONE 'America/New_York') >= t$$);
SELECT FROM twin('until_local', 't timestamp', 'bigint',
  $$SELECT count(*) FROM sale WHERE (placed AT TIME ZONE 'America/New_York') < t$$);
TRUNCATE call;
INSERT INTO call (call) SELECT format('%s(%L)', f, timestamp '2026-11-01 01:00' + m * interval '1 minute')
  FROM unnest('{from_local,until_local}'::text[]) f, unnest('{2,30,58}'::int[]) m;
SELECT * FROM probe();
INSERT INTO sale (id, placed) VALUES (1101, '2026-11-01 05:59Z');
SELECT * FROM probe();
INSERT INTO sale (id, placed) VALUES (1102, '2026-11-01 06:01Z');
SELECT * FROM probe();
INSERT INTO sale (id, placed) VALUES (1103, '2026-11-02 07:00Z');
SELECT * FROM probe();
INSERT INTO sale (id, placed) VALUES (1104, '2026-10-31 07:00Z');
SELECT * FROM probe();
TRUNCATE call;
INSERT INTO call (call) VALUES ($$on_day('2026-03-29')$$), ($$in_month('2026-10-01 00:00+02')$$), ('in_year(2026)');

-- the same under another zone
SET timezone = 'Pacific/Apia';
SELECT * FROM probe();
INSERT INTO sale VALUES (1028, 1, '2026-03-28 10:00Z');
SELECT * FROM probe();
INSERT INTO sale VALUES (1029, 1, '2026-03-28 11:00Z');
SELECT * FROM probe();
RESET timezone;
TRUNCATE call;

-- Joins: a table that is narrowed tells which rows of another count
CREATE TABLE customer (id int PRIMARY KEY, slug text UNIQUE, region int);
CREATE TABLE ord (id int PRIMARY KEY, customer int, placed date, memo text);
CREATE TABLE line (id int PRIMARY KEY, ord int, amount int, memo text);
INSERT INTO customer SELECT i, 's' || i, i % 3 FROM generate_series(1, 30) i;
INSERT INTO ord SELECT i, 1 + i % 30, date '2026-01-01' + i FROM generate_series(1, 300) i;
INSERT INTO line SELECT i, 1 + i % 300, i FROM generate_series(1, 3000) i;
ANALYZE customer, ord, line;
SELECT FROM twin('lines', 'c int', 'bigint', 'SELECT sum(amount) FROM line JOIN ord o ON line.ord = o.id WHERE o.customer = c');
SELECT FROM twin('by_slug', 's text', 'bigint',
  'SELECT sum(amount) FROM line JOIN ord o ON line.ord = o.id JOIN customer c ON c.id = o.customer WHERE c.slug = s');
SELECT FROM twin('semi', 'c int', 'bigint',
  'SELECT count(*) FROM line WHERE ord IN (SELECT id FROM ord WHERE customer = c)');
SELECT FROM twin('correlated', 'c int', 'SETOF bigint',
  'SELECT (SELECT sum(amount) FROM line WHERE line.ord = o.id) FROM ord o WHERE o.customer = c ORDER BY 1');
SELECT FROM twin('latest', 'c int', 'SETOF int',
  'SELECT l.id FROM ord o, LATERAL (SELECT id FROM line WHERE line.ord = o.id ORDER BY id DESC LIMIT 1) l
   WHERE o.customer = c ORDER BY 1');
SELECT FROM twin('grouped', 'c int', 'SETOF bigint',
  'SELECT l.s FROM ord o LEFT JOIN (SELECT ord, sum(amount) AS s FROM line GROUP BY ord) l ON l.ord = o.id
   WHERE o.customer = c ORDER BY 1');
SELECT FROM twin('outer_side', 'c int', 'bigint',
  'SELECT count(l.id) FROM ord o LEFT JOIN line l ON l.ord = o.id WHERE o.customer = c');
SELECT FROM twin('without', 'c int', 'bigint',
  'SELECT count(*) FROM ord o WHERE o.customer = c AND NOT EXISTS (SELECT FROM line l WHERE l.ord = o.id)');
SELECT FROM twin('twice', 'c int', 'bigint',
  'WITH w AS (SELECT ord, amount FROM line) SELECT sum(a.amount) + count(b.ord) FROM ord o
   JOIN w a ON a.ord = o.id JOIN w b ON b.ord = o.id WHERE o.customer = c');
SELECT FROM twin('listed', 'os int[]', 'bigint', 'SELECT sum(amount) FROM line JOIN unnest(os) u ON u = line.ord');
SELECT FROM twin('top', '', 'bigint',
  'SELECT sum(amount) FROM line WHERE ord IN (SELECT id FROM ord ORDER BY placed DESC LIMIT 3)');
SELECT FROM twin('since_first', 'c int', 'bigint',
  'SELECT count(*) FROM ord WHERE placed >= (SELECT max(placed) FROM ord WHERE customer = c)');
SELECT FROM twin('by_weeks', 'a date, b date', 'bigint',
  $$SELECT count(o.id) FROM generate_series(a::timestamp, b, '1 day') s (d) LEFT JOIN ord o ON date_trunc('day', o.placed) = s.d$$);
INSERT INTO call (call) VALUES ('lines(3)'), ($$by_slug('s3')$$), ('semi(3)'), ('correlated(3)'), ('latest(3)'),
  ('grouped(3)'), ('outer_side(3)'), ('without(3)'), ('twice(3)'), ($$listed('{2,32}')$$), ('top()'), ('since_first(3)'),
  ($$by_weeks('2026-02-01', '2026-02-07')$$);
SELECT * FROM probe();
SELECT * FROM probe();
-- a line of an order of customer 3, and one of another's
INSERT INTO line VALUES (10001, 32, 7);
SELECT * FROM probe();
INSERT INTO line VALUES (10002, 40, 7);
SELECT * FROM probe();
UPDATE line SET ord = 41 WHERE id = 10002;
SELECT * FROM probe();
-- from one of the others to one of his, and back
UPDATE line SET ord = 32 WHERE id = 10002;
SELECT * FROM probe();
UPDATE line SET ord = 41 WHERE id = 10002;
SELECT * FROM probe();
UPDATE line SET memo = 'x';
SELECT * FROM probe();
-- the list of orders changes: its own tag ends the results, and they follow the new list
UPDATE ord SET customer = 3 WHERE id = 40;
SELECT * FROM probe();
INSERT INTO line VALUES (10003, 40, 7);
SELECT * FROM probe();
UPDATE ord SET customer = 10 WHERE id = 40;
SELECT * FROM probe();
INSERT INTO line VALUES (10004, 40, 7);
SELECT * FROM probe();
INSERT INTO ord VALUES (301, 3, '2025-01-01');
SELECT * FROM probe();
INSERT INTO line VALUES (10005, 301, 7);
SELECT * FROM probe();
INSERT INTO ord VALUES (302, 5, '2025-01-01');
SELECT * FROM probe();
UPDATE customer SET slug = 's' || id + 100 WHERE id = 7;
SELECT * FROM probe();
UPDATE customer SET slug = CASE id WHEN 3 THEN 's4' ELSE 's3' END || slug WHERE id IN (3, 4);
SELECT * FROM probe();
UPDATE customer SET slug = 's3' WHERE id = 4;
SELECT * FROM probe();
INSERT INTO line VALUES (10006, 33, 7);
SELECT * FROM probe();
INSERT INTO ord VALUES (303, 6, '2026-02-07');
SELECT * FROM probe();
INSERT INTO ord VALUES (304, 6, '2026-12-07');
SELECT * FROM probe();
INSERT INTO line VALUES (10007, 304, 7);
SELECT * FROM probe();
TRUNCATE call;

-- Joins that do not narrow: rows without a partner count too
SELECT FROM twin('kept', 'c int', 'bigint',
  'SELECT count(*) FROM line l LEFT JOIN (SELECT * FROM ord WHERE customer = c) o ON l.ord = o.id');
SELECT FROM twin('unmatched', 'c int', 'bigint',
  'SELECT count(*) FROM line l WHERE NOT EXISTS (SELECT FROM ord o WHERE o.id = l.ord AND o.customer = c)');
SELECT FROM twin('both', 'c int', 'bigint',
  'SELECT count(*) FROM line l FULL JOIN (SELECT * FROM ord WHERE customer = c) o ON l.ord = o.id');
SELECT FROM twin('padded', 'c int', 'bigint',
  'SELECT count(*) FROM customer c0 LEFT JOIN ord o ON o.customer = c0.id AND o.placed < $$2020-01-01$$
   JOIN line l ON l.ord = coalesce(o.id, 0) WHERE c0.id = c');
SELECT FROM twin('blocked', 'c int', 'bigint',
  'SELECT count(*) FROM ord o LEFT JOIN line l ON l.amount = o.id WHERE o.customer = c AND l.ord IS NOT DISTINCT FROM NULL');
INSERT INTO call (call) VALUES ('kept(3)'), ('unmatched(3)'), ('both(3)'), ('padded(3)'), ('blocked(3)');
SELECT * FROM probe();
INSERT INTO line VALUES (10010, 77, 7);
SELECT * FROM probe();
INSERT INTO line VALUES (10011, 0, 7);
SELECT * FROM probe();
DELETE FROM line WHERE id IN (10010, 10011);
SELECT * FROM probe();
DELETE FROM line WHERE amount IN (2, 32);
SELECT * FROM probe();
TRUNCATE call;

-- Trees
CREATE TABLE staff (id int PRIMARY KEY, boss int, pay int, name text);
INSERT INTO staff SELECT i, i / 3, i FROM generate_series(1, 200) i;
SELECT FROM twin('below', 'r int', 'bigint',
  'WITH RECURSIVE t AS (SELECT id, pay FROM staff WHERE id = r UNION ALL
   SELECT s.id, s.pay FROM staff s JOIN t ON s.boss = t.id) SELECT sum(pay) FROM t');
INSERT INTO call (call) VALUES ('below(4)'), ('below(5)');
SELECT * FROM probe();
INSERT INTO staff VALUES (1001, 13, 7);
SELECT * FROM probe();
INSERT INTO staff VALUES (1002, 1001, 7);
SELECT * FROM probe();
INSERT INTO staff VALUES (1003, 6, 7);
SELECT * FROM probe();
UPDATE staff SET boss = 5 WHERE id = 1001;
SELECT * FROM probe();
INSERT INTO staff VALUES (1004, 1002, 7);
SELECT * FROM probe();
TRUNCATE call;

-- Either of two columns, arguments that may be left out, pages, casts
CREATE TABLE message (id bigint PRIMARY KEY, sender int, receiver int, at timestamptz, code char(4), word text);
INSERT INTO message SELECT i, i % 20, i % 17, timestamptz '2026-01-01 00:00Z' + i * interval '1 hour', 'c' || i % 9, 'w' || i % 5
  FROM generate_series(1, 1000) i;
SELECT FROM twin('of_either', 'p int', 'bigint', 'SELECT count(*) FROM message WHERE sender = p OR receiver = p');
SELECT FROM twin('maybe', 'p int', 'bigint', 'SELECT count(*) FROM message WHERE sender = coalesce(p, sender)');
SELECT FROM twin('chosen', 'p int', 'bigint', 'SELECT count(*) FROM message WHERE CASE WHEN p > 0 THEN sender = p ELSE true END');
SELECT FROM twin('page', 't timestamptz, i bigint', 'SETOF bigint',
  'SELECT id FROM message WHERE (at, id) < (t, i) ORDER BY at DESC, id DESC LIMIT 5');
SELECT FROM twin('as_numeric', 'p numeric', 'bigint', 'SELECT count(*) FROM message WHERE sender = p');
SELECT FROM twin('as_text', 'c text', 'bigint', 'SELECT count(*) FROM message WHERE code = c');
SELECT FROM twin('many', 'ps int[]', 'bigint', 'SELECT count(*) FROM message WHERE sender = ANY (ps)');
INSERT INTO call (call) VALUES ('of_either(3)'), ('maybe(3)'), ('maybe(NULL)'), ('chosen(3)'), ('chosen(0)'),
  ($$page('2026-01-05 00:00Z', 90)$$), ('as_numeric(3.0)'), ('as_numeric(3.5)'), ($$as_text('c1')$$),
  ('many((SELECT array_agg(i) FROM generate_series(100, 299) i))');
SELECT * FROM probe();
INSERT INTO message VALUES (2001, 3, 50, '2026-06-01', 'c7');
SELECT * FROM probe();
INSERT INTO message VALUES (2002, 50, 3, '2026-06-01', 'c7');
SELECT * FROM probe();
INSERT INTO message VALUES (2003, 50, 50, '2026-06-01', 'c7');
SELECT * FROM probe();
INSERT INTO message VALUES (2004, 51, 50, '2026-01-01', 'c1');
SELECT * FROM probe();
INSERT INTO message VALUES (2005, 150, 50, '2026-06-01', 'c7');
SELECT * FROM probe();
INSERT INTO message VALUES (2006, NULL, NULL, '2026-06-01', NULL);
SELECT * FROM probe();
UPDATE message SET sender = 4 WHERE id = 2001;
SELECT * FROM probe();

TRUNCATE call;

-- Lists in arrays: of a sub-select, and of rows, with NULLs and two dimensions
CREATE TABLE playlist (id int PRIMARY KEY, owner int, tracks int[]);
CREATE TABLE track (id int PRIMARY KEY, album int, plays bigint);
INSERT INTO track SELECT i, i / 4, i FROM generate_series(1, 200) i;
INSERT INTO playlist VALUES (1, 1, '{1,2,NULL}'), (2, 1, '{{3,4},{5,6}}'), (3, 2, '{}'), (4, 2, NULL), (5, 3, '{7}');
SELECT FROM twin('of_list', 'i int', 'bigint',
  'SELECT sum(t.plays) FROM playlist p JOIN track t ON t.id = ANY (p.tracks) WHERE p.id = i');
SELECT FROM twin('of_owner', 'o int', 'bigint',
  'SELECT sum(t.plays) FROM playlist p LEFT JOIN track t ON t.id = ANY (p.tracks) WHERE p.owner = o');
SELECT FROM twin('of_albums', 'o int', 'bigint', 'SELECT sum(plays) FROM track WHERE album = ANY (ARRAY(
  SELECT id FROM playlist WHERE owner = o))');
SELECT FROM twin('but_albums', 'o int', 'bigint', 'SELECT sum(plays) FROM track WHERE album <> ALL (ARRAY(
  SELECT id FROM playlist WHERE owner = o))');
INSERT INTO call (call) VALUES ('of_list(1)'), ('of_list(2)'), ('of_list(3)'), ('of_owner(1)'), ('of_owner(2)'),
  ('of_albums(2)'), ('but_albums(2)');
SELECT * FROM probe();
UPDATE track SET plays = 100 WHERE id = 2;
SELECT * FROM probe();
UPDATE track SET plays = 100 WHERE id = 6;
SELECT * FROM probe();
UPDATE track SET plays = 100 WHERE id = 16;
SELECT * FROM probe();
UPDATE track SET plays = 100 WHERE id = 99;
SELECT * FROM probe();
-- the lists change, and their new rows count
UPDATE playlist SET tracks = '{99}' WHERE id = 3;
SELECT * FROM probe();
UPDATE track SET plays = 200 WHERE id = 99;
SELECT * FROM probe();
INSERT INTO playlist VALUES (24, 2, '{99,100}');
SELECT * FROM probe();
UPDATE track SET plays = 300 WHERE id = 98;
SELECT * FROM probe();

SELECT relation, granularity, clause FROM aggcache.explain('cached_of_list(int)', 2);
SELECT relation, granularity, clause FROM aggcache.explain('cached_of_albums(int)', 2);
SELECT relation, granularity, clause FROM aggcache.explain('cached_of_either(int)', 3);
SELECT relation, granularity, clause FROM aggcache.explain('cached_as_numeric(numeric)', 3.0);
SELECT relation, granularity, clause FROM aggcache.explain('cached_lines(int)', 30);
SELECT relation, granularity, clause FROM aggcache.explain('cached_since_first(int)', 30);
DROP SCHEMA narrowing CASCADE;
