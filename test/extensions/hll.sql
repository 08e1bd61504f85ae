-- functions that an aggregate is made of are VOLATILE because nobody said otherwise
CREATE TABLE visit (day int, who text);
INSERT INTO visit SELECT i % 3, 'w' || i FROM generate_series(1, 100) i;
CREATE FUNCTION cached_visitors(d int) RETURNS float8 LANGUAGE cached_sql STABLE SET aggcache.depends_on = ''
  AS 'SELECT hll_cardinality(hll_add_agg(hll_hash_text(who))) FROM visit WHERE day = d';
SELECT cached_visitors(1) > 20;
-- since the first call there are the library's settings, which join the key
SELECT cached_visitors(1) > 20;
SELECT cached_visitors(1) > 20;
SELECT result = 'hit' FROM aggcache.last_call();
INSERT INTO visit SELECT 1, 'x' || i FROM generate_series(1, 100) i;
SELECT cached_visitors(1) > 90;
