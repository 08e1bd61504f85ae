-- Invalidating by hand, attach, detach, refresh, reset_stats.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE admin_owner;
CREATE ROLE admin_other;
CREATE SCHEMA admin;
GRANT CREATE, USAGE ON SCHEMA admin TO admin_owner;
GRANT USAGE ON SCHEMA admin TO admin_other;
SET ROLE admin_owner;
SET search_path = admin;
CREATE TABLE item (id int PRIMARY KEY, kind text, price numeric);
INSERT INTO item SELECT i, 'k' || i % 3, i FROM generate_series(1, 9) i;
CREATE FUNCTION price(wanted text, above int DEFAULT 0) RETURNS numeric LANGUAGE cached_sql STABLE
  AS 'SELECT sum(price) FROM admin.item WHERE kind = wanted AND id >= above';
CREATE FUNCTION items() RETURNS SETOF admin.item LANGUAGE cached_sql STABLE AS 'SELECT * FROM admin.item';
CREATE FUNCTION same() RETURNS SETOF admin.item LANGUAGE cached_sql STABLE AS 'SELECT * FROM admin.item';
CREATE FUNCTION first(x anyelement) RETURNS anyelement LANGUAGE cached_sql STABLE
  AS 'SELECT x FROM admin.item WHERE id = 1';
CREATE FUNCTION own(VARIADIC ids int[]) RETURNS text LANGUAGE cached_sql STABLE SET timezone = 'UTC'
  AS 'SELECT current_user || count(*) || max(to_timestamp(id)) FROM admin.item WHERE id = ANY (ids)';
CREATE FUNCTION definer(n int) RETURNS text LANGUAGE cached_sql STABLE SECURITY DEFINER
  AS 'SELECT current_user || count(*) FROM admin.item WHERE id < n';
CREATE VIEW how AS SELECT result, cause FROM aggcache.last_call();
GRANT SELECT ON how TO PUBLIC;

-- one entry, given by its arguments
SELECT price('k1'), price('k2'), price('k1', 5);
SELECT aggcache.invalidate('price(text,int)', 'k1', 5);
SELECT aggcache.invalidate('price(text,int)', 'k1', 5);
SELECT price('k1', 5);
SELECT * FROM how;
SELECT price('k1');
SELECT * FROM how;
-- with arguments of other types, and defaults
SELECT aggcache.invalidate('price(text,int)', 'k1'::varchar, '5'::bigint);
SELECT aggcache.invalidate('price(text,int)', 'k2'::text);
SELECT price('k2');
SELECT * FROM how;
-- all that is left
SELECT aggcache.invalidate('price(text,int)');
SELECT price('k1');
SELECT * FROM how;
-- polymorphic, variadic, with settings, as another role
SELECT first(1), first('a'::text);
SELECT aggcache.invalidate('first(anyelement)', 'a'::text), aggcache.invalidate('first(anyelement)', 1);
SELECT own(1, 2, 3);
SELECT aggcache.invalidate('own(int[])', ARRAY[1, 2, 4]), aggcache.invalidate('own(int[])', ARRAY[1, 2, 3]);
RESET ROLE;
SELECT definer(4);
SELECT aggcache.invalidate('definer(int)', 4);
SELECT definer(4);
SELECT * FROM how;
SET ROLE admin_owner;
SELECT definer(4);
SELECT * FROM how;
SELECT aggcache.invalidate('definer(int)', 4);
-- a function with an equal body keeps its own
SELECT count(*) FROM items();
SELECT count(*) FROM same();
SELECT aggcache.invalidate('same()');
SELECT count(*) FROM same();
SELECT * FROM how;
SELECT aggcache.invalidate('items()', VARIADIC '{}'::text[]);
-- by name
SELECT count(*) FROM items();
SELECT price('k1') IS NOT NULL;
SELECT aggcache.invalidate_like('%no such%');
SELECT aggcache.invalidate_like('admin.pri%');
SELECT aggcache.invalidate_like('ite_s');
-- a table: with the transaction
SELECT count(*) FROM items();
BEGIN;
SELECT aggcache.invalidate_table('item');
SELECT count(*) FROM items();
SELECT * FROM how;
ROLLBACK;
SELECT count(*) FROM items();
SELECT * FROM how;
SELECT aggcache.invalidate_table('item');
SELECT count(*) FROM items();
SELECT * FROM how;
-- wrong calls
\set VERBOSITY sqlstate
SELECT aggcache.invalidate('price(text,int)', 1, 2, 3);
SELECT aggcache.invalidate('own(int[])', 'x'::text);
SELECT aggcache.invalidate('lower(text)');
SELECT aggcache.invalidate('lower(text)', 'a');
SELECT aggcache.invalidate(0::regprocedure);
SELECT aggcache.invalidate_table('how');
SELECT aggcache.invalidate_table('pg_class');
SELECT aggcache.invalidate_table(0);
SELECT aggcache.invalidate(NULL, 1);
SELECT aggcache.invalidate_all();
SELECT aggcache.reset_stats();
-- not the owner
SET ROLE admin_other;
SELECT aggcache.invalidate('price(text,int)');
SELECT aggcache.invalidate('price(text,int)', 'k1');
SELECT aggcache.invalidate_table('item');
SELECT aggcache.invalidate_like('%');
SELECT aggcache.attach('item');
SELECT aggcache.detach('item');
SELECT aggcache.refresh('items()');
SELECT aggcache.refresh();
\set VERBOSITY default
SELECT aggcache.invalidate('items()');
SELECT aggcache.invalidate_table('item');
SELECT aggcache.attach('item');
\set VERBOSITY terse
-- a superuser may
RESET ROLE;
SELECT aggcache.invalidate_like('admin.%');
SELECT count(*) FROM items();
SELECT aggcache.invalidate_all() >= 1;
SELECT count(*) FROM items();
SELECT * FROM how;

-- detach: uncached at once; attach: cached again; refresh: by key again
SET ROLE admin_owner;
CREATE VIEW state AS
  SELECT d.function::text, f.state, d.granularity, d.key_columns, d.reason
  FROM aggcache.functions f JOIN aggcache.dependencies d USING (function) WHERE d.function::text LIKE 'price%';
SELECT * FROM state;
SELECT aggcache.detach('item');
SELECT * FROM state;
SELECT price('k1');
SELECT * FROM how;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'item'::regclass;
UPDATE item SET price = price + 1 WHERE id = 1;
SELECT aggcache.attach('item');
SELECT * FROM state;
SELECT price('k1');
SELECT * FROM how;
SELECT aggcache.refresh('price(text,int)');
SELECT * FROM state;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'item'::regclass ORDER BY 1;
-- an altered trigger is put right
ALTER TABLE item ENABLE TRIGGER aggcache_track;
SELECT tracked, reason FROM aggcache.tables WHERE relation = 'item'::regclass;
SELECT aggcache.attach('item');
SELECT tracked, reason FROM aggcache.tables WHERE relation = 'item'::regclass;
-- as after a restore: everything the extension knew is gone
RESET ROLE;
SELECT aggcache.detach('item');
DELETE FROM aggcache.dependency WHERE relation = 'item'::regclass;
SET ROLE admin_owner;
SELECT aggcache.refresh();
SELECT * FROM state;
SELECT functions, watches FROM aggcache.tables WHERE relation = 'item'::regclass;
-- what cannot be refreshed is told, and does not stand in the way of the others
SET check_function_bodies = off;
CREATE FUNCTION broken() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM admin.nowhere';
CREATE FUNCTION two() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT 1; SELECT 2';
RESET check_function_bodies;
SELECT aggcache.refresh();
\set VERBOSITY sqlstate
SELECT aggcache.refresh('broken()');
SELECT aggcache.refresh('two()');
SELECT aggcache.refresh('first(anyelement)');
SELECT aggcache.refresh('lower(text)');
-- what cannot be tracked
\set VERBOSITY terse
CREATE TABLE part (id int) PARTITION BY RANGE (id);
CREATE TEMP TABLE short (id int);
CREATE SEQUENCE numbers;
CREATE MATERIALIZED VIEW kept AS SELECT 1;
\set VERBOSITY sqlstate
SELECT aggcache.attach('how');
SELECT aggcache.attach('short');
SELECT aggcache.attach('numbers');
SELECT aggcache.attach('kept');
SELECT aggcache.attach('pg_class');
SELECT aggcache.attach(0);
RESET ROLE;
CREATE FOREIGN DATA WRAPPER admin_wrapper;
CREATE SERVER admin_server FOREIGN DATA WRAPPER admin_wrapper;
CREATE FOREIGN TABLE far (id int) SERVER admin_server;
SELECT aggcache.attach('pg_class');
\set VERBOSITY default
SELECT aggcache.attach('far');
\set VERBOSITY terse
-- TRIGGER suffices to attach
CREATE TABLE lent (id int);
GRANT TRIGGER ON lent TO admin_other;
SET ROLE admin_other;
SELECT aggcache.attach('lent');
SELECT tracked FROM aggcache.tables WHERE relation = 'lent'::regclass;
RESET ROLE;
-- refresh() by a superuser tracks nothing that the owner may not
CREATE TABLE foreign_to_owner (id int);
GRANT SELECT ON foreign_to_owner TO admin_owner;
SET ROLE admin_owner;
CREATE FUNCTION borrowed() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM admin.foreign_to_owner';
SELECT state FROM aggcache.functions WHERE function = 'borrowed()'::regprocedure;
RESET ROLE;
SELECT aggcache.refresh('borrowed()');
SELECT state FROM aggcache.functions WHERE function = 'borrowed()'::regprocedure;

SELECT aggcache.reset_stats();
SELECT sum(hits + misses + stores) FROM aggcache.stats WHERE function::text LIKE 'price%';
DROP FOREIGN DATA WRAPPER admin_wrapper CASCADE;
DROP SCHEMA admin CASCADE;
DROP TABLE short;
DROP ROLE admin_owner, admin_other;
