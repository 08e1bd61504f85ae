-- What decides a result and is neither argument nor row: each setting that output reads, and all that functions which
-- cannot be looked into may ask the session.
CREATE SCHEMA inputs;
SET search_path = inputs;
SET client_min_messages = warning;
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
SET bytea_output = 'hex';
SET extra_float_digits = 1;
CREATE TABLE item (id int PRIMARY KEY, span interval, day date, bytes bytea, number float8, name text, dept int);
INSERT INTO item VALUES (1, '1 day 2 hours', '2020-02-01', '\x0102', 1.0::float8 / 3, 'item', 1);

-- where one argument ends and the next begins, and which of them is NULL
CREATE FUNCTION joined(a text, b text) RETURNS text LANGUAGE cached_sql STABLE
AS $$ SELECT coalesce(a, 'null') || ' and ' || coalesce(b, 'null') || ' of ' || count(*) FROM inputs.item $$;
SELECT joined('ab', 'c'), joined('a', 'bc'), joined(NULL, 'x'), joined('x', NULL), joined('', 'x'), joined(NULL, NULL);
SELECT joined('ab', 'c'), joined('a', 'bc'), joined(NULL, 'x'), joined('x', NULL), joined('', 'x'), joined(NULL, NULL);
CREATE FUNCTION lengths(a bytea, b bytea) RETURNS text LANGUAGE cached_sql STABLE
AS $$ SELECT length(a) || ' and ' || length(b) || ' of ' || count(*) FROM inputs.item $$;
SELECT lengths('\x6100', '\x62'), lengths('\x61', '\x0062');
-- the types and the collation of the call
CREATE FUNCTION of_any(a anyelement) RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT count(*) FROM inputs.item WHERE id + 705032703 = a';
SELECT of_any(705032704), of_any(5000000000), of_any(705032704.5), of_any(705032704);
CREATE COLLATION english (PROVIDER = icu, LOCALE = 'en');
CREATE FUNCTION in_order(a text, b text) RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT count(*) FILTER (WHERE a < b) FROM inputs.item';
SELECT in_order('a' COLLATE "C", 'B'), in_order('a' COLLATE english, 'B'), in_order('a' COLLATE "C", 'B');
-- what is too large for a key is told apart too
SET aggcache.max_entry_size = '64kB';
CREATE FUNCTION initial(t text) RETURNS text LANGUAGE cached_sql STABLE
AS $$ SELECT left(t, 1) || ' of ' || count(*) FROM inputs.item $$;
SELECT initial(repeat('x', 100000)), initial(repeat('y', 100000));
RESET aggcache.max_entry_size;

CREATE FUNCTION texts() RETURNS text LANGUAGE cached_sql STABLE
AS $$ SELECT max(span::text || ', ' || day::text || ', ' || bytes::text || ', ' || number::text) FROM inputs.item $$;
CREATE FUNCTION quoted() RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT max(quote_ident(name)) FROM inputs.item';
SELECT texts(), quoted();
SET quote_all_identifiers = on;
SELECT quoted();
RESET quote_all_identifiers;
SET intervalstyle = 'iso_8601';
SELECT texts();
SET bytea_output = 'escape';
SELECT texts();
SET extra_float_digits = -5;
SELECT texts();
SET datestyle = 'SQL, MDY';
SELECT texts();
SET datestyle = 'SQL, DMY';
SELECT texts();
SET intervalstyle = 'postgres';
SET bytea_output = 'hex';
SET extra_float_digits = 1;
SET datestyle = 'ISO, MDY';
SELECT texts(), quoted();
SELECT result FROM aggcache.last_call();

-- what an opaque function may ask
CREATE ROLE regress_aggcache_inputs;
GRANT USAGE ON SCHEMA inputs TO regress_aggcache_inputs;
GRANT SELECT ON item TO regress_aggcache_inputs;
CREATE FUNCTION asks(x int) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN concat_ws(' ', current_user = 'regress_aggcache_inputs', session_user = 'regress_aggcache_inputs',
                   current_setting('row_security'), current_setting('search_path'),
                   current_setting('inputs.factor', true)::int * x);
END $$;
CREATE FUNCTION asked() RETURNS text LANGUAGE cached_sql STABLE SET aggcache.depends_on = ''
AS 'SELECT max(inputs.asks(id)) FROM inputs.item';
CREATE FUNCTION asked_within(d int) RETURNS text LANGUAGE cached_sql STABLE SET aggcache.depends_on = ''
AS 'SELECT max(inputs.asks(id)) FROM inputs.item WHERE dept = d';
CREATE FUNCTION asked_outside() RETURNS text LANGUAGE cached_sql STABLE
AS 'SELECT max(inputs.asked_within(dept)) FROM inputs.item';
SELECT asked(), asked_outside();
SET inputs.factor = 2;
SELECT asked(), asked_outside();
SET inputs.factor = 3;
SELECT asked(), asked_outside();
SET row_security = off;
SELECT asked(), asked_outside();
RESET row_security;
SET search_path = public;
SELECT inputs.asked(), inputs.asked_outside();
SET search_path = inputs;
SET ROLE regress_aggcache_inputs;
SELECT asked(), asked_outside();
RESET ROLE;
SELECT asked(), asked_outside();
SET SESSION AUTHORIZATION regress_aggcache_inputs;
SELECT asked(), asked_outside();
RESET SESSION AUTHORIZATION;
SELECT asked(), asked_outside();

-- declared IMMUTABLE, and read anew all the same where it is called with arguments only
CREATE TABLE rate (n int);
INSERT INTO rate VALUES (1);
CREATE FUNCTION rate_now() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT max(n) FROM inputs.rate); END';
CREATE FUNCTION rated() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) * inputs.rate_now() FROM inputs.item';
SELECT rated();
UPDATE rate SET n = 7;
SELECT rated();

DROP SCHEMA inputs CASCADE;
DROP ROLE regress_aggcache_inputs;
