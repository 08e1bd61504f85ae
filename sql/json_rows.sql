-- JSON of whole rows: what it prints of columns is in the key, or ends results.
SET timezone = 'UTC';
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN amount AS numeric CHECK (VALUE >= 0);
CREATE TABLE part (id int PRIMARY KEY, owner int, n numeric, f float8, ok boolean, label text, at timestamptz, wall timestamp,
  day date, hour time, span interval, raw bytea, price money, days daterange, tags text[], doc jsonb, text_doc json, key uuid, sum amount, feel mood, feels mood[]);
INSERT INTO part SELECT i, i % 3, i / 7.0, i / 7.0::float8, i % 2 = 0, 'l' || i, timestamptz '2026-01-01 12:00Z' + i * interval '1 h',
  timestamp '2026-01-01 12:00' + i * interval '1 h', date '2026-01-01' + i, time '12:00' + i * interval '1 min', interval '1 day 2 h' * i, decode('ff0' || i, 'hex'), i::money, daterange(date '2026-01-01', date '2026-01-01' + i),
  ARRAY['a', 'b' || i], jsonb_build_object('i', i), '{"a":  1}', ('00000000-0000-0000-0000-00000000000' || i)::uuid, i, 'good', '{good,bad}' FROM generate_series(1, 9) i;
CREATE VIEW seen AS SELECT id, owner, label AS caption, at FROM part;
CREATE TABLE body (name text, text text, made text);
CREATE FUNCTION make(name text, body text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FUNCTION c_%s(o int) RETURNS text LANGUAGE cached_sql STABLE AS %L', name, 'SELECT (' || body || ')::text');
  EXECUTE format('CREATE FUNCTION p_%s(o int) RETURNS text LANGUAGE sql STABLE AS %L', name, 'SELECT (' || body || ')::text');
  RETURN (SELECT coalesce(reason, state) FROM aggcache.functions f WHERE f.function = format('c_%s(int)', name)::regprocedure);
END $$;
CREATE FUNCTION look(name text, OUT same boolean, OUT result text) LANGUAGE plpgsql AS $$
DECLARE cached text; plain text;
BEGIN
  EXECUTE format('SELECT c_%s(1)', name) INTO cached;
  SELECT l.result || coalesce(': ' || l.not_stored, '') INTO result FROM aggcache.last_call() l;
  EXECUTE format('SELECT p_%s(1)', name) INTO plain;
  same := cached IS NOT DISTINCT FROM plain;
END $$;
-- of all bodies: whether all agree with their twins, and how many calls were what
CREATE FUNCTION look_all(OUT same boolean, OUT result text, OUT count bigint) RETURNS SETOF record LANGUAGE sql
  AS $$ SELECT l.same, l.result, count(*) FROM body, look(body.name) l WHERE body.made = 'cached' GROUP BY 1, 2 ORDER BY 1, 2 $$;
INSERT INTO body VALUES
  ('row', 'SELECT row_to_json(p) FROM part p WHERE owner = o ORDER BY id LIMIT 1'),
  ('pretty', 'SELECT row_to_json(p, true) FROM part p WHERE owner = o ORDER BY id LIMIT 1'),
  ('agg', 'SELECT json_agg(p ORDER BY id) FROM part p WHERE owner = o'),
  ('agg_row', 'SELECT json_agg(row_to_json(p) ORDER BY id) FROM part p WHERE owner = o'),
  ('jagg', 'SELECT jsonb_agg(p ORDER BY id) FROM part p WHERE owner = o'),
  ('jrow', 'SELECT jsonb_agg(to_jsonb(p) ORDER BY id) FROM part p WHERE owner = o'),
  ('to', 'SELECT json_agg(to_json(p) ORDER BY id) FROM part p WHERE owner = o'),
  ('sub', 'SELECT json_agg(t) FROM (SELECT id, at, n, feel FROM part WHERE owner = o ORDER BY id) t'),
  ('nested', 'SELECT coalesce(json_agg(root), ''[]'') FROM (SELECT row_to_json((SELECT e FROM (SELECT b.id AS id, b.at AS "when") AS e)) AS root FROM (SELECT * FROM part WHERE owner = o) AS b ORDER BY b.id) AS r'),
  ('lateral', 'SELECT json_agg(l.j) FROM part p, LATERAL (SELECT to_jsonb(q) AS j FROM (SELECT p.id, p.at) q) l WHERE owner = o'),
  ('cte', 'WITH w AS (SELECT id, span FROM part WHERE owner = o ORDER BY id) SELECT json_agg(w) FROM w'),
  ('listed', 'SELECT json_agg(v) FROM (VALUES (1, now()::date - current_date), (o, 2)) v(a, b)'),
  ('made', 'SELECT json_agg(ROW(id, at, feel) ORDER BY id) FROM part WHERE owner = o'),
  ('chosen', 'SELECT json_agg(CASE WHEN id > 2 THEN p ELSE NULL END ORDER BY id) FROM part p WHERE owner = o'),
  ('built', 'SELECT json_agg(json_build_object(''id'', id, ''at'', at, ''f'', f, ''raw'', raw, ''p'', p) ORDER BY id) FROM part p WHERE owner = o'),
  ('jbuilt', 'SELECT jsonb_object_agg(id, jsonb_build_object(''at'', at, ''price'', price, ''p'', p)) FROM part p WHERE owner = o'),
  ('keyed', 'SELECT json_object_agg(label, p ORDER BY id) FROM part p WHERE owner = o'),
  ('listing', 'SELECT json_agg(json_build_array(p, span, days) ORDER BY id) FROM part p WHERE owner = o'),
  ('arrays', 'SELECT json_agg(array_to_json(tags) ORDER BY id) || to_json(array_agg(at ORDER BY id))::text FROM part p WHERE owner = o'),
  ('view', 'SELECT json_agg(v ORDER BY id) FROM seen v WHERE owner = o'),
  ('joined', 'SELECT json_agg(json_build_object(''p'', p, ''v'', v) ORDER BY p.id) FROM part p JOIN seen v USING (id) WHERE p.owner = o');
UPDATE body SET made = make(name, text);
SELECT name, made FROM body WHERE made <> 'cached';
SELECT * FROM look_all();
SELECT * FROM look_all();

-- settings join the key
SET timezone = 'Asia/Kolkata'; SELECT same, sum(count) FROM look_all() GROUP BY 1;
SET datestyle = 'German, DMY'; SELECT same, sum(count) FROM look_all() GROUP BY 1;
SET intervalstyle = 'iso_8601'; SELECT same, sum(count) FROM look_all() GROUP BY 1;
SET bytea_output = 'escape'; SELECT same, sum(count) FROM look_all() GROUP BY 1;
SET extra_float_digits = -9; SELECT same, sum(count) FROM look_all() GROUP BY 1;
SELECT * FROM look_all();
SET lc_monetary = 'C.UTF-8'; SELECT * FROM look_all();
RESET ALL; SET timezone = 'UTC';
SELECT * FROM look_all();

-- a write of any column counts, of other rows none
UPDATE part SET raw = '\x00' WHERE id = 1;
SELECT name, look(name) FROM body WHERE name IN ('row', 'agg', 'sub');
UPDATE part SET raw = '\x01' WHERE id = 2;
SELECT name, look(name) FROM body WHERE name IN ('agg', 'jagg', 'sub');

-- names of columns, and columns that come and go
ALTER TABLE part RENAME COLUMN hour TO o_clock; SELECT * FROM look_all();
ALTER VIEW seen RENAME COLUMN caption TO title; SELECT * FROM look_all();
ALTER TABLE part ADD COLUMN more int DEFAULT 5; SELECT * FROM look_all();
ALTER TABLE part DROP COLUMN more; SELECT * FROM look_all();
ALTER TABLE part ALTER COLUMN f TYPE numeric; SELECT * FROM look_all();

-- labels of enums
ALTER TYPE mood RENAME VALUE 'good' TO 'fine'; SELECT * FROM look_all();
SELECT * FROM look_all();
-- a cast to json is a function of somebody's
CREATE TABLE told (word text);
INSERT INTO told VALUES ('one');
CREATE FUNCTION mood_json(mood) RETURNS json LANGUAGE sql STABLE AS 'SELECT to_json(word) FROM told';
CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
SELECT same, sum(count) FROM look_all() GROUP BY 1;
UPDATE told SET word = 'two';
SELECT same, sum(count) FROM look_all() GROUP BY 1;
SELECT reason FROM aggcache.functions WHERE function = 'c_agg(int)'::regprocedure;
DROP CAST (mood AS json);
SELECT same, sum(count) FROM look_all() GROUP BY 1;
SELECT * FROM look_all();
UPDATE told SET word = 'three';
SELECT * FROM look_all();

-- types whose text is made of more than the value
CREATE TYPE pair AS (a int, b int);
CREATE TABLE refused (id int, of_class regclass, x xml, p pair, ps pair[], v tsvector, s name);
SELECT column_name, make('refused_' || column_name, format('SELECT json_agg(t) FROM (SELECT id, %s FROM refused) t', column_name))
  FROM information_schema.columns WHERE table_name = 'refused' ORDER BY ordinal_position;
-- rows of a type that somebody else's relation has
CREATE TABLE shape (a int, b int);
CREATE FUNCTION shaped() RETURNS SETOF shape LANGUAGE sql STABLE AS 'SELECT id, owner FROM part';
SELECT make('shaped', 'SELECT json_agg(s ORDER BY a) FROM shaped() s'), make('shaped_too', 'SELECT json_agg(s ORDER BY s.a) FROM shaped() s WHERE EXISTS (SELECT FROM shape) IS NOT NULL');
SELECT look('shaped'), look('shaped_too');
ALTER TABLE shape RENAME b TO z;
SELECT look('shaped'), look('shaped_too');
SELECT make('whole', 'SELECT json_agg(r) FROM refused r'), make('arrays_of_rows', 'SELECT to_json(array_agg(p)) FROM part p'),
  make('inner_row', 'SELECT json_agg(t) FROM (SELECT id, ROW(id, owner) AS r FROM part) t'),
  make('functions', 'SELECT json_agg(r) FROM jsonb_to_recordset((SELECT doc FROM part LIMIT 1)) AS r(a int)'),
  make('concat', 'SELECT string_agg(concat(p), '','') FROM part p');

SET client_min_messages = warning;
DROP TABLE part, body, told, refused, shape CASCADE;
DROP TYPE mood, pair CASCADE;
DROP DOMAIN amount;
DO $$ DECLARE f regprocedure; BEGIN
  FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ '^(c_|p_|make$|look)' LOOP
    EXECUTE format('DROP FUNCTION %s CASCADE', f);
  END LOOP;
END $$;
