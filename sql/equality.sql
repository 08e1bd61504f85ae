-- What sorts, groups, compares and hashes is a function too, though no expression names it; and whether equal values
-- have equal hashes is not what an operator class says.
CREATE SCHEMA equality;
SET search_path = equality, public;
\i sql/include/twin.sql
\set VERBOSITY terse

-- ---- A type of which everything that compares reads a table -------------------------------------------------------
CREATE TABLE prio (k int PRIMARY KEY, p int);
INSERT INTO prio VALUES (1, 1), (2, 2), (3, 3);
CREATE FUNCTION prio_of(k int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN (SELECT p FROM prio WHERE prio.k = prio_of.k); END';
-- makes type `name`, laid out like `base`, of which comparisons are made by these statements
CREATE PROCEDURE make_type(name text, base text, input text, output text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TYPE %I', name);
  EXECUTE format('CREATE FUNCTION %1$s_in(cstring) RETURNS %1$I LANGUAGE internal IMMUTABLE STRICT AS %2$L', name, input);
  EXECUTE format('CREATE FUNCTION %1$s_out(%1$I) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS %2$L', name, output);
  EXECUTE format('CREATE TYPE %1$I (INPUT = %1$s_in, OUTPUT = %1$s_out, LIKE = %2$s)', name, base);
  EXECUTE format('CREATE CAST (%I AS %s) WITHOUT FUNCTION', name, base);
END $$;
CREATE PROCEDURE make_operators(name text) LANGUAGE plpgsql AS $$
DECLARE op text[];
BEGIN
  FOREACH op SLICE 1 IN ARRAY '{{<,lt,>,>=},{<=,le,>=,>},{=,eq,=,<>},{>=,ge,<=,<},{>,gt,<,<=},{<>,ne,<>,=}}'::text[] LOOP
    EXECUTE format('CREATE OPERATOR %2$s (LEFTARG = %1$I, RIGHTARG = %1$I, FUNCTION = %1$s_%3$s, COMMUTATOR = %4$s,'
      ' NEGATOR = %5$s%6$s)', name, op[1], op[2], op[3], op[4], CASE op[1] WHEN '=' THEN ', HASHES, MERGES' END);
  END LOOP;
  EXECUTE format('CREATE OPERATOR CLASS %1$s_ops DEFAULT FOR TYPE %1$I USING btree AS OPERATOR 1 <, OPERATOR 2 <=,'
    ' OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 %1$s_cmp(%1$I, %1$I)', name);
  EXECUTE format('CREATE OPERATOR CLASS %1$s_hash DEFAULT FOR TYPE %1$I USING hash AS OPERATOR 1 =,'
    ' FUNCTION 1 %1$s_hash(%1$I)', name);
END $$;
SET client_min_messages = error;
CALL make_type('rank', 'int', 'int4in', 'int4out');
RESET client_min_messages;
CREATE FUNCTION rank_cmp(a rank, b rank) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN sign(prio_of(a::int) - prio_of(b::int)); END';
CREATE FUNCTION rank_hash(a rank) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN hashint4(prio_of(a::int)); END';
CREATE FUNCTION rank_lt(rank, rank) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN rank_cmp($1, $2) < 0; END';
CREATE FUNCTION rank_le(rank, rank) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN rank_cmp($1, $2) <= 0; END';
CREATE FUNCTION rank_eq(rank, rank) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN rank_cmp($1, $2) = 0; END';
CREATE FUNCTION rank_ge(rank, rank) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN rank_cmp($1, $2) >= 0; END';
CREATE FUNCTION rank_gt(rank, rank) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN rank_cmp($1, $2) > 0; END';
CREATE FUNCTION rank_ne(rank, rank) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN rank_cmp($1, $2) <> 0; END';
CALL make_operators('rank');
CREATE TYPE ranks AS RANGE (subtype = rank, multirange_type_name = ranksets);
CREATE DOMAIN place AS rank;
CREATE FUNCTION later(rank, rank) RETURNS rank LANGUAGE sql IMMUTABLE AS 'SELECT $2';
CREATE AGGREGATE lowest(rank) (SFUNC = later, STYPE = rank, SORTOP = <);
CREATE TABLE job (id int, k rank, d place, ks rank[], r ranks, rs ranksets);
INSERT INTO job SELECT i, i::text::rank, i::text::rank, ARRAY[i::text::rank], ranks(i::text::rank, NULL), NULL
  FROM generate_series(1, 3) i;

-- what becomes of a body
CREATE FUNCTION fate(body text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE why text;
BEGIN
  EXECUTE format('CREATE OR REPLACE FUNCTION tried() RETURNS bigint LANGUAGE cached_sql STABLE AS %L', body);
  SELECT state || coalesce(': ' || reason, '') INTO why FROM aggcache.functions WHERE function = 'tried()'::regprocedure;
  RETURN why;
EXCEPTION WHEN invalid_function_definition THEN
  RETURN CASE WHEN SQLERRM LIKE '%cannot call opaque function%' THEN 'refused' ELSE SQLERRM END;
END $$;
SET client_min_messages = warning;
-- each of these compares ranks
SELECT clause, fate(body) FROM (VALUES
  ('ORDER BY', 'SELECT id FROM job ORDER BY k LIMIT 1'),
  ('ORDER BY USING', 'SELECT id FROM job ORDER BY k USING > LIMIT 1'),
  ('ORDER BY a domain', 'SELECT id FROM job ORDER BY d LIMIT 1'),
  ('WITH TIES', 'SELECT count(*) FROM (SELECT id FROM job ORDER BY k FETCH FIRST 1 ROW WITH TIES) j'),
  ('DISTINCT', 'SELECT count(*) FROM (SELECT DISTINCT k FROM job) j'),
  ('DISTINCT ON', 'SELECT sum(id) FROM (SELECT DISTINCT ON (k) id FROM job) j'),
  ('GROUP BY', 'SELECT count(*) FROM job GROUP BY k LIMIT 1'),
  ('GROUPING SETS', 'SELECT count(*) FROM job GROUP BY GROUPING SETS ((k), ()) LIMIT 1'),
  ('PARTITION BY', 'SELECT max(c) FROM (SELECT count(*) OVER (PARTITION BY k) AS c FROM job) j'),
  ('OVER (ORDER BY)', 'SELECT max(c) FROM (SELECT rank() OVER (ORDER BY k) AS c FROM job) j'),
  ('count(DISTINCT)', 'SELECT count(DISTINCT k) FROM job'),
  ('aggregate ORDER BY', 'SELECT (array_agg(id ORDER BY k))[1] FROM job'),
  ('WITHIN GROUP', 'SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY k)::int FROM job'),
  ('hypothetical', $$SELECT rank('2'::rank) WITHIN GROUP (ORDER BY k) FROM job$$),
  ('aggregate with SORTOP', 'SELECT lowest(k)::int FROM job'),
  ('UNION', 'SELECT count(*) FROM (SELECT k FROM job UNION SELECT d FROM job) j'),
  ('INTERSECT', 'SELECT count(*) FROM (SELECT k FROM job INTERSECT SELECT k FROM job) j'),
  ('EXCEPT', 'SELECT count(*) FROM (SELECT k FROM job EXCEPT ALL SELECT k FROM job) j'),
  ('WITH RECURSIVE', 'WITH RECURSIVE w AS (SELECT k FROM job UNION SELECT k FROM w) SELECT count(*) FROM w'),
  ('GREATEST', 'SELECT max(greatest(k, d)::int) FROM job'),
  ('LEAST', $$SELECT max(least(k, '2')::int) FROM job$$),
  ('NULLIF', $$SELECT count(nullif(k, '1')) FROM job$$),
  ('IS DISTINCT FROM', $$SELECT count(*) FROM job WHERE k IS DISTINCT FROM '1'$$),
  ('BETWEEN SYMMETRIC', $$SELECT count(*) FROM job WHERE k BETWEEN SYMMETRIC '3' AND '2'$$),
  ('IN', $$SELECT count(*) FROM job WHERE k IN ('1', '2')$$),
  ('NOT IN', 'SELECT count(*) FROM job WHERE k NOT IN (SELECT k FROM job WHERE id > 1)'),
  ('CASE', $$SELECT count(CASE k WHEN '1' THEN 1 END) FROM job$$),
  ('JOIN USING', 'SELECT count(*) FROM job JOIN job j USING (k)'),
  ('rows', 'SELECT count(*) FROM job a, job b WHERE (a.k, a.id) < (b.k, b.id)'),
  ('rows sorted', 'SELECT id FROM job ORDER BY ROW(k, id) LIMIT 1'),
  ('whole rows', 'SELECT count(*) FROM job a JOIN job b ON a = b'),
  ('arrays', 'SELECT count(*) FROM job a JOIN job b ON a.ks = b.ks'),
  ('arrays sorted', 'SELECT id FROM job ORDER BY ks LIMIT 1'),
  ('arrays grouped', 'SELECT count(*) FROM (SELECT DISTINCT ks FROM job) j'),
  ('arrays overlap', 'SELECT count(*) FROM job WHERE ks && ARRAY[k]'),
  ('array_position', 'SELECT sum(array_position(ks, k)) FROM job'),
  ('array_remove', 'SELECT sum(cardinality(array_remove(ks, k))) FROM job'),
  ('max(array)', 'SELECT cardinality(max(ks)) FROM job'),
  ('range contains', $$SELECT count(*) FROM job WHERE r @> '2'::rank$$),
  ('ranges overlap', 'SELECT count(*) FROM job a JOIN job b ON a.r && b.r'),
  ('range made', 'SELECT count(ranks(k, k)) FROM job'),
  ('ranges united', 'SELECT count(*) FROM (SELECT range_agg(r) FROM job) j'),
  ('ranges sorted', 'SELECT id FROM job ORDER BY r LIMIT 1'),
  ('multiranges', 'SELECT count(*) FROM job WHERE rs @> r')) v (clause, body)
WHERE fate(body) <> 'refused';
-- and none of these
SELECT clause, fate(body) FROM (VALUES
  ('aggregates', 'SELECT count(k) + cardinality(array_agg(k)) FROM job'),
  ('arrays', 'SELECT sum(cardinality(ks || k)) + count(ks[1]) FROM job'),
  ('unnest', 'SELECT count(*) FROM (SELECT unnest(ks) FROM job) j'),
  ('lag', 'SELECT count(*) FROM (SELECT lag(k) OVER (ORDER BY id) FROM job) j'),
  ('UNION ALL', 'SELECT count(*) FROM (SELECT k FROM job UNION ALL SELECT k FROM job) j')) v (clause, body)
WHERE fate(body) <> 'cached';
RESET client_min_messages;
-- stated, it is cached; and called with arguments only, it is evaluated for the key
CREATE FUNCTION plain_stated() RETURNS int LANGUAGE sql STABLE AS 'SELECT id FROM job ORDER BY k LIMIT 1';
CREATE FUNCTION cached_stated() RETURNS int LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'prio'
  AS 'SELECT id FROM job ORDER BY k LIMIT 1';
SELECT twin('folded', '', 'bigint', $$SELECT count(*) FROM job WHERE greatest('1'::rank, '3'::rank)::int = id$$);
SELECT twin('given', 'a rank, b rank[]', 'bigint', 'SELECT count(*) FROM job WHERE (a, 1) < (b[1], 2) OR ARRAY[a] = b');
INSERT INTO call (call) VALUES ('stated()'), ('folded()'), ($$given('1', '{3}')$$);
SELECT * FROM probe();
SELECT * FROM probe();
UPDATE prio SET p = -1 WHERE k = 3;
SELECT * FROM probe();
TRUNCATE call;
-- a comparison that plans a query of its own while the planner makes an estimate
\c -
SET search_path = equality, public;
CREATE FUNCTION cached_estimate() RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'prio'
  AS $$SELECT count(*) FROM job WHERE r @> '2'::rank$$;
SELECT cached_estimate();
SELECT relation, granularity FROM aggcache.dependencies WHERE function = 'cached_estimate()'::regprocedure ORDER BY 1;
SELECT count(*) FROM aggcache.watch WHERE relation = 'prio'::regclass;
-- volatile
CREATE FUNCTION odd_cmp(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1 - $2; END';
CREATE FUNCTION odd_lt(int, int) RETURNS boolean LANGUAGE internal IMMUTABLE AS 'int4lt';
CREATE OPERATOR <~ (LEFTARG = int, RIGHTARG = int, FUNCTION = odd_lt);
CREATE OPERATOR CLASS odd_ops FOR TYPE int USING btree AS OPERATOR 1 <~, OPERATOR 3 =, FUNCTION 1 odd_cmp(int, int);
SELECT fate('SELECT id FROM job ORDER BY id USING <~ LIMIT 1');
-- Its = is PostgreSQL's own: what a class adds to it counts where an index may use it.
SELECT fate('SELECT count(*) FROM job WHERE id = 1');
CREATE INDEX job_odd ON job (id odd_ops);
SELECT fate('SELECT count(*) FROM job WHERE id = 1'), fate('SELECT count(*) FROM job WHERE id > 1');
DROP INDEX job_odd;
DROP TABLE job CASCADE;

-- ---- Functions that are replaced ----------------------------------------------------------------------------------
SET client_min_messages = error;
CALL make_type('num', 'int', 'int4in', 'int4out');
RESET client_min_messages;
CREATE FUNCTION num_cmp(num, num) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE FUNCTION num_hash(num) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashint4';
CREATE FUNCTION num_lt(num, num) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4lt';
CREATE FUNCTION num_le(num, num) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4le';
CREATE FUNCTION num_eq(num, num) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4eq';
CREATE FUNCTION num_ge(num, num) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4ge';
CREATE FUNCTION num_gt(num, num) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4gt';
CREATE FUNCTION num_ne(num, num) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4ne';
CALL make_operators('num');
CREATE TYPE nums AS RANGE (subtype = num);
CREATE FUNCTION num_next(num, num) RETURNS num LANGUAGE internal IMMUTABLE STRICT AS 'int4larger';
CREATE AGGREGATE greatest_num(num) (SFUNC = num_next, STYPE = num, SORTOP = >);
CREATE TABLE score (id int, n num, m num);
INSERT INTO score VALUES (1, '1', '3'), (2, '2', '2'), (3, '3', '1');
-- a function in SQL behind an operator that it leads back to
CREATE FUNCTION int_lt_num(int, num) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4lt';
CREATE OPERATOR < (LEFTARG = int, RIGHTARG = num, FUNCTION = int_lt_num, COMMUTATOR = >);
CREATE FUNCTION num_gt_int(num, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $2 < $1';
CREATE OPERATOR > (LEFTARG = num, RIGHTARG = int, FUNCTION = num_gt_int, COMMUTATOR = <);
SELECT fate('SELECT count(*) FROM score WHERE n > 1'), fate('SELECT count(*) FROM score WHERE num_gt_int(n, 1)');
CREATE FUNCTION num_ge_int(num, int) RETURNS boolean LANGUAGE sql IMMUTABLE
  AS 'SELECT CASE WHEN $2 > 0 THEN num_ge_int($1, $2 - 1) ELSE true END';
SELECT fate('SELECT count(*) FROM score WHERE num_ge_int(n, id)');
SELECT twin('sorted', '', 'int', 'SELECT id FROM score ORDER BY n LIMIT 1');
SELECT twin('first', '', 'int', 'SELECT first_value(id) OVER (ORDER BY n) FROM score LIMIT 1');
SELECT twin('arrays', '', 'int', 'SELECT id FROM score ORDER BY ARRAY[n] LIMIT 1');
SELECT twin('least', '', 'int', 'SELECT sum(least(n, m)::int)::int FROM score');
SELECT twin('rows', '', 'int', 'SELECT id FROM score ORDER BY ROW(n, m) LIMIT 1');
SELECT twin('grouped', '', 'bigint', 'SELECT count(*) FROM (SELECT DISTINCT n FROM score) s');
SELECT twin('ranges', '', 'bigint', $$SELECT count(*) FROM score WHERE nums('2', NULL) @> n$$);
INSERT INTO call (call) VALUES ('sorted()'), ('first()'), ('arrays()'), ('least()'), ('rows()'), ('grouped()'), ('ranges()');
SELECT * FROM probe();
SELECT * FROM probe();
-- a larger number comes first
CREATE OR REPLACE FUNCTION num_cmp(num, num) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2::int, $1::int)';
SELECT * FROM probe();
SELECT * FROM probe();
-- and all are equal
CREATE OR REPLACE FUNCTION num_eq(num, num) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OR REPLACE FUNCTION num_hash(num) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE OR REPLACE FUNCTION num_cmp(num, num) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
SELECT * FROM probe();
SELECT * FROM probe();
TRUNCATE call;
-- another class with the same operators
SELECT twin('reclassed', '', 'int', 'SELECT id FROM score ORDER BY m LIMIT 1');
INSERT INTO call (call) VALUES ('reclassed()');
CREATE FUNCTION num_upwards(num, num) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE FUNCTION num_downwards(num, num) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2::int, $1::int)';
DROP OPERATOR FAMILY num_ops USING btree CASCADE;
CREATE OPERATOR CLASS num_ops DEFAULT FOR TYPE num USING btree AS OPERATOR 1 <, OPERATOR 2 <=,
  OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 num_upwards(num, num);
SELECT * FROM probe();
SELECT * FROM probe();
DROP OPERATOR FAMILY num_ops USING btree;
CREATE OPERATOR CLASS num_ops DEFAULT FOR TYPE num USING btree AS OPERATOR 1 <, OPERATOR 2 <=,
  OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 num_downwards(num, num);
SELECT * FROM probe();
SELECT * FROM probe();
TRUNCATE call;

-- a function of a family that belongs to no class, and that an index calls in place of the operator's
CREATE FUNCTION num_eq_int(num, int) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4eq';
CREATE FUNCTION num_cmp_int(num, int) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE FUNCTION num_same_int(num, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
CREATE OPERATOR = (LEFTARG = num, RIGHTARG = int, FUNCTION = num_eq_int);
CREATE OPERATOR FAMILY num_int USING btree;
CREATE OPERATOR CLASS num_int_ops FOR TYPE num USING btree FAMILY num_int AS OPERATOR 1 <, OPERATOR 3 =,
  FUNCTION 1 num_upwards(num, num);
ALTER OPERATOR FAMILY num_int USING btree ADD OPERATOR 3 = (num, int), FUNCTION 1 (num, int) num_cmp_int(num, int);
CREATE INDEX score_n ON score (n num_int_ops);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT twin('indexed', '', 'bigint', 'SELECT count(*) FROM score WHERE n = 2');
INSERT INTO call (call) VALUES ('indexed()');
SELECT cached_indexed();
SELECT * FROM probe();
SELECT * FROM probe();
ALTER OPERATOR FAMILY num_int USING btree DROP FUNCTION 1 (num, int);
ALTER OPERATOR FAMILY num_int USING btree ADD FUNCTION 1 (num, int) num_same_int(num, int);
SELECT * FROM probe();
SELECT * FROM probe();
SELECT cached_indexed();
RESET enable_seqscan;
RESET enable_bitmapscan;
TRUNCATE call;

-- ---- Hashes -------------------------------------------------------------------------------------------------------
CREATE VIEW told_apart AS SELECT substr(d.function::text, 8) AS function, granularity FROM aggcache.dependencies d
  WHERE d.function::text LIKE 'cached%' ORDER BY 1;
-- 0 = -0, and their hashes differ
SET client_min_messages = error;
CALL make_type('coarse', 'float8', 'float8in', 'float8out');
RESET client_min_messages;
CREATE FUNCTION coarse_cmp(coarse, coarse) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btfloat8cmp';
CREATE FUNCTION coarse_hash(coarse) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashint8';
CREATE FUNCTION coarse_lt(coarse, coarse) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'float8lt';
CREATE FUNCTION coarse_le(coarse, coarse) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'float8le';
CREATE FUNCTION coarse_eq(coarse, coarse) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'float8eq';
CREATE FUNCTION coarse_ge(coarse, coarse) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'float8ge';
CREATE FUNCTION coarse_gt(coarse, coarse) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'float8gt';
CREATE FUNCTION coarse_ne(coarse, coarse) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'float8ne';
CALL make_operators('coarse');
-- an order of text that does not look at trailing blanks, for a range
CREATE FUNCTION text_pad_cmp(text, text) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'bpcharcmp';
CREATE FUNCTION text_pad_eq(text, text) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'bpchareq';
CREATE FUNCTION text_pad_lt(text, text) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'bpcharlt';
CREATE OPERATOR =~ (LEFTARG = text, RIGHTARG = text, FUNCTION = text_pad_eq);
CREATE OPERATOR <~ (LEFTARG = text, RIGHTARG = text, FUNCTION = text_pad_lt);
CREATE OPERATOR CLASS text_pad_ops FOR TYPE text USING btree AS OPERATOR 1 <~, OPERATOR 3 =~,
  FUNCTION 1 text_pad_cmp(text, text);
CREATE TYPE pad_range AS RANGE (subtype = text, subtype_opclass = text_pad_ops, multirange_type_name = pad_set,
  collation = "C");
-- an operator that joins PostgreSQL's own families
CREATE DOMAIN reverse AS int;
CREATE FUNCTION int_gt_reverse(int, reverse) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4gt';
CREATE FUNCTION int_ne_reverse(int, reverse) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4ne';
CREATE FUNCTION hash_reverse(reverse) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashint4';
CREATE OPERATOR <~ (LEFTARG = int, RIGHTARG = reverse, FUNCTION = int_gt_reverse);
CREATE FUNCTION int_ge_reverse(int, reverse) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4ge';
CREATE OPERATOR =~ (LEFTARG = int, RIGHTARG = reverse, FUNCTION = int_ne_reverse);
CREATE OPERATOR >=~ (LEFTARG = int, RIGHTARG = reverse, FUNCTION = int_ge_reverse);
ALTER OPERATOR FAMILY integer_ops USING btree ADD OPERATOR 1 <~ (int, reverse), OPERATOR 4 >=~ (int, reverse);
ALTER OPERATOR FAMILY integer_ops USING hash ADD OPERATOR 1 =~ (int, reverse), FUNCTION 1 (reverse, reverse) hash_reverse(reverse);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE item (id int, p coarse, ps coarse[], r pad_range, s pad_set, n int, m money, e mood, es mood[],
  t tstzrange);
SELECT twin('coarse', 'a coarse', 'bigint', 'SELECT count(*) FROM item WHERE p = a');
SELECT twin('coarse_array', 'a coarse', 'bigint', 'SELECT count(*) FROM item WHERE ps = ARRAY[a]');
SELECT twin('range', 'a pad_range', 'bigint', 'SELECT count(*) FROM item WHERE r = a');
SELECT twin('set', 'a pad_set', 'bigint', 'SELECT count(*) FROM item WHERE s = a');
SELECT twin('order', 'a reverse', 'bigint', 'SELECT count(*) FROM item WHERE n <~ a');
SELECT twin('other', 'a reverse', 'bigint', 'SELECT count(*) FROM item WHERE n =~ a');
SELECT twin('enum', 'a mood', 'bigint', 'SELECT count(*) FROM item WHERE e = a');
SELECT twin('enums', 'a mood', 'bigint', 'SELECT count(*) FROM item WHERE es = ARRAY[a]');
SELECT twin('times', 'a tstzrange', 'bigint', 'SELECT count(*) FROM item WHERE t = a');
SELECT twin('int', 'a int', 'bigint', 'SELECT count(*) FROM item WHERE n = a');
SELECT * FROM told_apart WHERE granularity IN ('key', 'range');
INSERT INTO call (call) VALUES ($$coarse('0')$$), ($$coarse_array('0')$$), ($$range('[a,b]')$$), ($$set('{[a,b]}')$$),
  ('order(5)'), ('other(5)'), ($$enum('good')$$), ($$enums('good')$$), ($$times('[2024-01-01,)')$$), ('int(5)');
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO item VALUES (1, '-0', '{-0}', '["a  ","b "]', '{["a  ","b "]}', 7);
SELECT * FROM probe();
SELECT * FROM probe();
TRUNCATE call;
-- nothing follows from what such an operator says: n <~ 5 is n > 5, and not within what is watched for another function
SELECT twin('few', '', 'bigint', 'SELECT count(*) FROM item WHERE n < 10');
INSERT INTO call (call) VALUES ('order(5)');
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO item (id, n) VALUES (2, 50);
SELECT * FROM probe();
TRUNCATE call;

-- a class for a type of PostgreSQL's own, whose function is replaced, and which is dropped
CREATE FUNCTION money_hash(money) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashint8';
CREATE OPERATOR CLASS money_hash_ops DEFAULT FOR TYPE money USING hash AS OPERATOR 1 =, FUNCTION 1 money_hash(money);
SELECT twin('money', 'a money', 'bigint', 'SELECT count(*) FROM item WHERE m = a');
INSERT INTO call (call) VALUES ($$money('1.00')$$);
SELECT * FROM probe();
CREATE OR REPLACE FUNCTION money_hash(money) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashfloat8';
INSERT INTO item (m) VALUES ('1.00');
SELECT * FROM probe();
DROP OPERATOR FAMILY money_hash_ops USING hash;
INSERT INTO item (m) VALUES ('1.00');
SELECT * FROM probe();
TRUNCATE call;

-- A pair of functions that is known is a key, until one of them is another. Nothing but the row of the function tells.
SET client_min_messages = error;
CALL make_type('code', 'int8', 'int8in', 'int8out');
RESET client_min_messages;
CREATE FUNCTION code_cmp(code, code) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint8cmp';
CREATE FUNCTION code_hash(code) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashint8';
CREATE FUNCTION code_lt(code, code) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8lt';
CREATE FUNCTION code_le(code, code) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8le';
CREATE FUNCTION code_eq(code, code) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8eq';
CREATE FUNCTION code_ge(code, code) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8ge';
CREATE FUNCTION code_gt(code, code) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8gt';
CREATE FUNCTION code_ne(code, code) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8ne';
CALL make_operators('code');
CREATE TABLE coded (id int, c code, day date);
SELECT twin('coded', 'a code', 'bigint', 'SELECT count(*) FROM coded WHERE c = a');
SELECT twin('coded_since', 'a code, since date', 'bigint', 'SELECT count(*) FROM coded WHERE c = a AND day >= since');
SELECT * FROM told_apart WHERE function LIKE 'coded%';
INSERT INTO call (call) VALUES ($$coded('1')$$), ($$coded('2')$$), ($$coded_since('1', '2024-01-01')$$);
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO coded VALUES (1, '1', '2024-02-01');
SELECT * FROM probe();
CREATE OR REPLACE FUNCTION code_hash(code) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashfloat8';
-- this session's old results, and a session that has not written yet
\c -
SET search_path = equality, public;
INSERT INTO coded VALUES (1, '1', '2024-02-01');
SELECT * FROM probe();
SELECT * FROM probe();
UPDATE coded SET c = '2' WHERE id = 1;
SELECT * FROM probe();
CREATE OR REPLACE FUNCTION code_hash(code) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashint8';
SELECT * FROM probe();
-- a session that meets a class or a function that is never committed
\c -
SET search_path = equality, public;
BEGIN;
SAVEPOINT before;
CREATE OR REPLACE FUNCTION code_hash(code) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashfloat8';
INSERT INTO coded VALUES (2, '1', '2024-02-01');
ROLLBACK TO before;
INSERT INTO coded VALUES (2, '1', '2024-02-01');
COMMIT;
SELECT * FROM probe();
DROP OPERATOR FAMILY code_hash USING hash;
DELETE FROM coded;
SELECT * FROM probe();
TRUNCATE call;

-- Rows within ranges, within arrays, within domains: what they consist of may change, so they are no keys, and what is
-- kept of them fails no write.
CREATE TYPE comp AS (a int);
CREATE TYPE comps AS RANGE (subtype = comp, multirange_type_name = compset);
CREATE DOMAIN several AS comps[];
CREATE TABLE held (id int, r comps, s compset, d several);
SET client_min_messages = warning;
SELECT fate('SELECT count(*) FROM held WHERE r = comps(ROW (1)::comp, NULL)'),
  fate('SELECT count(*) FROM held WHERE s IS NULL'), fate('SELECT count(*) FROM held WHERE d IS NULL');
RESET client_min_messages;
CREATE FUNCTION cached_held() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM held';
-- as an earlier version has left it
INSERT INTO aggcache.watch (relation, id, server, key_columns, columns)
  SELECT 'held'::regclass, 1, current_setting('server_version_num')::int / 10000, '{2}', '{2}';
\c -
SET search_path = equality, public;
INSERT INTO held VALUES (1, comps(ROW (1)::comp, NULL));
ALTER TYPE comp ADD ATTRIBUTE m money;
INSERT INTO held VALUES (2, comps(ROW (1, 1)::comp, ROW (3, 1)::comp)), (3, NULL);
SELECT cached_held();

-- ---- Privileges of what groups ------------------------------------------------------------------------------------
CREATE ROLE regress_grouping;
CREATE TABLE grouped (c code);
INSERT INTO grouped VALUES ('1'), ('1');
GRANT USAGE ON SCHEMA equality TO regress_grouping;
GRANT SELECT ON grouped TO regress_grouping;
CREATE FUNCTION cached_distinct() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM (SELECT DISTINCT c FROM grouped) g';
SELECT cached_distinct(), cached_distinct();
REVOKE EXECUTE ON FUNCTION code_eq(code, code) FROM PUBLIC;
SELECT cached_distinct();
SET ROLE regress_grouping;
SELECT cached_distinct();
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA equality CASCADE;
DROP ROLE regress_grouping;
