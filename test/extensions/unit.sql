INSERT INTO unit_units (name, unit) VALUES ('probe_ell', '2 m');
CREATE TABLE part (id int, x unit, n text);
INSERT INTO part VALUES (1, '1 km', 'probe_ell'), (2, '0.1 m', 'm');
CREATE FUNCTION cached_len(k int) RETURNS text LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'unit_units, unit_prefixes'
  AS 'SELECT sum(x @@ n) || max(x / 3 @ n) FROM part WHERE id = k';
CREATE FUNCTION plain_len(k int) RETURNS text LANGUAGE sql STABLE AS 'SELECT sum(x @@ n) || max(x / 3 @ n) FROM part WHERE id = k';
SELECT cached_len(1) = plain_len(1), cached_len(2) = plain_len(2);
SELECT cached_len(1) = plain_len(1), cached_len(2) = plain_len(2);
SELECT result = 'hit' FROM aggcache.last_call();
SET extra_float_digits = -8;
SELECT cached_len(1) = plain_len(1), cached_len(2) = plain_len(2);
UPDATE unit_units SET unit = '4 m' WHERE name = 'probe_ell';
\c -
SELECT cached_len(1) = plain_len(1);
