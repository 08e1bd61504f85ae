-- Statements about a table that change no answer leave results valid; those that change who may read it, or the order in
-- which rows come, end what depends on that; all others end everything. Answers are compared with the plain ones.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA concern;
SET search_path = concern;
-- an order that is left open is that of the table, whatever ANALYZE finds
SET enable_seqscan = on;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_bitmapscan = off;
CREATE ROLE concern_reader;
GRANT USAGE ON SCHEMA concern TO concern_reader;
CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL, note text, unused int);
INSERT INTO task SELECT i, 1 + i % 3, 100 - i, 'n' || i, 0 FROM generate_series(1, 30) i;
CREATE INDEX task_hours_idx ON task (hours);
CREATE TABLE part (id int, dept int, hours int) PARTITION BY LIST (dept);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
INSERT INTO part SELECT i, 1, 100 - i FROM generate_series(1, 9) i;
CREATE INDEX part_1_hours_idx ON part_1 (hours);
CREATE FUNCTION total(d int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(hours) FROM concern.task WHERE dept = d';
CREATE FUNCTION in_order(d int) RETURNS int[] LANGUAGE cached_sql STABLE
  AS 'SELECT array_agg(hours) FROM concern.task WHERE dept = d';
CREATE FUNCTION part_in_order(d int) RETURNS int[] LANGUAGE cached_sql STABLE
  AS 'SELECT array_agg(hours) FROM concern.part WHERE dept = d';
CREATE FUNCTION first_of(d int) RETURNS int LANGUAGE plpgsql STABLE
  AS 'BEGIN RETURN (SELECT hours FROM concern.task WHERE dept = d LIMIT 1); END';
CREATE FUNCTION hidden(d int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = 'concern.task'
  AS 'SELECT sum(concern.first_of(dept)) FROM concern.task WHERE dept = d';
-- what was no hit
CREATE FUNCTION probe(OUT missed text, OUT wrong boolean) LANGUAGE plpgsql AS $$
DECLARE call text; cached text; plain text; outcome text;
BEGIN
  missed = ''; wrong = false;
  FOREACH call IN ARRAY ARRAY['total', 'in_order', 'part_in_order', 'hidden'] LOOP
    EXECUTE format('SELECT %I(1)::text', call) INTO cached;
    SELECT result INTO outcome FROM aggcache.last_call();
    EXECUTE replace((SELECT prosrc FROM pg_proc WHERE oid = (call || '(int)')::regprocedure), '= d', '= 1') INTO plain;
    IF outcome <> 'hit' THEN missed = concat_ws(' ', nullif(missed, ''), call); END IF;
    wrong = wrong OR cached IS DISTINCT FROM plain;
  END LOOP;
END $$;
SELECT * FROM probe();
SELECT * FROM probe();
-- an index can change the plan, and so the order
CREATE INDEX task_note_idx ON task (note);
CREATE INDEX CONCURRENTLY task_dept_idx ON task USING hash (dept);
CREATE INDEX ON task USING brin (id) WHERE hours > 0;
SELECT * FROM probe();
-- nothing
REINDEX INDEX task_note_idx;
REINDEX TABLE task;
REINDEX TABLE CONCURRENTLY task;
COMMENT ON TABLE task IS 'what is done';
COMMENT ON COLUMN task.note IS 'a note';
ALTER TABLE task SET (fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off);
ALTER TABLE task RESET (fillfactor);
ALTER TABLE task ALTER note SET STATISTICS 500, ALTER note SET (n_distinct = 5);
ALTER INDEX task_note_idx SET (fillfactor = 50);
ALTER TABLE task CLUSTER ON task_hours_idx;
ANALYZE task;
VACUUM task;
VACUUM ANALYZE;
BEGIN; ANALYZE task; COMMIT;
SELECT * FROM probe();
BEGIN; CREATE INDEX ON task (unused); ALTER TABLE task ALTER note SET STATISTICS 100; COMMIT;
SELECT * FROM probe();
-- order
CLUSTER task;
SELECT * FROM probe();
CLUSTER task USING task_pkey;
SELECT * FROM probe();
UPDATE task SET unused = 1 WHERE id % 2 = 0;
SELECT * FROM probe();
VACUUM (FULL, ANALYZE) task;
SELECT * FROM probe();
CLUSTER part_1 USING part_1_hours_idx;
SELECT * FROM probe();
-- privileges
GRANT SELECT ON task TO concern_reader;
SELECT * FROM probe();
SET ROLE concern_reader;
SELECT concern.total(1);
SELECT result FROM aggcache.last_call();
RESET ROLE;
REVOKE SELECT ON task FROM concern_reader;
SET ROLE concern_reader;
SELECT concern.total(1);
RESET ROLE;
GRANT SELECT (dept, hours) ON task TO concern_reader;
SET ROLE concern_reader;
SELECT concern.total(1);
RESET ROLE;
SELECT * FROM probe();
-- rolled back
BEGIN; CLUSTER task USING task_hours_idx; SELECT * FROM probe(); ROLLBACK;
SELECT * FROM probe();
-- all
CREATE UNIQUE INDEX task_unique ON task (id);
SELECT * FROM probe();
CREATE INDEX task_gin_idx ON task USING gin (to_tsvector('simple', note));
SELECT * FROM probe();
DROP INDEX task_unique;
SELECT * FROM probe();
ALTER TABLE task ALTER note SET STATISTICS 200, ADD COLUMN more int;
SELECT * FROM probe();
ALTER TABLE task ENABLE ROW LEVEL SECURITY;
SELECT * FROM probe();
-- and together with what changes nothing, in one transaction or within one statement
BEGIN; ALTER TABLE task ALTER hours TYPE bigint; CREATE INDEX ON task (more); COMMIT;
SELECT * FROM probe();
BEGIN; CREATE INDEX ON task (id, more); TRUNCATE task; CREATE INDEX ON task (id, dept); COMMIT;
SELECT * FROM probe();
INSERT INTO task SELECT i, 1 + i % 3, i, 'n' || i, 0 FROM generate_series(1, 30) i;
CREATE TABLE other (a int);
CREATE FUNCTION do_truncate() RETURNS void LANGUAGE plpgsql AS 'BEGIN TRUNCATE concern.task; END';
CREATE FUNCTION truncates(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
  AS 'BEGIN PERFORM concern.do_truncate(); RETURN $1; END';
INSERT INTO other VALUES (1);
SELECT * FROM probe();
CREATE INDEX ON other (truncates(a));
SELECT * FROM probe();
CREATE FUNCTION adds() RETURNS event_trigger LANGUAGE plpgsql
  AS $$ BEGIN IF tg_tag = 'COMMENT' THEN ALTER TABLE concern.task ADD COLUMN late int DEFAULT 5; END IF; END $$;
INSERT INTO task SELECT i, 1 + i % 3, i, 'n' || i, 0 FROM generate_series(101, 130) i;
SELECT * FROM probe();
CREATE EVENT TRIGGER adds ON ddl_command_end EXECUTE FUNCTION adds();
COMMENT ON TABLE task IS 'changed';
DROP EVENT TRIGGER adds;
SELECT * FROM probe();
DROP SCHEMA concern CASCADE;
DROP ROLE concern_reader;
