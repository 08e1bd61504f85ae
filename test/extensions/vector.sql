-- exact distance is cached; what an approximate index finds is not
CREATE TABLE item (id int PRIMARY KEY, k int, e vector(3));
INSERT INTO item SELECT i, i % 4, ARRAY[(i * 7919::int8) % 1000 / 1000.0, (i * 104729::int8) % 1000 / 1000.0, 0.5]::vector FROM generate_series(1, 2000) i;
CREATE FUNCTION cached_near(x vector, kk int) RETURNS float8 LANGUAGE cached_sql STABLE
  AS 'SELECT sum(d) FROM (SELECT e <-> x AS d FROM item WHERE k = kk ORDER BY e <-> x LIMIT 60) q';
CREATE FUNCTION plain_near(x vector, kk int) RETURNS float8 LANGUAGE sql STABLE
  AS 'SELECT sum(d) FROM (SELECT e <-> x AS d FROM item WHERE k = kk ORDER BY e <-> x LIMIT 60) q';
SELECT cached_near('[0.5,0.5,0.5]', 1) = plain_near('[0.5,0.5,0.5]', 1);
SELECT cached_near('[0.5,0.5,0.5]', 1) = plain_near('[0.5,0.5,0.5]', 1);
SELECT result = 'hit' FROM aggcache.last_call();
CREATE INDEX ON item USING hnsw (e vector_l2_ops);
ANALYZE item;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT cached_near('[0.1,0.5,0.5]', 1) IS NOT DISTINCT FROM plain_near('[0.1,0.5,0.5]', 1);
SELECT result = 'uncached' AND reason LIKE '%access method hnsw%' FROM aggcache.last_call();
SET hnsw.ef_search = 2;
SELECT cached_near('[0.1,0.5,0.5]', 1) IS NOT DISTINCT FROM plain_near('[0.1,0.5,0.5]', 1);
