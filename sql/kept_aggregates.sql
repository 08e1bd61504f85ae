-- The aggregates and the forms of queries whose results writes keep current. Each step compares cached answers, as
-- text, with the plain query's, and shows how the calls were answered.

CREATE SCHEMA kept_forms;
SET search_path = kept_forms, public;
CREATE TABLE kept_sale (id int PRIMARY KEY, shop int NOT NULL, kind text, small smallint, n int, big bigint,
  cost numeric(12,2), rate numeric, took interval, paid money, day date, at timestamptz, open boolean);
INSERT INTO kept_sale SELECT i, i % 4, 'k' || i % 3, i % 7, i - 60, 1000000000000 * (i - 50), i * 1.25,
  round((i % 10) / 4.0, 2), i * interval '1 day 2 hours', (i * 1.1)::numeric::money, date '2026-01-01' + i % 40,
  timestamptz '2026-01-01 00:00+00' + i * interval '1 hour', i % 2 = 0 FROM generate_series(1, 120) i;

CREATE TABLE kept_form (name text PRIMARY KEY, columns int, arguments text, call text, body text);
INSERT INTO kept_form VALUES
  ('spread', 11, 'd int', '1', 'SELECT variance(small), stddev(n), var_pop(big), stddev_pop(cost), var_samp(rate),
    stddev_samp(small), var_samp(n), stddev_samp(big), variance(cost), stddev(rate), var_pop(rate)
    FROM kept_sale WHERE shop = d'),
  ('spans', 3, 'd int', '1', 'SELECT sum(took), avg(took), sum(paid) FROM kept_sale WHERE shop = d'),
  ('ends', 10, 'd int', '1', 'SELECT min(n), max(n), min(kind), max(kind COLLATE "C"), min(day), max(at), min(big),
    max(paid), max(n) FILTER (WHERE open), count(*) FROM kept_sale WHERE shop = d'),
  ('ends_of_groups', 4, 'd int', '1', 'SELECT kind, min(n), max(day), count(DISTINCT small) FROM kept_sale
    WHERE shop = d GROUP BY kind ORDER BY kind'),
  ('different', 3, 'd int', '1', 'SELECT count(DISTINCT kind), count(DISTINCT day) FILTER (WHERE open),
    count(DISTINCT open) FROM kept_sale WHERE shop = d'),
  ('distinct_rows', 2, 'd int', '1', 'SELECT DISTINCT kind, open FROM kept_sale WHERE shop = d
    ORDER BY kind, open LIMIT 5'),
  ('distinct_groups', 1, '', '', 'SELECT DISTINCT count(*) FROM kept_sale GROUP BY kind, shop ORDER BY 1'),
  ('shares', 4, 'd int', '1', 'SELECT kind, count(*) * 100 / sum(count(*)) OVER (), rank() OVER (ORDER BY sum(n) DESC),
    row_number() OVER (ORDER BY count(*), kind) FROM kept_sale WHERE shop = d GROUP BY kind ORDER BY kind'),
  ('range_of_key', 3, 'd int, low timestamptz, high timestamptz', '1, ''2026-01-02'', ''2026-01-04''',
    'SELECT count(*), sum(n), max(n) FROM kept_sale WHERE shop = d AND at >= low AND at < high'),
  ('open_range', 2, 'low timestamptz', '''2026-01-03''', 'SELECT kind, count(*) FROM kept_sale WHERE at >= low
    GROUP BY kind ORDER BY kind'),
  ('optional_given', 2, 'd int', '1', 'SELECT count(*), sum(cost) FROM kept_sale WHERE d IS NULL OR shop = d'),
  ('optional_left', 2, 'd int', 'NULL', 'SELECT count(*), sum(cost) FROM kept_sale WHERE d IS NULL OR shop = d'),
  ('whole', 4, '', '', 'SELECT open, kind, count(*), max(n) FROM kept_sale GROUP BY open, kind ORDER BY open, kind');
CREATE FUNCTION make_kept(form kept_form) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  names text := (SELECT string_agg('c' || i, ', ') FROM generate_series(1, form.columns) i);
  columns text;
BEGIN
  EXECUTE format('CREATE TEMP TABLE result AS SELECT * FROM (%s) x (%s)',
    regexp_replace(regexp_replace(form.body, '\m(d|low|high)\M', 'NULL', 'g'), '(shop|at) (=|>=|<) NULL', 'true', 'g'),
    names);
  SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) INTO columns
    FROM pg_attribute WHERE attrelid = 'result'::regclass AND attnum > 0;
  DROP TABLE result;
  EXECUTE format('CREATE FUNCTION plain_%s(%s) RETURNS TABLE (%s) LANGUAGE sql VOLATILE AS %L',
    form.name, form.arguments, columns, form.body);
  EXECUTE format('CREATE FUNCTION kept_%s(%s) RETURNS TABLE (%s) LANGUAGE cached_sql STABLE AS %L',
    form.name, form.arguments, columns, form.body);
END $$;
SET client_min_messages = warning;
SELECT count(make_kept(f)) FROM kept_form f;
CREATE FUNCTION same(form kept_form) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  cached text;
  plain text;
BEGIN
  EXECUTE format('SELECT string_agg(ROW(x.*)::text, '' '') FROM kept_%s(%s) x', form.name, form.call) INTO cached;
  EXECUTE format('SELECT string_agg(ROW(x.*)::text, '' '') FROM plain_%s(%s) x', form.name, form.call) INTO plain;
  RETURN (SELECT result || coalesce(': ' || reason, '') || coalesce(' (' || not_kept || ')', '') FROM aggcache.last_call())
    || CASE WHEN cached IS DISTINCT FROM plain THEN format(' DIFFERS: %s for %s', cached, plain) ELSE '' END;
END $$;
CREATE VIEW all_same AS SELECT how, string_agg(name, ' ' ORDER BY name) AS forms
  FROM (SELECT name, same(f) AS how FROM kept_form f ORDER BY name) x GROUP BY how ORDER BY how;
SELECT function, not_kept FROM aggcache.dependencies WHERE not_kept IS NOT NULL;

SET aggcache.keep_current = on;
SELECT * FROM all_same;
-- rows that come, change, move and go
INSERT INTO kept_sale VALUES (1001, 1, 'k9', 3, 500, 7, 0.5, 1.125, '1 mon', '3.33', '2026-03-01', '2026-01-03', true);
SELECT * FROM all_same;
UPDATE kept_sale SET n = n + 7, rate = rate * 1.5, took = took * 2, small = small + 1 WHERE id IN (5, 41);
UPDATE kept_sale SET shop = 1, open = NOT open WHERE id = 2;
DELETE FROM kept_sale WHERE id = 9;
SELECT * FROM all_same;
-- nulls, NaN and infinities
UPDATE kept_sale SET small = NULL, n = NULL, big = NULL, cost = 'NaN', rate = NULL, took = NULL, paid = NULL,
  kind = NULL, day = NULL WHERE id = 13;
SELECT * FROM all_same;
UPDATE kept_sale SET cost = NULL, rate = 'Infinity' WHERE id = 13;
SELECT * FROM all_same;
UPDATE kept_sale SET rate = 3 WHERE id = 13;
SELECT * FROM all_same;
-- the greatest value goes: the next is known; when all that are known have gone it is computed
DELETE FROM kept_sale WHERE id = 1001;
SELECT * FROM all_same;
SELECT same(f) FROM kept_form f WHERE name = 'ends';
DELETE FROM kept_sale WHERE shop = 1 AND id > 50;
SELECT same(f) FROM kept_form f WHERE name IN ('ends', 'different');
INSERT INTO kept_sale (id, shop, n) VALUES (1002, 1, 17);
SELECT same(f) FROM kept_form f WHERE name IN ('ends', 'different');
-- one row: no variance of a sample; none at all
DELETE FROM kept_sale WHERE shop = 1 AND id <> 5;
SELECT * FROM all_same;
DELETE FROM kept_sale WHERE shop = 1;
SELECT * FROM all_same;
INSERT INTO kept_sale SELECT 2000 + i, 1, 'k1', 2, i, i, i, i / 8.0, interval '1 hour' * i, i::money, '2026-02-01',
  '2026-01-03', true FROM generate_series(1, 3) i;
SELECT * FROM all_same;
-- numbers with too many digits to be squared exactly, sums that might overflow: computed
UPDATE kept_sale SET rate = 1e-15 WHERE id = 2001;
SELECT same(f) FROM kept_form f WHERE name = 'spread';
UPDATE kept_sale SET rate = 1 WHERE id = 2001;
UPDATE kept_sale SET took = interval '170000000 years' WHERE id = 2001;
SELECT same(f) FROM kept_form f WHERE name = 'spans';
UPDATE kept_sale SET took = CASE id WHEN 2001 THEN interval '170000000 years' ELSE interval '-50000000 years' END
  WHERE shop = 1;
SELECT same(f) FROM kept_form f WHERE name = 'spans';
UPDATE kept_sale SET took = interval '1 day' WHERE shop = 1;
SELECT same(f) FROM kept_form f WHERE name = 'spans';
-- what is not kept, and why
CREATE FUNCTION no_average(d int) RETURNS SETOF float8 LANGUAGE cached_sql STABLE
  AS 'SELECT avg(n::float8) FROM kept_sale WHERE shop = d';
CREATE FUNCTION no_end(d int) RETURNS SETOF numeric LANGUAGE cached_sql STABLE
  AS 'SELECT max(rate) FROM kept_sale WHERE shop = d';
CREATE FUNCTION no_distinct_sum(d int) RETURNS SETOF bigint LANGUAGE cached_sql STABLE
  AS 'SELECT sum(DISTINCT n) FROM kept_sale WHERE shop = d';
CREATE FUNCTION no_distinct_rate(d int) RETURNS SETOF bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(DISTINCT rate) FROM kept_sale WHERE shop = d';
CREATE FUNCTION no_distinct_averages(d int) RETURNS SETOF numeric LANGUAGE cached_sql STABLE
  AS 'SELECT DISTINCT avg(rate) FROM kept_sale WHERE shop = d GROUP BY kind';
CREATE FUNCTION no_row_number(d int) RETURNS TABLE (kind text, place bigint) LANGUAGE cached_sql STABLE
  AS 'SELECT kind, row_number() OVER (ORDER BY count(*)) FROM kept_sale WHERE shop = d GROUP BY kind';
SELECT function, not_kept FROM aggcache.dependencies WHERE not_kept IS NOT NULL ORDER BY function::text;
-- so many functions on one table that they share watches, which tell columns apart
DO $$
BEGIN
  FOR i IN 1..20 LOOP
    EXECUTE format('CREATE FUNCTION shared_%s(d int) RETURNS bigint LANGUAGE cached_sql STABLE
      AS ''SELECT sum(n) + %s FROM kept_sale WHERE shop = d AND small <> %s''', i, i, i);
  END LOOP;
END $$;
SELECT DISTINCT watch FROM aggcache.dependencies WHERE function::text ~ '^shared_1\(';
SELECT * FROM all_same;
UPDATE kept_sale SET n = n + 1 WHERE id = 2001;
SELECT * FROM all_same;
UPDATE kept_sale SET n = n + 1, cost = cost + 1, took = took * 2, at = at + interval '1 hour' WHERE id = 2002;
SELECT * FROM all_same;
UPDATE kept_sale SET shop = 2 WHERE id = 2003;
SELECT * FROM all_same;
DELETE FROM kept_sale WHERE id = 2001;
SELECT * FROM all_same;

-- a partitioned table, by its root: leaves with other columns, rows that move, leaves that come and go
CREATE TABLE kept_event (id int, shop int, n int, kind text) PARTITION BY LIST (shop);
CREATE TABLE kept_event_1 PARTITION OF kept_event FOR VALUES IN (1);
CREATE TABLE kept_event_2 (gone int, kind text, n int, shop int, id int);
ALTER TABLE kept_event_2 DROP COLUMN gone;
ALTER TABLE kept_event ATTACH PARTITION kept_event_2 FOR VALUES IN (2, 3);
INSERT INTO kept_event SELECT i, 1 + i % 3, i, 'k' || i % 4 FROM generate_series(1, 60) i;
DELETE FROM kept_form;
INSERT INTO kept_form VALUES
  ('events', 4, 'd int', '2', 'SELECT kind, count(*), sum(n), max(n) FROM kept_event WHERE shop = d GROUP BY kind
    ORDER BY kind'),
  ('all_events', 4, '', '', 'SELECT shop, count(*), sum(n), min(kind) FROM kept_event GROUP BY shop ORDER BY shop');
SELECT count(make_kept(f)) FROM kept_form f;
SELECT function, relation, not_kept FROM aggcache.dependencies WHERE relation = 'kept_event'::regclass ORDER BY 1;
SELECT * FROM all_same;
UPDATE kept_event SET n = n + 100 WHERE id IN (2, 4);
SELECT * FROM all_same;
UPDATE kept_event_2 SET n = n + 100, kind = 'k7' WHERE id = 7;
SELECT * FROM all_same;
UPDATE kept_event SET shop = 2 WHERE id = 3;
UPDATE kept_event SET shop = 1 WHERE id = 8;
SELECT * FROM all_same;
INSERT INTO kept_event_2 (id, shop, n, kind) VALUES (101, 3, 1, 'k5');
DELETE FROM kept_event WHERE id = 10;
SELECT * FROM all_same;
ALTER TABLE kept_event DETACH PARTITION kept_event_2;
UPDATE kept_event_2 SET n = n + 1;
SELECT * FROM all_same;
ALTER TABLE kept_event ATTACH PARTITION kept_event_2 FOR VALUES IN (2, 3);
SELECT * FROM all_same;
UPDATE kept_event SET n = n - 1 WHERE id IN (5, 7);
SELECT * FROM all_same;
TRUNCATE kept_event_2;
SELECT * FROM all_same;

RESET search_path;
DROP SCHEMA kept_forms CASCADE;
