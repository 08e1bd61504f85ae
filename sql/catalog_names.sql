-- What is printed or read by catalogs under the tag of names: labels of enums, text search. And money by lc_monetary.
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN feeling AS mood;
CREATE TABLE felt (id int, m mood, ms mood[], f feeling, label text, body text, doc jsonb, pay money);
INSERT INTO felt VALUES (1, 'good', '{good,bad}', 'good', 'good', 'he is running', '{"a": "running"}', '1.50'), (2, 'bad', '{bad}', 'bad', 'bad', 'the dogs', '{"a": "dog"}', '2.75');
CREATE TABLE body (name text, text text, made text);
CREATE FUNCTION make(name text, body text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FUNCTION c_%s(k text) RETURNS text LANGUAGE cached_sql STABLE AS %L', name, 'SELECT (' || body || ')::text');
  EXECUTE format('CREATE FUNCTION p_%s(k text) RETURNS text LANGUAGE sql STABLE AS %L', name, 'SELECT (' || body || ')::text');
  RETURN (SELECT coalesce(reason, state) FROM aggcache.functions f WHERE f.function = format('c_%s(text)', name)::regprocedure);
END $$;
CREATE FUNCTION look(name text, OUT same boolean, OUT result text) LANGUAGE plpgsql AS $$
DECLARE cached text; plain text;
BEGIN
  BEGIN EXECUTE format('SELECT c_%s(''run'')', name) INTO cached; EXCEPTION WHEN OTHERS THEN cached := sqlerrm; END;
  SELECT l.result || coalesce(': ' || l.not_stored, '') INTO result FROM aggcache.last_call() l;
  BEGIN EXECUTE format('SELECT p_%s(''run'')', name) INTO plain; EXCEPTION WHEN OTHERS THEN plain := sqlerrm; END;
  same := cached IS NOT DISTINCT FROM plain;
END $$;
CREATE FUNCTION look_at(kind text, OUT same boolean, OUT result text, OUT count bigint) RETURNS SETOF record LANGUAGE sql
  AS $$ SELECT l.same, l.result, count(*) FROM body, look(body.name) l WHERE body.name ~ kind GROUP BY 1, 2 ORDER BY 1, 2 $$;

-- ---- enums ----
INSERT INTO body VALUES
  ('e_cast', 'SELECT string_agg(m::text, '','' ORDER BY id) FROM felt'),
  ('e_domain', 'SELECT string_agg(f::text || f, '','' ORDER BY id) FROM felt'),
  ('e_array', 'SELECT string_agg(ms::text || array_to_string(ms, ''|''), '','' ORDER BY id) FROM felt'),
  ('e_format', 'SELECT string_agg(format(''%s %L'', m, m), '','' ORDER BY id) FROM felt'),
  ('e_concat', 'SELECT string_agg(concat(m, id) || concat_ws(''-'', m, m) || quote_literal(m), '','' ORDER BY id) FROM felt'),
  ('e_append', 'SELECT string_agg(''is '' || m, '','' ORDER BY id) FROM felt'),
  ('e_json', 'SELECT json_agg(json_build_object(m, to_jsonb(m)) ORDER BY id) FROM felt'),
  ('e_like', 'SELECT count(*) FROM felt WHERE m::text LIKE ''g%'''),
  ('e_read', 'SELECT count(*) FROM felt WHERE label::mood = m');
UPDATE body SET made = make(name, text) WHERE name ~ '^e_';
SELECT name, made FROM body WHERE made <> 'cached';
SELECT * FROM look_at('^e_'); SELECT * FROM look_at('^e_');
SELECT explain FROM aggcache.explain('c_e_cast(text)') WHERE explain ~ 'labels';
ALTER TYPE mood RENAME VALUE 'good' TO 'fine';
SELECT * FROM look_at('^e_'); SELECT * FROM look_at('^e_');
ALTER TYPE mood RENAME VALUE 'bad' TO 'good';
SELECT * FROM look_at('^e_'); SELECT * FROM look_at('^e_');
BEGIN;
ALTER TYPE mood RENAME VALUE 'good' TO 'well';
SELECT * FROM look_at('^e_');
ROLLBACK;
SELECT * FROM look_at('^e_'); SELECT * FROM look_at('^e_');
-- one that is called by others: what it reads is theirs
CREATE FUNCTION shown(i int) RETURNS text LANGUAGE sql STABLE SET search_path = public AS 'SELECT m::text FROM felt WHERE id = i';
CREATE FUNCTION c_shown_cached(i int) RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT m::text FROM felt WHERE id = i';
CREATE FUNCTION shown_text(m mood) RETURNS text LANGUAGE sql STABLE SET search_path = public AS 'SELECT $1::text';
INSERT INTO body VALUES ('o_sql', 'SELECT string_agg(shown(id), '','' ORDER BY id) FROM felt'),
  ('o_cached', 'SELECT string_agg(c_shown_cached(id), '','' ORDER BY id) FROM felt'), ('o_text', 'SELECT string_agg(shown_text(m), '','' ORDER BY id) FROM felt');
UPDATE body SET made = make(name, text) WHERE name ~ '^o_';
SELECT name, made FROM body WHERE name ~ '^o_' ORDER BY 1;
SELECT * FROM look_at('^o_'); SELECT * FROM look_at('^o_');
ALTER TYPE mood RENAME VALUE 'good' TO 'bad';
SELECT * FROM look_at('^o_'); SELECT * FROM look_at('^o_');

-- ---- text search ----
CREATE TEXT SEARCH CONFIGURATION mine (COPY = english);
CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = snowball, Language = english, StopWords = english);
ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR asciiword WITH stems;
INSERT INTO body VALUES
  ('t_vector', 'SELECT string_agg(to_tsvector(''public.mine'', body)::text, '','' ORDER BY id) FROM felt'),
  ('t_match', 'SELECT count(*) FROM felt WHERE to_tsvector(''public.mine'', body) @@ plainto_tsquery(''public.mine'', k)'),
  ('t_query', 'SELECT string_agg((to_tsquery(''public.mine'', label) || phraseto_tsquery(''public.mine'', body) || websearch_to_tsquery(''public.mine'', body))::text, '','' ORDER BY id) FROM felt'),
  ('t_json', 'SELECT string_agg(to_tsvector(''public.mine'', doc)::text || jsonb_to_tsvector(''public.mine'', doc, ''["string"]'')::text, '','' ORDER BY id) FROM felt'),
  ('t_headline', 'SELECT string_agg(ts_headline(''public.mine'', body, ''run''), '','' ORDER BY id) FROM felt'),
  ('t_lexize', 'SELECT string_agg(ts_lexize(''public.stems'', label)::text, '','' ORDER BY id) FROM felt');
UPDATE body SET made = make(name, text) WHERE name ~ '^t_';
SELECT name, made FROM body WHERE name ~ '^t_' AND made <> 'cached';
SELECT * FROM look_at('^t_'); SELECT * FROM look_at('^t_');
ALTER TEXT SEARCH DICTIONARY stems (Language = german, StopWords = german);
SELECT * FROM look_at('^t_'); SELECT * FROM look_at('^t_');
ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR asciiword WITH simple;
SELECT * FROM look_at('^t_'); SELECT * FROM look_at('^t_');
ALTER TEXT SEARCH CONFIGURATION mine DROP MAPPING FOR asciiword;
-- how often versions say that a query is empty is theirs
SET client_min_messages = warning;
SELECT * FROM look_at('^t_');
RESET client_min_messages;
-- another one under its name
ALTER TEXT SEARCH CONFIGURATION mine RENAME TO former;
CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple);
-- version 18 keeps for the session what the names in a plain function meant
\c -
SELECT * FROM look_at('^t_'); SELECT * FROM look_at('^t_');
DROP TEXT SEARCH CONFIGURATION mine;
SELECT same, sum(count) FROM look_at('^t_') GROUP BY 1;
-- the default configuration
INSERT INTO body VALUES
  ('d_vector', 'SELECT string_agg(to_tsvector(body)::text || to_tsvector(doc)::text, '','' ORDER BY id) FROM felt'),
  ('d_query', 'SELECT string_agg((plainto_tsquery(body) || to_tsquery(label) || phraseto_tsquery(body) || websearch_to_tsquery(body))::text, '','' ORDER BY id) FROM felt'),
  ('d_match', 'SELECT count(*) FROM felt WHERE to_tsvector(body) @@ plainto_tsquery(k)'),
  ('d_text', 'SELECT count(*) FROM felt WHERE body @@ k'),
  ('d_headline', 'SELECT string_agg(ts_headline(body, ''run''), '','' ORDER BY id) FROM felt');
SET default_text_search_config = 'pg_catalog.english';
UPDATE body SET made = make(name, text) WHERE name ~ '^d_';
SELECT name, made FROM body WHERE name ~ '^d_' AND made <> 'cached';
SELECT * FROM look_at('^d_'); SELECT * FROM look_at('^d_');
SET default_text_search_config = 'pg_catalog.simple';
SELECT * FROM look_at('^d_'); SELECT * FROM look_at('^d_');
BEGIN;
ALTER TEXT SEARCH CONFIGURATION pg_catalog.simple ALTER MAPPING FOR asciiword WITH english_stem;
SELECT * FROM look_at('^d_');
ROLLBACK;
SELECT * FROM look_at('^d_'); SELECT * FROM look_at('^d_');
CREATE TEXT SEARCH CONFIGURATION mine (COPY = english);
SET default_text_search_config = 'public.mine';
SELECT * FROM look_at('^d_');
RESET default_text_search_config;
-- what is not known
CREATE TEXT SEARCH DICTIONARY knows (TEMPLATE = thesaurus, DictFile = thesaurus_sample, Dictionary = pg_catalog.english_stem);
CREATE TEXT SEARCH CONFIGURATION thesaurus (COPY = english);
ALTER TEXT SEARCH CONFIGURATION thesaurus ALTER MAPPING FOR asciiword WITH knows;
CREATE TEXT SEARCH TEMPLATE public.simple (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY of_others (TEMPLATE = public.simple);
CREATE TEXT SEARCH CONFIGURATION of_others (COPY = english);
ALTER TEXT SEARCH CONFIGURATION of_others ALTER MAPPING FOR asciiword WITH of_others, english_stem;
SELECT make('u_thesaurus', 'SELECT max(to_tsvector(''public.thesaurus'', body)::text) FROM felt'),
  make('u_others', 'SELECT max(to_tsvector(''public.of_others'', body)::text) FROM felt'),
  make('u_column', 'SELECT max(to_tsvector(label::regconfig, body)::text) FROM felt'),
  make('u_argument', 'SELECT max(to_tsvector(k::regconfig, body)::text) FROM felt'),
  make('u_lexize', 'SELECT max(ts_lexize(''public.knows'', label)::text) FROM felt');

-- ---- money ----
INSERT INTO body VALUES ('m_numeric', 'SELECT sum(pay::numeric) FROM felt'), ('m_money', 'SELECT sum((id * 3)::money + id::bigint::money + id::numeric::money) FROM felt'),
  ('m_text', 'SELECT max(pay::text) FROM felt');
UPDATE body SET made = make(name, text) WHERE name ~ '^m_';
SELECT name, made FROM body WHERE name ~ '^m_' AND made <> 'cached';
SET lc_monetary = 'C';
SELECT * FROM look_at('^m_'); SELECT * FROM look_at('^m_');
SET lc_monetary = 'C.UTF-8';
SELECT * FROM look_at('^m_'); SELECT * FROM look_at('^m_');
RESET lc_monetary;

DROP TABLE felt, body CASCADE;
DROP TYPE mood CASCADE;
DROP TEXT SEARCH CONFIGURATION mine, former, thesaurus, of_others;
DROP TEXT SEARCH DICTIONARY stems, knows, of_others;
DROP TEXT SEARCH TEMPLATE public.simple;
SET client_min_messages = warning;
DO $$ DECLARE f regprocedure; BEGIN
  FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ '^(c_|p_|make$|look|shown)' LOOP
    EXECUTE format('DROP FUNCTION %s CASCADE', f);
  END LOOP;
END $$;
