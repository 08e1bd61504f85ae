-- What watches compute of each row must never make a write fail.
CREATE SCHEMA writes;
SET search_path = writes;
SET client_min_messages = warning;

-- a collation that only the body names, and that goes
CREATE COLLATION gone FROM "C";
CREATE TABLE word (id int, word text, own text COLLATE gone);
CREATE FUNCTION cached_words() RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM word WHERE word = 'x' COLLATE gone $$;
CREATE FUNCTION cached_few_words() RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM word WHERE word = ANY (ARRAY['x', 'y'] COLLATE gone) $$;
CREATE FUNCTION cached_own() RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM word WHERE own = 'x' $$;
-- a column that has the collation keeps it from going
SELECT aggcache.watches('word');
INSERT INTO word VALUES (1, 'x', 'x');
ALTER TABLE word DROP COLUMN own;
DROP COLLATION gone;
\c
SET search_path = writes;
SET client_min_messages = warning;
INSERT INTO word VALUES (2, 'y');
UPDATE word SET word = 'z';

-- columns whose collations disagree, which only comparing them tells
CREATE TABLE pair (a text COLLATE "C", b text COLLATE "POSIX", n int);
CREATE FUNCTION cached_pairs(n int) RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM pair WHERE a = b AND pair.n = $1 $$;
SELECT aggcache.watches('pair');
INSERT INTO pair VALUES ('a', 'b', 1);
UPDATE pair SET a = 'b';

-- operators that are leak-proof by name, yet fail on some values
CREATE COLLATION loose (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE TABLE shape (name text COLLATE loose, disc circle, line lseg);
CREATE FUNCTION cached_prefix() RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM shape WHERE name ^@ 'a' $$;
CREATE FUNCTION cached_discs() RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM shape WHERE disc < '<(0,0),1>' $$;
CREATE FUNCTION cached_lines() RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM shape WHERE line < '((0,0),(1,1))' $$;
CREATE FUNCTION cached_named() RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM shape WHERE name = 'a' $$;
SELECT aggcache.watches('shape');
INSERT INTO shape VALUES ('a', '<(0,0),1e200>', '((-1e308,0),(1e308,0))');

-- a row type that gets an attribute without hash function
CREATE TYPE part AS (a int, b int);
CREATE TABLE whole (id int, part part, parts part[]);
CREATE FUNCTION cached_wholes(part part) RETURNS bigint LANGUAGE cached_sql STABLE
AS $$ SELECT count(*) FROM whole WHERE whole.part = $1 OR whole.parts = ARRAY[$1] $$;
INSERT INTO whole VALUES (1, (1, 2), ARRAY[(1, 2)::part]);
ALTER TYPE part ADD ATTRIBUTE c money;
INSERT INTO whole VALUES (2, (1, 2, '3'), ARRAY[(1, 2, '3')::part]);
SELECT aggcache.watches('whole');
DROP SCHEMA writes CASCADE;
