-- Partitioned tables and inheritance: writes through the root and to a leaf, rows that move, partitions that come and go.
CREATE SCHEMA partitions;
SET search_path = partitions;
SET client_min_messages = warning;
\set ECHO none
\i sql/include/twin.sql
\set ECHO all
CREATE TABLE event (id int, region text, at date, size int, note text) PARTITION BY RANGE (at);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
-- columns in another order
CREATE TABLE event_2 (note text, size int, gone int, region text, at date, id int);
ALTER TABLE event_2 DROP COLUMN gone;
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM ('2026-03-01') TO ('2026-04-01') PARTITION BY LIST (region);
CREATE TABLE event_3_eu PARTITION OF event_3 FOR VALUES IN ('eu');
CREATE TABLE event_3_other PARTITION OF event_3 DEFAULT;
INSERT INTO event SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, '2026-01-01'::date + i, i FROM generate_series(0, 88) i;
SELECT FROM twin('region', 'r text', 'bigint', 'SELECT sum(size) FROM event WHERE region = r');
SELECT FROM twin('month', 'f date, t date', 'bigint', 'SELECT sum(size) FROM event WHERE at >= f AND at < t');
SELECT FROM twin('total', '', 'bigint', 'SELECT sum(size) FROM event');
SELECT FROM twin('march', '', 'bigint', $$SELECT sum(size + hashtext(note)) FROM event WHERE at >= '2026-03-01'$$);
SELECT FROM twin('leaf', '', 'bigint', 'SELECT sum(size) FROM event_2');
SELECT FROM twin('leaf_region', 'r text', 'bigint', 'SELECT sum(size) FROM event_2 WHERE region = r');
SELECT FROM twin('root_only', '', 'bigint', 'SELECT count(*) FROM ONLY event');
SELECT function, relation, tracked, granularity FROM aggcache.dependencies WHERE function::text ~ '^cached_' ORDER BY function::text, relation::text;
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname ~ 'aggcache' AND tgrelid::regclass::text !~ '[.]' GROUP BY 1 ORDER BY 1;
INSERT INTO call (call) VALUES ($$region('eu')$$), ($$region('us')$$), ($$month('2026-01-01', '2026-02-01')$$), ($$month('2026-02-01', '2026-03-01')$$),
  ($$month('2026-03-01', '2026-04-01')$$), ('total()'), ('march()'), ('leaf()'), ($$leaf_region('eu')$$), ('root_only()');
SELECT * FROM probe();
SELECT * FROM probe();
-- through the root, to leaves, and to a table in between
INSERT INTO event VALUES (1001, 'eu', '2026-01-10', 7);
SELECT * FROM probe();
INSERT INTO event_2 VALUES ('x', 7, 'us', '2026-02-10', 1002);
SELECT * FROM probe();
INSERT INTO event_3 VALUES (1003, 'us', '2026-03-10', 7);
SELECT * FROM probe();
UPDATE event_3_other SET note = 'only march reads this' WHERE id = 1003;
SELECT * FROM probe();
UPDATE event SET note = 'nobody reads this' WHERE id = 1001;
SELECT * FROM probe();
-- a row moves from one partition to another
UPDATE event SET at = '2026-02-20' WHERE id = 1001;
SELECT * FROM probe();
UPDATE event SET region = 'eu' WHERE id = 1003;
SELECT * FROM probe();
DELETE FROM event WHERE id > 1000;
SELECT * FROM probe();
-- partitions come and go
CREATE TABLE event_4 PARTITION OF event FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
SELECT * FROM probe();
INSERT INTO event VALUES (1001, 'eu', '2026-04-10', 7);
SELECT * FROM probe();
TRUNCATE event_4;
SELECT * FROM probe();
CREATE TABLE event_5 (LIKE event);
INSERT INTO event_5 VALUES (1005, 'us', '2026-05-05', 50);
ALTER TABLE event ATTACH PARTITION event_5 FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
SELECT * FROM probe();
INSERT INTO event_5 VALUES (1005, 'us', '2026-05-06', 50);
SELECT * FROM probe();
ALTER TABLE event DETACH PARTITION event_5;
SELECT * FROM probe();
INSERT INTO event_5 VALUES (1005, 'us', '2026-05-06', 50);
SELECT * FROM probe();
ALTER TABLE event DETACH PARTITION event_4 CONCURRENTLY;
SELECT * FROM probe();
-- a leaf in the middle, of the table in the middle
ALTER TABLE event_3 DETACH PARTITION event_3_eu;
SELECT * FROM probe();
ALTER TABLE event_3 ATTACH PARTITION event_3_eu FOR VALUES IN ('eu');
SELECT * FROM probe();
INSERT INTO event_3_eu VALUES (1006, 'eu', '2026-03-05', 50);
SELECT * FROM probe();
DROP TABLE event_3_eu;
SELECT * FROM probe();
TRUNCATE event_2;
SELECT * FROM probe();
-- the leaf that a function names keeps its triggers when it is detached
ALTER TABLE event DETACH PARTITION event_2;
SELECT * FROM probe();
INSERT INTO event_2 VALUES ('x', 7, 'eu', '2026-02-10', 1002);
SELECT * FROM probe();
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT * FROM probe();
INSERT INTO event_2 VALUES ('x', 7, 'eu', '2026-02-11', 1002);
SELECT * FROM probe();
-- a leaf whose triggers are disabled makes the whole uncached, until they are back
ALTER TABLE event_1 DISABLE TRIGGER USER;
SELECT * FROM probe();
SELECT DISTINCT reason FROM aggcache.functions WHERE state = 'uncached' AND function::text ~ '^cached_';
ALTER TABLE event_1 ENABLE TRIGGER USER;
SELECT * FROM probe();
ALTER TABLE event_1 DISABLE TRIGGER USER;
SELECT aggcache.attach('event');
SELECT * FROM probe();
SELECT tgrelid::regclass, tgenabled FROM pg_trigger WHERE tgname ~ 'aggcache' AND tgrelid::regclass::text !~ '[.]' ORDER BY 1;
TRUNCATE call;
DROP FUNCTION cached_region, cached_month, cached_total, cached_march, cached_root_only;
-- what was put on by hand goes by hand; partitions that functions name keep tracking of their own
SELECT aggcache.detach('event');
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname ~ 'aggcache' AND tgrelid::regclass::text !~ '[.]' GROUP BY 1 ORDER BY 1;
INSERT INTO call (call) VALUES ('leaf()');
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO event_2 VALUES ('x', 7, 'eu', '2026-02-11', 1002);
SELECT * FROM probe();
DROP FUNCTION cached_leaf, cached_leaf_region;
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname ~ 'aggcache' AND tgrelid::regclass::text !~ '[.]' GROUP BY 1 ORDER BY 1;
TRUNCATE call;

-- More partitions than count each for itself: writes have to reach what is above them
CREATE TABLE many (k int, p int, size int) PARTITION BY LIST (p);
DO $$ BEGIN
  FOR i IN 1 .. 20 LOOP EXECUTE format('CREATE TABLE many_%s PARTITION OF many FOR VALUES IN (%s)', i, i); END LOOP;
END $$;
INSERT INTO many SELECT i % 30, 1 + i % 20, i FROM generate_series(1, 300) i;
SELECT FROM twin('whole', '', 'SETOF many', 'SELECT * FROM many');
SELECT FROM twin('many', 'k int', 'bigint', 'SELECT sum(size) FROM many WHERE k = $1');
SELECT relation, granularity, tags FROM aggcache.explain('cached_whole()', VARIADIC '{}'::text[]);
INSERT INTO call (call) VALUES ('whole()'), ('many(1)'), ('many(25)');
SELECT length(invalidated) > 0 AS cold, wrong FROM probe();
SELECT * FROM probe();
UPDATE many_7 SET size = size + 1 WHERE k = 1 OR size = (SELECT min(size) FROM many_7);
SELECT * FROM probe();
INSERT INTO many_3 VALUES (1, 3, 5);
SELECT * FROM probe();
TRUNCATE many_9;
SELECT * FROM probe();
-- beyond the threshold keys are no longer told apart
SET aggcache.bulk_threshold = 5;
INSERT INTO many_5 SELECT i, 5, 1000 FROM generate_series(10, 25) i;
SELECT * FROM probe();
RESET aggcache.bulk_threshold;
DROP FUNCTION cached_whole, cached_many;
TRUNCATE call;

-- Foreign tables among the partitions change without triggers
CREATE EXTENSION file_fdw;
CREATE SERVER dummy FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE event_6 PARTITION OF event FOR VALUES FROM ('2026-06-01') TO ('2026-07-01') SERVER dummy OPTIONS (filename '/dev/null');
CREATE FUNCTION with_foreign() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM event';
SELECT state, reason FROM aggcache.functions WHERE function = 'with_foreign()'::regprocedure;
DROP FUNCTION with_foreign();
DROP EXTENSION file_fdw CASCADE;

-- Inheritance
CREATE TABLE parent (id int, kind text, size int);
CREATE TABLE child (extra int) INHERITS (parent);
CREATE TABLE grandchild () INHERITS (child);
INSERT INTO parent SELECT i, 'k' || i % 2, i FROM generate_series(1, 10) i;
INSERT INTO child SELECT i, 'k' || i % 2, i, i FROM generate_series(11, 20) i;
SELECT FROM twin('kind', 'k text', 'bigint', 'SELECT sum(size) FROM parent WHERE kind = k');
SELECT FROM twin('only', 'k text', 'bigint', 'SELECT sum(size) FROM ONLY parent WHERE kind = k');
INSERT INTO call (call) VALUES ($$kind('k0')$$), ($$kind('k1')$$), ($$only('k0')$$), ($$only('k1')$$);
SELECT * FROM probe();
SELECT * FROM probe();
INSERT INTO child VALUES (100, 'k0', 1, 1);
SELECT * FROM probe();
UPDATE child SET extra = 2 WHERE id = 100;
SELECT * FROM probe();
UPDATE parent SET size = size + 1 WHERE kind = 'k1';
SELECT * FROM probe();
INSERT INTO grandchild VALUES (100, 'k1', 1, 1);
SELECT * FROM probe();
-- a new child is tracked from the start, and one that is attached later, with its own children
CREATE TABLE child_2 () INHERITS (parent);
SELECT * FROM probe();
INSERT INTO child_2 VALUES (100, 'k1', 1);
SELECT * FROM probe();
CREATE TABLE child_3 (kind text, id int, size int);
CREATE TABLE child_3_child () INHERITS (child_3);
ALTER TABLE child_3 INHERIT parent;
SELECT * FROM probe();
INSERT INTO child_3_child VALUES ('k0', 100, 1);
SELECT * FROM probe();
TRUNCATE grandchild;
SELECT * FROM probe();
ALTER TABLE child_3 NO INHERIT parent;
SELECT * FROM probe();
DROP TABLE child_2;
SELECT * FROM probe();
DROP FUNCTION cached_kind, cached_only;
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname ~ 'aggcache' AND tgrelid::regclass::text !~ '[.]' GROUP BY 1 ORDER BY 1;
DROP SCHEMA partitions CASCADE;
