-- Whatever keeps a function from being cached, all who are asked say the same: the call itself, the two explain(), the
-- view of functions, and health(). What concerns one call only (its arguments, the transaction's own writes, a caller
-- that takes rows one by one) shows with calls only.
SET client_min_messages = warning;
CREATE SCHEMA decided;
SET search_path = decided, public;
CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, tags int[] NOT NULL DEFAULT '{}', at timestamptz);
INSERT INTO task SELECT i, i % 3 FROM generate_series(1, 9) i;
CREATE INDEX ON task USING gin (tags);
CREATE TABLE other (LIKE task INCLUDING ALL);
CREATE FUNCTION secret(int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1; END';

CREATE FUNCTION asked(what text) RETURNS TABLE (obstacle text, reason text, alike boolean, healthy boolean)
  LANGUAGE plpgsql AS $$
DECLARE
  name text := 'f(int)';
  said text[] := '{}';
BEGIN
  PERFORM f(1);
  said := said || (SELECT l.reason FROM aggcache.last_call() l WHERE l.result = 'uncached');
  said := said || (SELECT substring(e.line FROM '^function \S+ is not cached: (.*)')
                   FROM aggcache.explain(name::regprocedure) AS e(line) LIMIT 1);
  said := said || (SELECT substring(e.words FROM '^not cached: (.*)') FROM aggcache.explain(name::regprocedure, 1) e
                   WHERE e.granularity = 'none');
  said := said || (SELECT v.reason FROM aggcache.functions v
                   WHERE v.function = name::regprocedure AND v.state = 'uncached');
  RETURN QUERY SELECT what, said[1], cardinality(said) = 4 AND said = array_fill(said[1], ARRAY[4]),
                      (SELECT h.ok FROM aggcache.health() h WHERE h."check" = 'functions');
END $$;
CREATE FUNCTION made(body text, options text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DROP FUNCTION IF EXISTS f(int);
  EXECUTE format('CREATE FUNCTION f(d int) RETURNS bigint LANGUAGE cached_sql STABLE %s AS %L', options, body);
END $$;

SELECT made('SELECT count(*) FROM task WHERE dept = d');
SELECT * FROM asked('none');

-- of the session
SET aggcache.enabled = off;
SELECT * FROM asked('disabled');
RESET aggcache.enabled;

-- of settings
SELECT made('SELECT count(*) FROM task WHERE at < now() AND dept = d', 'SET aggcache.ttl = ''1h''');
SELECT * FROM asked('clock, ttl of the function');
ALTER FUNCTION f RESET aggcache.ttl;
SELECT * FROM asked('clock, no ttl');
SET aggcache.ttl = '1h';
SELECT * FROM asked('clock, ttl of the session');
RESET aggcache.ttl;
SELECT made('SELECT count(*) FROM task WHERE tags @> ARRAY[d]');
SET gin_fuzzy_search_limit = 10;
SELECT * FROM asked('fuzzy GIN');
RESET gin_fuzzy_search_limit;
SELECT * FROM asked('exact GIN');

-- of tables
SELECT made('SELECT count(*) FROM task WHERE dept = d');
ALTER TABLE task DISABLE TRIGGER aggcache_track;
SELECT * FROM asked('trigger disabled');
ALTER TABLE task ENABLE TRIGGER aggcache_track;
SELECT * FROM asked('trigger altered');
ALTER TABLE task ENABLE ALWAYS TRIGGER aggcache_track;
SELECT * FROM asked('trigger as it was');
DROP TRIGGER aggcache_track ON task;
SELECT * FROM asked('no trigger');
SELECT made('SELECT count(*) FROM pg_class WHERE relnatts = d');
SELECT * FROM asked('system catalog');
CREATE SEQUENCE numbers;
SELECT made('SELECT sum(last_value)::bigint FROM numbers WHERE d > 0');
SELECT * FROM asked('sequence');

-- of the function
SELECT made('SELECT count(*) FROM task WHERE dept = d');
ALTER FUNCTION f VOLATILE;
SELECT * FROM asked('volatile');
SELECT made('SELECT count(*) FROM task WHERE secret(dept) = d', 'SET aggcache.depends_on = ''''');
SELECT * FROM asked('opaque, stated');
ALTER FUNCTION f RESET aggcache.depends_on;
SELECT * FROM asked('opaque');
SELECT made('SELECT count(*) FROM task WHERE secret(dept) = d', 'SET aggcache.depends_on = ''other''');
DROP TABLE other;
SELECT * FROM asked('stated table dropped');
CREATE FUNCTION called(d int) RETURNS bigint LANGUAGE cached_sql STABLE AS
  'SELECT count(*) FROM task WHERE at < now() AND dept = d' SET aggcache.ttl = '1h';
SELECT made('SELECT sum(called(dept)) FROM task WHERE dept = d');
SELECT * FROM asked('called function');
ALTER FUNCTION called RESET aggcache.ttl;
SELECT * FROM asked('called function, no ttl');
ALTER FUNCTION called SET aggcache.enabled = off;
SELECT * FROM asked('called function, disabled');

-- of the session and the function; last, as it does not go away
SELECT made('SELECT count(*) FROM task WHERE secret(dept) = d', 'SET aggcache.depends_on = ''''');
CREATE TEMP TABLE own ();
SELECT * FROM asked('temporary objects');

-- an error of a function is about the function, whatever its class: it is raised only if the query comes to it
CREATE FUNCTION failing() RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN RAISE 'no answer' USING ERRCODE = '57000'; END $$;
SELECT made('SELECT count(*) FROM task WHERE CASE WHEN d > 0 THEN dept = failing() ELSE true END');
SELECT f(0);
SELECT result, reason FROM aggcache.last_call();
SELECT words FROM aggcache.explain('f(int)'::regprocedure, 0);
SELECT f(1);

-- polymorphic ones are known at a call only, but for what keeps all from being cached
CREATE FUNCTION any_count(anyelement) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM task';
SELECT state, reason FROM aggcache.functions WHERE function = 'any_count(anyelement)'::regprocedure;
SELECT * FROM aggcache.explain('any_count(anyelement)');
SET aggcache.enabled = off;
SELECT state, reason FROM aggcache.functions WHERE function = 'any_count(anyelement)'::regprocedure;
SELECT * FROM aggcache.explain('any_count(anyelement)');
RESET aggcache.enabled;

DROP SCHEMA decided CASCADE;
