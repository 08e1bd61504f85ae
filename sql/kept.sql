-- Results that writes keep current instead of ending. Each step compares the cached answer, as text, with the plain
-- query, and shows how the call was answered.

CREATE TABLE kept_task (id int PRIMARY KEY, dept int NOT NULL, kind text, small smallint, hours int, big bigint,
  cost numeric(12,2), rate numeric, done boolean, created date);
INSERT INTO kept_task SELECT i, i % 5, 'k' || i % 3, i % 7, i, 1000000000000 * i, i * 1.25, round((i % 10) / 4.0, 2), i % 2 = 0,
  date '2026-01-01' + i % 40 FROM generate_series(1, 200) i;

CREATE FUNCTION kept_body(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $f$
  SELECT CASE name
  WHEN 'numbers' THEN 'SELECT count(*) AS n, count(kind) AS kinds, sum(small) AS s, sum(hours) AS h, sum(big) AS b,
    sum(cost) AS c, sum(rate) AS r, avg(small) AS sa, avg(hours) AS ha, avg(big) AS ba, avg(cost) AS ca, avg(rate) AS ra
    FROM public.kept_task WHERE dept = d'
  WHEN 'groups' THEN 'SELECT kind, done, count(*) AS n, sum(hours) FILTER (WHERE small > 2) AS h, avg(cost) AS c,
    bool_and(done) AS a, bool_or(hours > 100) AS o, bit_xor(hours) AS x
    FROM public.kept_task WHERE dept = d AND hours < 1000 GROUP BY kind, done
    HAVING count(*) > 1 ORDER BY kind NULLS FIRST, done'
  WHEN 'top' THEN 'SELECT created, sum(CASE WHEN done THEN hours ELSE 0 END) * 2 AS twice
    FROM public.kept_task WHERE dept = d GROUP BY created ORDER BY 2 DESC, 1 LIMIT 3'
  END $f$;
DO $$
DECLARE
  shape record;
BEGIN
  FOR shape IN VALUES ('numbers', 'n bigint, kinds bigint, s bigint, h bigint, b numeric, c numeric, r numeric,
      sa numeric, ha numeric, ba numeric, ca numeric, ra numeric'),
    ('groups', 'kind text, done boolean, n bigint, h bigint, c numeric, a boolean, o boolean, x int'),
    ('top', 'created date, twice bigint') LOOP
    EXECUTE format('CREATE FUNCTION plain_%1$s(d int) RETURNS TABLE (%2$s) LANGUAGE sql VOLATILE AS %3$L',
      shape.column1, shape.column2, kept_body(shape.column1));
    EXECUTE format('CREATE FUNCTION kept_%1$s(d int) RETURNS TABLE (%2$s) LANGUAGE cached_sql STABLE AS %3$L',
      shape.column1, shape.column2, kept_body(shape.column1));
  END LOOP;
END $$;
CREATE FUNCTION same(name text, d int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  cached text;
  plain text;
BEGIN
  EXECUTE format('SELECT string_agg(x::text, '' '') FROM kept_%s(%s) x', name, d) INTO cached;
  EXECUTE format('SELECT string_agg(x::text, '' '') FROM plain_%s(%s) x', name, d) INTO plain;
  RETURN (SELECT result || coalesce(': ' || reason, '') FROM aggcache.last_call())
    || CASE WHEN cached IS DISTINCT FROM plain THEN format(' DIFFERS: %s for %s', cached, plain) ELSE '' END;
END $$;
CREATE VIEW all_same AS SELECT name, d, same(name, d) FROM unnest('{numbers,groups,top}'::text[]) name,
  generate_series(1, 2) d;

SELECT function::regproc, relation::regclass FROM aggcache.program ORDER BY 1;

SET aggcache.keep_current = on;
SELECT * FROM all_same;
SELECT * FROM all_same;
-- a new row, a changed one, one that goes, one that moves
INSERT INTO kept_task VALUES (1001, 1, 'k9', 3, 50, 7, 0.5, 1.125, true, '2026-03-01');
SELECT * FROM all_same;
UPDATE kept_task SET hours = hours + 7, rate = 1.5 WHERE id = 6;
DELETE FROM kept_task WHERE id = 1001;
UPDATE kept_task SET dept = 2 WHERE id = 11;
SELECT * FROM all_same;
-- a group that appears for NULL, and disappears
UPDATE kept_task SET kind = NULL WHERE dept = 1 AND id < 40;
SELECT * FROM all_same;
UPDATE kept_task SET kind = 'k1' WHERE kind IS NULL;
SELECT * FROM all_same;
-- the scale of a sum goes with the last row that has it
UPDATE kept_task SET rate = 0.00000001 WHERE id = 16;
SELECT same('numbers', 1);
UPDATE kept_task SET rate = 3 WHERE id = 16;
SELECT same('numbers', 1), r, ra FROM kept_numbers(1);
-- NaN and the infinities
UPDATE kept_task SET rate = 'NaN', cost = 'NaN' WHERE id = 16;
SELECT same('numbers', 1), r, c FROM kept_numbers(1);
UPDATE kept_task SET rate = 'Infinity', cost = NULL WHERE id = 16;
SELECT same('numbers', 1), r, c FROM kept_numbers(1);
UPDATE kept_task SET rate = '-Infinity' WHERE id = 21;
SELECT same('numbers', 1), r, c FROM kept_numbers(1);
UPDATE kept_task SET rate = NULL WHERE id IN (16, 21);
SELECT same('numbers', 1), r, c FROM kept_numbers(1);
-- savepoints: what is rolled back is not added
BEGIN;
UPDATE kept_task SET hours = hours + 1 WHERE id = 6;
SAVEPOINT a;
UPDATE kept_task SET hours = hours + 10 WHERE id = 6;
ROLLBACK TO a;
UPDATE kept_task SET hours = hours + 100 WHERE id = 6;
SAVEPOINT b;
UPDATE kept_task SET hours = hours + 1000 WHERE id = 26;
RELEASE b;
COMMIT;
SELECT * FROM all_same;
BEGIN;
DELETE FROM kept_task WHERE dept = 1;
SELECT same('numbers', 1);
ROLLBACK;
SELECT * FROM all_same;
-- through views, with arithmetic and functions of columns
CREATE VIEW kept_view AS SELECT dept AS d, hours * 2 AS twice, created AS day, rate FROM kept_task WHERE hours < 5000;
CREATE VIEW kept_view_of_view AS SELECT d, twice + 1 AS more, day, rate FROM kept_view WHERE rate IS NOT NULL;
CREATE FUNCTION plain_view(x int) RETURNS TABLE (month timestamp, n bigint, s bigint, p numeric)
  LANGUAGE sql VOLATILE AS $$ SELECT date_trunc('month', day::timestamp), count(*), sum(more), sum(rate * more)
    FROM kept_view_of_view WHERE d = x AND more <> 7 GROUP BY 1 ORDER BY 1 $$;
CREATE FUNCTION kept_view(x int) RETURNS TABLE (month timestamp, n bigint, s bigint, p numeric)
  LANGUAGE cached_sql STABLE AS $$ SELECT date_trunc('month', day::timestamp), count(*), sum(more), sum(rate * more)
    FROM kept_view_of_view WHERE d = x AND more <> 7 GROUP BY 1 ORDER BY 1 $$;
SELECT same('view', 1);
UPDATE kept_task SET hours = hours + 3, rate = 2.50 WHERE id = 31;
UPDATE kept_task SET hours = 6000 WHERE id = 36;
UPDATE kept_task SET hours = 3 WHERE id = 41;
SELECT same('view', 1);
CREATE OR REPLACE VIEW kept_view AS SELECT dept AS d, hours * 3 AS twice, created AS day, rate FROM kept_task;
SELECT same('view', 1);
UPDATE kept_task SET hours = hours + 3 WHERE id = 31;
SELECT same('view', 1);
SELECT function, relation, not_kept FROM aggcache.dependencies WHERE relation = 'kept_task'::regclass ORDER BY 1;
-- a partition that has triggers of its own and from above; a row that stays under its key and changes its range
CREATE TABLE kept_root (id int, dept int, n int) PARTITION BY LIST (dept);
CREATE TABLE kept_leaf PARTITION OF kept_root FOR VALUES IN (1, 2);
CREATE FUNCTION plain_leaf(d int) RETURNS bigint LANGUAGE sql VOLATILE
  AS 'SELECT count(*) + sum(n) FROM kept_leaf WHERE dept = d';
CREATE FUNCTION kept_leaf(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) + sum(n) FROM kept_leaf WHERE dept = d';
CREATE FUNCTION plain_root(d int) RETURNS bigint LANGUAGE sql VOLATILE
  AS 'SELECT count(*) FROM kept_root WHERE dept = d AND n < 50';
CREATE FUNCTION kept_root(d int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM kept_root WHERE dept = d AND n < 50';
CREATE FUNCTION kept_range(d int, m int) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM kept_leaf WHERE dept = d AND n < m';
SELECT count(*) > 1 AS several FROM pg_trigger WHERE tgrelid = 'kept_leaf'::regclass AND tgfoid::regproc::text ~ 'track_row';
SELECT same('leaf', 1), same('root', 1);
INSERT INTO kept_root SELECT i, 1, i FROM generate_series(1, 20) i;
SELECT same('leaf', 1), same('root', 1);
UPDATE kept_root SET n = n + 1000 WHERE id < 4;
SELECT same('leaf', 1), same('root', 1);
DELETE FROM kept_leaf WHERE id = 5;
SELECT same('leaf', 1), same('root', 1);
-- a trigger of somebody else by our function, which reports some rows only and comes first
CREATE TRIGGER aaa AFTER INSERT OR UPDATE ON kept_task FOR EACH ROW WHEN (NEW.id < 0)
  EXECUTE FUNCTION aggcache.track_row();
ALTER TABLE kept_task ENABLE ALWAYS TRIGGER aaa;
SELECT same('numbers', 2);
INSERT INTO kept_task (id, dept, hours) VALUES (3001, 2, 1);
SELECT same('numbers', 2);
INSERT INTO kept_task (id, dept, hours) VALUES (-1, 2, 1);
SELECT same('numbers', 2);
DROP TRIGGER aaa ON kept_task;
-- all rows go
DELETE FROM kept_task WHERE dept = 1;
SELECT * FROM all_same;
-- by hand: computed again
SELECT aggcache.invalidate('kept_numbers(int)') >= 0 AS invalidated;
SELECT same('numbers', 2);
UPDATE kept_task SET hours = hours + 1 WHERE id = 2;
SELECT same('numbers', 2);
SELECT aggcache.invalidate_all() > 0 AS invalidated;
UPDATE kept_task SET hours = hours + 1 WHERE id = 2;
SELECT same('numbers', 2), same('groups', 2);
-- what ends them all
TRUNCATE kept_task;
SELECT * FROM all_same;
INSERT INTO kept_task (id, dept, hours) VALUES (1, 1, 1);
SELECT * FROM all_same;
ALTER TABLE kept_task ALTER hours TYPE bigint;
INSERT INTO kept_task (id, dept, hours) VALUES (2, 1, 3000000000);
SELECT same('numbers', 1);

DROP VIEW all_same;
DROP TABLE kept_task CASCADE;
DROP TABLE kept_root;
DROP FUNCTION plain_view(int), kept_view(int), plain_leaf(int), kept_leaf(int), plain_root(int), kept_root(int),
  kept_range(int, int);
DROP FUNCTION same(text, int), kept_body(text), plain_numbers(int), plain_groups(int), plain_top(int),
  kept_numbers(int), kept_groups(int), kept_top(int);
SELECT count(*) FROM aggcache.program;
