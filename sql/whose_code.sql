-- Whose arguments, whose settings, whose values: what calls that are described give is what the plain call gives, and
-- what a SECURITY DEFINER function computes is its owner's.
SET client_min_messages = warning;
CREATE ROLE whose_owner;
CREATE ROLE whose_other;
CREATE ROLE whose_member IN ROLE whose_owner;
CREATE ROLE whose_reader IN ROLE pg_read_all_stats;
CREATE SCHEMA whose;
GRANT CREATE, USAGE ON SCHEMA whose TO whose_owner, whose_other;
GRANT USAGE ON SCHEMA whose TO whose_member, whose_reader;
SET ROLE whose_owner;
SET search_path = whose;
CREATE TABLE doc (id int, token text, day date);
INSERT INTO doc SELECT i, 'token ' || i % 3, date '2024-01-01' + i FROM generate_series(1, 9) i;
CREATE TABLE secret (usr name, token text);
INSERT INTO secret VALUES ('whose_other', 'token 1');
CREATE FUNCTION token_of(name) RETURNS text LANGUAGE sql STABLE AS 'SELECT token FROM whose.secret WHERE usr = $1';
REVOKE EXECUTE ON FUNCTION token_of(name) FROM PUBLIC;
CREATE FUNCTION my_docs(who name DEFAULT current_user) RETURNS bigint LANGUAGE cached_sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog AS 'SELECT count(*) FROM whose.doc WHERE token = whose.token_of(who)';
CREATE FUNCTION docs_of(until date) RETURNS bigint LANGUAGE cached_sql STABLE SECURITY DEFINER
  SET datestyle = 'SQL, MDY' AS 'SELECT count(*) FROM whose.doc WHERE day < until';
CREATE FUNCTION fails() RETURNS bigint LANGUAGE cached_sql STABLE SECURITY DEFINER
  AS $$SELECT count(*) FROM whose.doc WHERE id = whose.token_of('whose_other')::int$$;
CREATE FUNCTION who_asks(x text DEFAULT current_user) RETURNS text LANGUAGE cached_sql STABLE SECURITY DEFINER
  AS 'SELECT x || max(id) FROM whose.doc';

-- a default is the caller's, text is read under the caller's settings
SET ROLE whose_other;
SET datestyle = 'SQL, DMY';
SELECT my_docs(), docs_of('03/01/2024'), who_asks();
SELECT * FROM aggcache.mget('docs_of(date)', ARRAY['03/01/2024', '06/01/2024']) AS r (n bigint, docs bigint);
SELECT * FROM aggcache.mget('my_docs(name)', ARRAY['whose_other', 'whose_owner']) AS r (n bigint, docs bigint);
SELECT docs_of('03/01/2024'), docs_of('06/01/2024'), my_docs('whose_other'), my_docs('whose_owner');
-- the value that the owner's function computes is not shown, nor in an error
SELECT relation, granularity, watch, clause, tags, finer, words
FROM aggcache.explain('my_docs(name)', VARIADIC '{}'::text[]);
SELECT granularity, clause, words FROM aggcache.explain('fails()', VARIADIC '{}'::text[]);
SELECT aggcache.explain('my_docs(name)');
-- but of what runs as the caller, all, and no code of others
RESET ROLE;
ALTER FUNCTION my_docs(name) SECURITY INVOKER;
ALTER FUNCTION docs_of(date) SECURITY INVOKER;
GRANT EXECUTE ON FUNCTION token_of(name) TO whose_other;
GRANT SELECT ON doc, secret TO whose_other;
SET ROLE whose_other;
SELECT granularity, clause, words FROM aggcache.explain('docs_of(date)', '03/01/2024');
SELECT granularity, words FROM aggcache.explain('my_docs(name)', VARIADIC '{}'::text[]);
RESET ROLE;
ALTER FUNCTION my_docs(name) SECURITY DEFINER;
-- who has the owner's privileges sees it
SET ROLE whose_owner;
SELECT granularity, clause LIKE '%token 1%' AS shown FROM aggcache.explain('my_docs(name)', 'whose_other');
SET ROLE whose_member;
SELECT granularity, clause LIKE '%token 1%' AS shown FROM aggcache.explain('my_docs(name)', 'whose_other');
RESET ROLE;
SELECT granularity, clause LIKE '%token 1%' AS shown FROM aggcache.explain('my_docs(name)', 'whose_other');
-- errors of code that runs as the owner are for who has the owner's privileges
SET ROLE whose_owner;
CREATE FUNCTION hidden() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN '7'; END$$;
CREATE FUNCTION shown() RETURNS int LANGUAGE sql STABLE AS 'SELECT whose.hidden()::int';
CREATE FUNCTION folded() RETURNS bigint LANGUAGE cached_sql STABLE SECURITY DEFINER
  AS 'SELECT count(*) FROM whose.doc WHERE id = whose.shown()';
CREATE OR REPLACE FUNCTION hidden() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN 'the secret'; END$$;
SELECT aggcache.explain('folded()');
SELECT reason FROM aggcache.functions WHERE function::text ~ 'folded';
SET ROLE whose_other;
SELECT aggcache.explain('folded()');
SELECT words FROM aggcache.explain('folded()', VARIADIC '{}'::text[]);
SET ROLE whose_reader;
SELECT reason FROM aggcache.functions WHERE function::text ~ 'folded';
SELECT reason FROM aggcache.dependencies WHERE function::text ~ 'folded';
SELECT aggcache.explain('folded()');
-- who has the owner's privileges removes the owner's result, with defaults of their own
SET ROLE whose_other;
SELECT who_asks();
SET ROLE whose_owner;
SELECT who_asks();
SELECT aggcache.invalidate('who_asks(text)', 'whose_other');
SELECT aggcache.invalidate('who_asks(text)', VARIADIC '{}'::text[]);
RESET ROLE;
-- casts: implicit ones as in a call, for assignments PostgreSQL's own, and no others
CREATE FUNCTION of_id(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM whose.doc WHERE id = x';
SELECT n, c FROM aggcache.mget('of_id(int)', ARRAY[1, 10]::smallint[]) AS r (n bigint, c bigint);
SELECT n, c FROM aggcache.mget('of_id(int)', ARRAY[1, 10]::bigint[]) AS r (n bigint, c bigint);
SELECT n, c FROM aggcache.mget('of_id(int)', ARRAY[1, 10]::numeric[]) AS r (n bigint, c bigint);
SELECT n, c FROM aggcache.mget('of_id(int)', ARRAY['1', '10']::varchar[]) AS r (n bigint, c bigint);
CREATE TYPE kind AS ENUM ('one');
CREATE FUNCTION number_of(kind) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE CAST (kind AS int) WITH FUNCTION number_of(kind) AS ASSIGNMENT;
\set VERBOSITY sqlstate
SELECT n, c FROM aggcache.mget('of_id(int)', ARRAY['one']::kind[]) AS r (n bigint, c bigint);
SELECT aggcache.invalidate('of_id(int)', 'one'::kind);
SELECT granularity FROM aggcache.explain('of_id(int)', 'one'::kind);
SELECT granularity FROM aggcache.explain('of_id(int)', '1'::jsonb);
SELECT granularity FROM aggcache.explain('of_id(int)', 'one'::kind::int);
DROP CAST (kind AS int);
CREATE CAST (kind AS int) WITH FUNCTION number_of(kind) AS IMPLICIT;
SELECT of_id('one'::kind);
SELECT n, c FROM aggcache.mget('of_id(int)', ARRAY['one']::kind[]) AS r (n bigint, c bigint);
-- domains: their checks are made, of nulls too
CREATE DOMAIN given AS int NOT NULL CHECK (VALUE > 0);
CREATE FUNCTION of_given(x given) RETURNS bigint LANGUAGE cached_sql STABLE
  AS 'SELECT count(*) FROM whose.doc WHERE id = x';
SELECT n, c FROM aggcache.mget('of_given(given)', ARRAY[1, 2]) AS r (n bigint, c bigint);
SELECT n, c FROM aggcache.mget('of_given(given)', ARRAY['1', '0']) AS r (n bigint, c bigint);
SELECT n, c FROM aggcache.mget('of_given(given)', ARRAY[1, NULL]) AS r (n bigint, c bigint);
SELECT aggcache.invalidate('of_given(given)', 0);
\set VERBOSITY default
DROP SCHEMA whose CASCADE;
DROP ROLE whose_owner, whose_other, whose_member, whose_reader;
