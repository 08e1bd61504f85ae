-- Where a query leaves the order of rows open and its answer shows it, an UPDATE counts whatever column it sets: it moves
-- the row. Where the order is fixed, or nothing shows it, unused columns do not count. Each answer is compared with that
-- of the plain twin after an UPDATE of a column that no query uses.
CREATE SCHEMA row_order;
SET search_path = row_order;
SET client_min_messages = warning;
SET extra_float_digits = 3;
CREATE TABLE part (id int PRIMARY KEY, name text NOT NULL, unused int);
INSERT INTO part SELECT i, 'part ' || i, 0 FROM generate_series(1, 3) i;
CREATE TABLE trip (
  id int PRIMARY KEY, slug text UNIQUE, car int, day date, km int, price numeric, fee numeric(8, 2), x float8, part int,
  city char(5), span int4range, stage numeric(4, 1)[], unused int);
INSERT INTO trip SELECT i, 's' || i, 1, '2026-02-01', i, ('1.' || repeat('0', i))::numeric, i, 0.1 * power(10, i % 9), 1 + i % 3,
  'c' || i % 2, int4range(i % 2, 5), ARRAY[1.5], 0 FROM generate_series(1, 12) i;
CREATE TABLE parent (id int PRIMARY KEY, car int, km int, unused int);
INSERT INTO parent SELECT i, 1, i, 0 FROM generate_series(1, 12) i;
CREATE TABLE child () INHERITS (parent);
INSERT INTO child SELECT * FROM parent;
CREATE TABLE loose (id int, car int, slug text, km int, unused int);
INSERT INTO loose SELECT i, 1, 's' || i, i, 0 FROM generate_series(1, 12) i;
CREATE UNIQUE INDEX ON loose (slug);
CREATE UNIQUE INDEX ON loose (id) WHERE id > 0;
CREATE VIEW of_car AS SELECT id, car, km, part FROM trip;

CREATE TABLE shape (number int GENERATED ALWAYS AS IDENTITY, expected text, returns text, body text);
INSERT INTO shape (expected, returns, body) VALUES
-- aggregates
('open', 'int', 'SELECT sum(km)::int FROM (SELECT km FROM parent WHERE car = c ORDER BY id LIMIT 3) s'),
('open', 'text', 'SELECT string_agg(km::text || (SELECT count(*) FROM part), '','' ORDER BY id) FROM parent WHERE car = c'),
('fixed', 'int', 'SELECT sum(km)::int FROM (SELECT km FROM ONLY parent WHERE car = c ORDER BY id LIMIT 3) s'),
('open', 'int[]', 'SELECT array_agg(km) FROM trip WHERE car = c'),
('fixed', 'int[]', 'SELECT array_agg(km ORDER BY km) FROM trip WHERE car = c'),
('fixed', 'int[]', 'SELECT array_agg(km ORDER BY id) FROM trip WHERE car = c'),
('open', 'int[]', 'SELECT array_agg(km ORDER BY day) FROM trip WHERE car = c'),
('open', 'int[]', 'SELECT array_agg(km ORDER BY id) FROM loose WHERE car = c'),
('open', 'int[]', 'SELECT array_agg(km ORDER BY slug) FROM loose WHERE car = c'),
('fixed', 'int[]', 'SELECT array_agg(DISTINCT part) FROM trip WHERE car = c'),
('open', 'text', 'SELECT string_agg(slug, '','') FROM trip WHERE car = c'),
('fixed', 'text', 'SELECT string_agg(slug, '','' ORDER BY slug) FROM trip WHERE car = c'),
('open', 'text', 'SELECT string_agg(price::text, '','' ORDER BY price) FROM trip WHERE car = c'),
('open', 'json', 'SELECT json_agg(km) FROM trip WHERE car = c'),
('open', 'jsonb', 'SELECT jsonb_agg(to_jsonb(km) ORDER BY day) FROM trip WHERE car = c'),
('open', 'json', 'SELECT json_object_agg(id, km) FROM trip WHERE car = c'),
('fixed', 'json', 'SELECT json_object_agg(id, km ORDER BY id) FROM trip WHERE car = c'),
('open', 'int[]', 'SELECT array_agg(km ORDER BY t.id) FROM trip t JOIN loose USING (km) WHERE t.car = c'),
('fixed', 'int[]', 'SELECT array_agg(t.km ORDER BY t.id) FROM trip t JOIN part p ON p.id = t.part WHERE t.car = c'),
('fixed', 'text[]', 'SELECT array_agg(t.km || p.name ORDER BY t.id) FROM trip t LEFT JOIN part p ON p.id = t.part WHERE t.car = c'),
('fixed', 'bigint', 'SELECT sum(km) + count(*) + max(km) - min(id) FROM trip WHERE car = c'),
('fixed', 'numeric', 'SELECT sum(price) + avg(price) FROM trip WHERE car = c'),
('open', 'numeric', 'SELECT max(price) FROM trip WHERE car = c'),
('open', 'numeric', 'SELECT sum(DISTINCT price) FROM trip WHERE car = c'),
('fixed', 'bigint', 'SELECT count(DISTINCT price) FROM trip WHERE car = c'),
('fixed', 'numeric', 'SELECT max(fee) FROM trip WHERE car = c'),
('fixed', 'text', 'SELECT max(slug) || max(day) FROM trip WHERE car = c'),
('fixed', 'text', 'SELECT max(city) FROM trip WHERE car = c'),
('fixed', 'text', 'SELECT max(stage) FROM trip WHERE car = c'),
('open', 'float8', 'SELECT sum(x) FROM trip WHERE car = c'),
('open', 'float8', 'SELECT avg(x) FROM trip WHERE car = c'),
('open', 'float8', 'SELECT stddev(x) FROM trip WHERE car = c'),
('fixed', 'float8', 'SELECT sum(x ORDER BY id) FROM trip WHERE car = c'),
('fixed', 'numeric', 'SELECT stddev(km) FROM trip WHERE car = c'),
('fixed', 'float8', 'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY km) FROM trip WHERE car = c'),
('open', 'float8', 'SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY x) FROM trip WHERE car = c'),
('fixed', 'bigint', 'SELECT rank(3) WITHIN GROUP (ORDER BY km) FROM trip WHERE car = c'),
-- window functions
('open', 'text', 'SELECT string_agg(id || '':'' || n, '','' ORDER BY id) FROM (SELECT id, row_number() OVER (ORDER BY day) n FROM trip WHERE car = c) s'),
('fixed', 'text', 'SELECT string_agg(id || '':'' || n, '','' ORDER BY id) FROM (SELECT id, row_number() OVER (ORDER BY day, id) n FROM trip WHERE car = c) s'),
('fixed', 'text', 'SELECT string_agg(id || '':'' || n, '','' ORDER BY id) FROM (SELECT id, rank() OVER (ORDER BY day) n FROM trip WHERE car = c) s'),
('open', 'text', 'SELECT string_agg(id || '':'' || n, '','' ORDER BY id) FROM (SELECT id, lag(km, 1, 0) OVER (ORDER BY day) n FROM trip WHERE car = c) s'),
('fixed', 'text', 'SELECT string_agg(id || '':'' || n, '','' ORDER BY id) FROM (SELECT id, sum(km) OVER (ORDER BY day) n FROM trip WHERE car = c) s'),
('open', 'text', 'SELECT string_agg(id || '':'' || n, '','' ORDER BY id) FROM (SELECT id, sum(km) OVER (ORDER BY day ROWS UNBOUNDED PRECEDING) n FROM trip WHERE car = c) s'),
('fixed', 'text', 'SELECT string_agg(id || '':'' || n, '','' ORDER BY id) FROM (SELECT id, sum(km) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) n FROM trip WHERE car = c) s'),
('open', 'text', 'SELECT string_agg(id || '':'' || n, '','' ORDER BY id) FROM (SELECT id, first_value(km) OVER (PARTITION BY day) n FROM trip WHERE car = c) s'),
('fixed', 'text', 'SELECT string_agg(part || '':'' || n, '','' ORDER BY part) FROM (SELECT part, sum(km) - lag(sum(km), 1, 0::bigint) OVER (ORDER BY part) n FROM trip WHERE car = c GROUP BY part) s'),
('open', 'text', 'SELECT string_agg(part || '':'' || n, '','' ORDER BY part) FROM (SELECT part, row_number() OVER (ORDER BY count(*)) n FROM trip WHERE car = c GROUP BY part) s'),
('fixed', 'text', 'SELECT string_agg(id || '':'' || n, '','' ORDER BY id) FROM (SELECT t.id, row_number() OVER (PARTITION BY p.name ORDER BY p.id, t.id) n FROM trip t JOIN part p ON p.id = t.part WHERE car = c) s'),
-- LIMIT, and the first row of a function that returns no set
('open', 'int', 'SELECT sum(km)::int FROM (SELECT km FROM trip WHERE car = c LIMIT 3) s'),
('open', 'int', 'SELECT sum(km)::int FROM (SELECT km FROM trip WHERE car = c ORDER BY day LIMIT 3) s'),
('fixed', 'int', 'SELECT sum(km)::int FROM (SELECT km FROM trip WHERE car = c ORDER BY day, id LIMIT 3) s'),
('fixed', 'int', 'SELECT sum(km)::int FROM (SELECT km FROM trip WHERE car = c ORDER BY km LIMIT 3) s'),
('fixed', 'int', 'SELECT sum(km)::int FROM (SELECT km FROM trip WHERE car = c ORDER BY day FETCH FIRST 3 ROWS WITH TIES) s'),
('open', 'int', 'SELECT sum(km)::int FROM (SELECT km FROM trip WHERE car = c ORDER BY day OFFSET 3) s'),
('open', 'text', 'SELECT string_agg(part::text, '','' ORDER BY part) FROM (SELECT part FROM trip WHERE car = c GROUP BY part ORDER BY count(*) LIMIT 2) s'),
('fixed', 'text', 'SELECT string_agg(part::text, '','' ORDER BY part) FROM (SELECT part FROM trip WHERE car = c GROUP BY part ORDER BY count(*), part LIMIT 2) s'),
('open', 'int', 'SELECT km FROM trip WHERE car = c'),
('fixed', 'int', 'SELECT km FROM trip WHERE car = c ORDER BY id'),
('fixed', 'int', 'SELECT km FROM trip WHERE id = c'),
('fixed', 'int', 'SELECT km FROM trip WHERE slug = ''s'' || c'),
('fixed', 'int', 'SELECT km FROM of_car WHERE id = c'),
('open', 'int', 'SELECT km FROM of_car WHERE car = c'),
('fixed', 'int', 'SELECT km FROM (SELECT part, sum(km)::int AS km FROM trip GROUP BY part) s WHERE part = c'),
('open', 'int', 'SELECT t.km FROM trip t, LATERAL (SELECT id FROM part p WHERE p.id = t.part) s WHERE t.day = ''2026-02-01'' AND t.car = c'),
('fixed', 'text', 'SELECT p.name FROM trip t JOIN part p ON p.id = t.part WHERE t.id = c'),
('fixed', 'text', 'SELECT (SELECT p.name FROM part p WHERE p.id = t.part) FROM trip t WHERE t.id = c'),
('open', 'bigint', 'SELECT sum((SELECT l.km FROM loose l WHERE l.car = t.car LIMIT 1)) FROM trip t WHERE t.car = c'),
('fixed', 'bigint', 'SELECT sum((SELECT l.km FROM loose l WHERE l.car = t.car ORDER BY l.km LIMIT 1)) FROM trip t WHERE t.car = c'),
('fixed', 'bigint', 'SELECT count(*) FROM trip t WHERE t.car = c AND EXISTS (SELECT FROM loose l WHERE l.car = t.car LIMIT 1)'),
('fixed', 'bigint', 'SELECT count(*) FROM trip t WHERE t.car = c AND t.km IN (SELECT km FROM loose)'),
-- DISTINCT ON, DISTINCT, GROUP BY and set operations of what is equal and looks different
('open', 'bigint', 'SELECT sum(km) FROM (SELECT DISTINCT ON (part) km FROM trip WHERE car = c ORDER BY part, day) s'),
('fixed', 'bigint', 'SELECT sum(km) FROM (SELECT DISTINCT ON (part) km FROM trip WHERE car = c ORDER BY part, id) s'),
('fixed', 'bigint', 'SELECT sum(part) FROM (SELECT DISTINCT part FROM trip WHERE car = c) s'),
('open', 'text', 'SELECT price::text FROM (SELECT DISTINCT price FROM trip WHERE car = c) s'),
('open', 'text', 'SELECT price::text FROM trip WHERE car = c GROUP BY price'),
('fixed', 'text', 'SELECT string_agg(fee::text, '','' ORDER BY fee) FROM (SELECT fee FROM trip WHERE car = c GROUP BY fee) s'),
('open', 'bigint', 'SELECT sum(length(p::text)) FROM (SELECT price FROM trip WHERE car = c UNION SELECT price FROM trip WHERE car = c) s(p)'),
('fixed', 'bigint', 'SELECT sum(length(p::text)) FROM (SELECT km FROM trip WHERE car = c UNION SELECT km FROM loose) s(p)'),
('fixed', 'bigint', 'SELECT sum(length(p::text)) FROM (SELECT price FROM trip WHERE car = c UNION ALL SELECT price FROM trip WHERE car = c) s(p)'),
-- through sub-selects, CTEs and arrays
('open', 'int[]', 'SELECT ARRAY(SELECT km FROM trip WHERE car = c)'),
('fixed', 'int[]', 'SELECT ARRAY(SELECT km FROM trip WHERE car = c ORDER BY km)'),
('open', 'int[]', 'WITH t AS MATERIALIZED (SELECT km FROM trip WHERE car = c) SELECT array_agg(km) FROM t'),
('fixed', 'int[]', 'WITH t AS MATERIALIZED (SELECT km FROM trip WHERE car = c ORDER BY id) SELECT array_agg(km) FROM t'),
('fixed', 'bigint', 'WITH t AS MATERIALIZED (SELECT km FROM trip WHERE car = c) SELECT sum(km) FROM t'),
('open', 'int[]', 'WITH RECURSIVE t AS (SELECT id FROM trip WHERE car = c UNION ALL SELECT id + 1000 FROM t WHERE id < 1000) SELECT array_agg(id) FROM t'),
('fixed', 'bigint', 'WITH RECURSIVE t AS (SELECT id FROM trip WHERE car = c UNION ALL SELECT id + 1000 FROM t WHERE id < 1000) SELECT sum(id) FROM t'),
('open', 'int[]', 'SELECT array_agg(km) FROM (SELECT km FROM trip WHERE car = c UNION ALL SELECT km FROM loose) s'),
('open', 'int', 'SELECT sum(n)::int FROM (SELECT unnest(ARRAY[id, km]) n FROM trip WHERE car = c ORDER BY id LIMIT 5) s'),
('open', 'text', 'SELECT string_agg(s, '''') FROM (SELECT DISTINCT ON (t.id) p.name s FROM trip t LEFT JOIN part p ON p.id < t.id WHERE t.car = c ORDER BY t.id) s'),
-- a set has no order
('fixed', 'SETOF int', 'SELECT km FROM trip WHERE car = c'),
('fixed', 'SETOF int', 'SELECT km FROM trip WHERE car = c ORDER BY day'),
('open', 'SETOF int', 'SELECT km FROM trip WHERE car = c ORDER BY day LIMIT 3');
DO $$
DECLARE s record;
BEGIN
  FOR s IN SELECT * FROM shape LOOP
    EXECUTE format('CREATE FUNCTION cached_%s(c int) RETURNS %s LANGUAGE cached_sql STABLE AS %L', s.number, s.returns, s.body);
    EXECUTE format('CREATE FUNCTION plain_%s(c int) RETURNS %s LANGUAGE sql STABLE AS %L', s.number, s.returns, s.body);
  END LOOP;
END $$;

-- Which shapes are no hit, and whether an answer differs from the plain one.
CREATE FUNCTION probe() RETURNS TABLE (number int, expected text, outcome text, differs boolean, returns text, body text)
LANGUAGE plpgsql AS $$
DECLARE cached text; plain text;
BEGIN
  FOR number, expected, returns, body IN SELECT s.number, s.expected, s.returns, s.body FROM shape s ORDER BY s.number LOOP
    EXECUTE format('SELECT string_agg(r::text, '';'' ORDER BY r::text) FROM cached_%s(1) r', number) INTO cached;
    SELECT l.result INTO outcome FROM aggcache.last_call() l;
    EXECUTE format('SELECT string_agg(r::text, '';'' ORDER BY r::text) FROM plain_%s(1) r', number) INTO plain;
    differs = cached IS DISTINCT FROM plain;
    RETURN NEXT;
  END LOOP;
END $$;
CREATE FUNCTION surprises() RETURNS TABLE (expected text, outcome text, differs boolean, returns text, body text)
LANGUAGE sql AS $$
  SELECT expected, outcome, differs, returns, body FROM probe()
  WHERE outcome <> CASE expected WHEN 'fixed' THEN 'hit' ELSE 'miss' END OR differs
$$;
SELECT outcome, count(*), bool_or(differs) AS differs FROM probe() GROUP BY 1;
SELECT outcome, count(*), bool_or(differs) AS differs FROM probe() GROUP BY 1;
UPDATE trip SET unused = 1 WHERE id = 1;
UPDATE loose SET unused = 1 WHERE id = 1;
UPDATE part SET unused = 1 WHERE id = 1;
UPDATE child SET unused = 1 WHERE id = 1;
SELECT * FROM surprises();
-- and once more, in the middle
UPDATE trip SET unused = 2 WHERE id = 5;
UPDATE loose SET unused = 2 WHERE id = 5;
UPDATE part SET unused = 2 WHERE id = 2;
UPDATE parent SET unused = 2 WHERE id = 2;
SELECT * FROM surprises();
-- what is told apart by keys still is
UPDATE trip SET unused = 3, car = 2 WHERE id = 12;
SELECT outcome, count(*), bool_or(differs) AS differs FROM probe() GROUP BY 1;
UPDATE trip SET unused = 4 WHERE car = 2;
SELECT outcome, bool_or(differs) AS differs FROM probe() WHERE body LIKE 'SELECT array_agg(km) FROM trip %' GROUP BY 1;

-- Uniqueness that goes takes the order with it.
CREATE FUNCTION first_km(s text) RETURNS int LANGUAGE cached_sql STABLE AS 'SELECT km FROM loose WHERE slug = s';
SELECT first_km('s3');
UPDATE loose SET unused = 5 WHERE id = 3;
SELECT first_km('s3');
SELECT result FROM aggcache.last_call();
DROP INDEX loose_slug_idx;
INSERT INTO loose VALUES (100, 1, 's3', 100, 0);
SELECT first_km('s3');
UPDATE loose SET unused = 6 WHERE id = 3;
SELECT first_km('s3'), (SELECT km FROM loose WHERE slug = 's3' LIMIT 1) AS plain;
SELECT result FROM aggcache.last_call();
SELECT granularity, watch, finer FROM aggcache.explain('first_km(text)', 's3'::text);
-- an UPDATE to the same values moves the row, too
CREATE TABLE same_value (k int, n numeric);
INSERT INTO same_value VALUES (1, 1.0), (1, 1.00);
CREATE FUNCTION cached_values() RETURNS TABLE (n numeric, all_of_them text) LANGUAGE cached_sql STABLE
  AS 'SELECT min(n), string_agg(n::text, '','') FROM same_value';
SELECT c, plain, c::text = plain::text AS same
  FROM cached_values() c, (SELECT min(n), string_agg(n::text, ',') FROM same_value) plain;
UPDATE same_value SET n = n WHERE n::text = '1.0';
SELECT c, plain, c::text = plain::text AS same
  FROM cached_values() c, (SELECT min(n), string_agg(n::text, ',') FROM same_value) plain;
DROP SCHEMA row_order CASCADE;
