-- Ranges of texts: prefixes, and comparisons that order by bytes.
CREATE SCHEMA texts;
SET search_path = texts;
SET client_min_messages = warning;
\set ECHO none
\i sql/include/twin.sql
\set ECHO all
\set VERBOSITY terse
\pset format unaligned
\pset footer off
CREATE COLLATION sorted (PROVIDER = icu, LOCALE = 'und');
CREATE COLLATION folded (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE DOMAIN code AS varchar(40) COLLATE "C" CHECK (value <> '-');
CREATE TABLE note (id int, title text COLLATE sorted, code code, padded char(12), loose text COLLATE folded);
INSERT INTO note SELECT i, 'old ' || i, 'old' || i, 'old', 'old' FROM generate_series(1, 50) i;

SELECT FROM twin('likes', 'p text', 'bigint', 'SELECT count(*) FROM note WHERE title LIKE p');
SELECT FROM twin('escaped', 'p text', 'bigint', 'SELECT count(*) FROM note WHERE title LIKE p || ''%'' ESCAPE ''!''');
SELECT FROM twin('constant', '', 'bigint', $$SELECT count(*) FROM note WHERE title LIKE 'abc%'$$);
SELECT FROM twin('starts', 'p text', 'bigint', 'SELECT count(*) FROM note WHERE title ^@ p');
SELECT FROM twin('named', 'p text', 'bigint', 'SELECT count(*) FROM note WHERE starts_with(title, p)');
SELECT FROM twin('regex', 'p text', 'bigint', 'SELECT count(*) FROM note WHERE title ~ p');
SELECT FROM twin('optional', 'p text', 'bigint', 'SELECT count(*) FROM note WHERE p IS NULL OR title LIKE p');
SELECT FROM twin('pattern', 'f text, t text', 'bigint', 'SELECT count(*) FROM note WHERE title ~>=~ f AND title ~<~ t');
SELECT FROM twin('bytes', 'f text', 'bigint', 'SELECT count(*) FROM note WHERE title COLLATE "C" >= f');
SELECT FROM twin('sorted', 'f text', 'bigint', 'SELECT count(*) FROM note WHERE title >= f');
SELECT FROM twin('codes', 'f text, t text', 'bigint', 'SELECT count(*) FROM note WHERE code BETWEEN f AND t');
SELECT FROM twin('within', 'f text, t text', 'bigint', 'SELECT count(*) FROM note WHERE code >= f AND code < t');
SELECT FROM twin('below', 't text', 'bigint', 'SELECT count(*) FROM note WHERE code < t');
SELECT FROM twin('above', 'f text', 'bigint', 'SELECT count(*) FROM note WHERE f < code');
SELECT FROM twin('padded', 'p text', 'bigint', 'SELECT count(*) FROM note WHERE padded LIKE p');
SELECT FROM twin('loose', 'p text', 'bigint', 'SELECT count(*) FROM note WHERE loose COLLATE "C" LIKE p');
-- what the collation calls equal has other bytes
SELECT FROM twin('folded', 'f text', 'bigint', 'SELECT count(*) FROM note WHERE loose >= f');
-- an equality is a key
SELECT FROM twin('both', 'v text, p text', 'bigint', 'SELECT count(*) FROM note WHERE title = v AND title LIKE p');
SELECT unnest(aggcache.watches('note'));

INSERT INTO call (call) VALUES ($$likes('abc%')$$), ($$likes('abcdefgh%')$$), ($$likes('abcdefghij%')$$), ($$likes('abc')$$),
  ($$likes('abcdefghij')$$), ($$likes('')$$), ($$likes('%')$$), ($$likes('_bc')$$), ($$likes('a\%b%')$$), ($$likes('a\_%')$$),
  ($$likes('é%')$$), ($$likes('old 1%')$$), ($$likes(NULL)$$), ($$escaped('a!%')$$), ($$constant()$$), ($$starts('abc')$$), ($$starts('')$$),
  ($$starts('abcdefghij')$$), ($$named('abc')$$), ($$regex('^abc')$$), ($$regex('^abc$')$$), ($$regex('abc')$$), ($$regex('^(abc|abd)')$$),
  ($$regex('^abcdefghij')$$), ($$regex('(?i)^abc')$$), ($$regex('(?n)^abc')$$), ($$optional('abc%')$$), ($$pattern('abc', 'abd')$$),
  ($$bytes('é')$$), ($$sorted('xyz')$$), ($$codes('abc', 'abd')$$), ($$codes('abcdefghij', 'abcdefghik')$$), ($$below('abc')$$),
  ($$below('abcdefghij')$$), ($$below('')$$), ($$above('abc')$$), ($$above('abcdefghij')$$), ($$padded('abc%')$$), ($$loose('abc%')$$),
  ($$folded('abc')$$), ($$within('abcdefgh', 'abcdefghij')$$), ($$both('abc', 'ab%')$$);
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO note (title) VALUES ('abc');
SELECT * FROM probe();
INSERT INTO note (title) VALUES ('abcd');
SELECT * FROM probe();
INSERT INTO note (title) VALUES ('abcdefgh');
SELECT * FROM probe();
INSERT INTO note (title) VALUES ('abcdefghij');
SELECT * FROM probe();
INSERT INTO note (title) VALUES ('abcdefghik');
SELECT * FROM probe();
INSERT INTO note (title) VALUES ('ab'), ('ABC'), ('');
SELECT * FROM probe();
INSERT INTO note (title) VALUES (E'x\nabc');
SELECT * FROM probe();
INSERT INTO note (title) VALUES ('a%b'), ('a_'), ('a!%');
SELECT * FROM probe();
INSERT INTO note (title) VALUES ('été'), ('ÿ'), ('🙂');
SELECT * FROM probe();
INSERT INTO note (title) VALUES (NULL);
SELECT * FROM probe();
INSERT INTO note (code) VALUES ('abc');
SELECT * FROM probe();
INSERT INTO note (code) VALUES ('abb'), ('abd'), ('');
SELECT * FROM probe();
INSERT INTO note (code) VALUES ('abcdefghij');
SELECT * FROM probe();
INSERT INTO note (code) VALUES ('abcdefgh'), ('abcdefghii'), ('abcdefghik');
SELECT * FROM probe();
INSERT INTO note (padded, loose) VALUES ('abc', 'ABC');
SELECT * FROM probe();
INSERT INTO note (loose) VALUES ('abcd');
SELECT * FROM probe();
-- from one range to another
UPDATE note SET title = 'moved' WHERE title = 'abcd';
SELECT * FROM probe();
UPDATE note SET title = 'abcd' WHERE title = 'moved';
SELECT * FROM probe();

-- compressed, and stored elsewhere
INSERT INTO note (title) VALUES (repeat('abc', 10000));
SELECT * FROM probe();
ALTER TABLE note ALTER title SET STORAGE EXTERNAL;
SELECT * FROM probe();
INSERT INTO note (title) VALUES ('abcde' || repeat('x', 10000));
SELECT * FROM probe();
UPDATE note SET title = 'zz' || title WHERE title LIKE 'abcdex%';
SELECT * FROM probe();

-- a pattern that is an error for what begins like it
SELECT cached_likes('wrong\');
INSERT INTO note (title) VALUES ('wrong and more');
SELECT cached_likes('wrong\');
SELECT cached_regex('(');
SELECT count(*) FROM note;

-- a constant pattern without a beginning makes no watch
CREATE TABLE quiet (title text);
CREATE FUNCTION inner_word() RETURNS bigint LANGUAGE cached_sql STABLE AS $$ SELECT count(*) FROM texts.quiet WHERE title LIKE '%x' $$;
CREATE FUNCTION no_word(p text) RETURNS bigint LANGUAGE cached_sql STABLE AS $$ SELECT count(*) FROM texts.quiet WHERE title NOT LIKE p $$;
CREATE FUNCTION any_case(p text) RETURNS bigint LANGUAGE cached_sql STABLE AS $$ SELECT count(*) FROM texts.quiet WHERE title ILIKE p $$;
CREATE FUNCTION turned(v text) RETURNS bigint LANGUAGE cached_sql STABLE AS $$ SELECT count(*) FROM texts.quiet WHERE v LIKE title $$;
CREATE FUNCTION any_word() RETURNS bigint LANGUAGE cached_sql STABLE AS $$ SELECT count(*) FROM texts.quiet WHERE title ~ 'x' $$;
SELECT unnest(aggcache.watches('quiet'));
CREATE FUNCTION one_word() RETURNS bigint LANGUAGE cached_sql STABLE AS $$ SELECT count(*) FROM texts.quiet WHERE title ~ '^x' $$;
SELECT unnest(aggcache.watches('quiet'));
DROP SCHEMA texts CASCADE;
