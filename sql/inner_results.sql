-- The patterns of the guide, "Compute only the part that has changed": before and after give the same answers, and after
-- a write the inner results are hits but for one.
CREATE SCHEMA inner_results;
SET search_path = inner_results;
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE TABLE firm (id int PRIMARY KEY, slug text UNIQUE);
CREATE TABLE job (id int PRIMARY KEY, firm int NOT NULL, stage text);
CREATE TABLE visit (id int PRIMARY KEY, at timestamptz NOT NULL);
INSERT INTO firm SELECT i, 'firm-' || i FROM generate_series(1, 40) i;
INSERT INTO job SELECT i, 1 + i % 40, 's' || i % 3 FROM generate_series(1, 2000) i;
INSERT INTO visit SELECT i, timestamptz '2026-01-01' + i * interval '1 hour' FROM generate_series(1, 2000) i;

CREATE FUNCTION before_daily(a date, b date) RETURNS TABLE (day date, visits bigint) LANGUAGE cached_sql STABLE AS $$
  SELECT at::date, count(*) FROM visit WHERE at >= a AND at < b + 1 GROUP BY 1 $$;
CREATE FUNCTION cached_day(d date) RETURNS bigint LANGUAGE cached_sql STABLE AS $$
  SELECT count(*) FROM visit WHERE at >= d AND at < d + 1 $$;
CREATE FUNCTION cached_daily(a date, b date) RETURNS TABLE (day date, visits bigint) LANGUAGE cached_sql STABLE AS $$
  SELECT g::date, cached_day(g::date) FROM generate_series(a::timestamp, b, '1 day') AS g $$;
CREATE FUNCTION before_page(a int, b int) RETURNS TABLE (firm int, jobs bigint) LANGUAGE cached_sql STABLE AS $$
  SELECT f.id, count(j.id) FROM firm f LEFT JOIN job j ON j.firm = f.id WHERE f.id BETWEEN a AND b GROUP BY 1 $$;
CREATE FUNCTION cached_jobs(f int) RETURNS bigint LANGUAGE cached_sql STABLE AS $$
  SELECT count(*) FROM job WHERE firm = f $$;
CREATE FUNCTION cached_page(a int, b int) RETURNS TABLE (firm int, jobs bigint) LANGUAGE cached_sql STABLE AS $$
  SELECT id, cached_jobs(id) FROM firm WHERE id BETWEEN a AND b $$;
CREATE FUNCTION before_stages(name text) RETURNS TABLE (stage text, jobs bigint) LANGUAGE cached_sql STABLE AS $$
  SELECT j.stage, count(*) FROM job j JOIN firm f ON f.id = j.firm WHERE f.slug = name GROUP BY 1 $$;
CREATE FUNCTION cached_stages(firm int) RETURNS TABLE (stage text, jobs bigint) LANGUAGE cached_sql STABLE AS $$
  SELECT stage, count(*) FROM job WHERE job.firm = cached_stages.firm GROUP BY 1 $$;
CREATE FUNCTION cached_stages(name text) RETURNS TABLE (stage text, jobs bigint) LANGUAGE cached_sql STABLE AS $$
  SELECT s.* FROM firm, cached_stages(firm.id) AS s WHERE firm.slug = name $$;

CREATE VIEW answers AS
  SELECT (SELECT array_agg(x::text ORDER BY x::text) FROM before_daily('2026-01-02', '2026-03-02') x) =
         (SELECT array_agg(x::text ORDER BY x::text) FROM cached_daily('2026-01-02', '2026-03-02') x) AS daily,
         (SELECT array_agg(x::text ORDER BY x::text) FROM before_page(1, 10) x) =
         (SELECT array_agg(x::text ORDER BY x::text) FROM cached_page(1, 10) x) AS page,
         (SELECT array_agg(x::text ORDER BY x::text) FROM before_stages('firm-3') x) =
         (SELECT array_agg(x::text ORDER BY x::text) FROM cached_stages('firm-3') x) AS stages,
         (SELECT count(*) FROM cached_stages(3)) AS by_number;
CREATE VIEW what_happened AS SELECT function::text, hits, misses FROM aggcache.stats
  WHERE function::regproc::text NOT LIKE 'before%' AND hits + misses > 0 AND function IN (
    SELECT p.oid FROM pg_proc p WHERE pronamespace = 'inner_results'::regnamespace) ORDER BY function::text;
SELECT * FROM answers;
SELECT aggcache.reset_stats();
-- all are hits
SELECT * FROM answers;
SELECT * FROM what_happened;
-- a visit: 59 days are hits, one is computed
INSERT INTO visit VALUES (3001, '2026-02-10 12:00Z');
SELECT aggcache.reset_stats();
SELECT * FROM answers;
SELECT * FROM what_happened;
-- a job of a firm on the page, which is asked for by name too
INSERT INTO job VALUES (3001, 3, 's1');
SELECT aggcache.reset_stats();
SELECT * FROM answers;
SELECT * FROM what_happened;
-- a visit and a job elsewhere
INSERT INTO visit VALUES (3002, '2026-06-10 12:00Z');
INSERT INTO job VALUES (3002, 30, 's1');
SELECT aggcache.reset_stats();
SELECT * FROM answers;
SELECT * FROM what_happened;
-- another firm gets the name: its jobs are counted, for the first time
UPDATE firm SET slug = 'old' WHERE id = 3;
UPDATE firm SET slug = 'firm-3' WHERE id = 9;
SELECT aggcache.reset_stats();
SELECT * FROM answers;
SELECT * FROM what_happened;
DROP SCHEMA inner_results CASCADE;
