-- A trigger of ours that was altered so that it misses some writes makes the table untracked, in whichever way it
-- misses them.
CREATE SCHEMA altered_triggers;
SET search_path = altered_triggers;
SET client_min_messages = warning;
CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL);
INSERT INTO task SELECT i, 1 + i % 3, i FROM generate_series(1, 9) i;
CREATE FUNCTION cached_hours() RETURNS bigint LANGUAGE cached_sql STABLE
AS 'SELECT sum(hours) FROM altered_triggers.task WHERE dept = 1';
CREATE VIEW answers AS SELECT cached_hours() = sum(hours) AS same FROM task WHERE dept = 1;

-- of some columns
DROP TRIGGER aggcache_track ON task;
CREATE TRIGGER aggcache_track AFTER INSERT OR UPDATE OF id OR DELETE ON task
  FOR EACH ROW EXECUTE FUNCTION aggcache.track_row();
ALTER TABLE task ENABLE ALWAYS TRIGGER aggcache_track;
SELECT * FROM answers;
SELECT result, reason FROM aggcache.last_call();
UPDATE task SET hours = hours + 1;
SELECT * FROM answers;

-- under a condition
DROP TRIGGER aggcache_track ON task;
CREATE TRIGGER aggcache_track AFTER INSERT OR UPDATE OR DELETE ON task
  FOR EACH ROW WHEN (current_user = 'nobody') EXECUTE FUNCTION aggcache.track_row();
ALTER TABLE task ENABLE ALWAYS TRIGGER aggcache_track;
SELECT * FROM answers;
SELECT result, reason FROM aggcache.last_call();
UPDATE task SET hours = hours + 1;
SELECT * FROM answers;

-- of some kinds of writes
DROP TRIGGER aggcache_track ON task;
CREATE TRIGGER aggcache_track AFTER INSERT OR DELETE ON task
  FOR EACH ROW EXECUTE FUNCTION aggcache.track_row();
ALTER TABLE task ENABLE ALWAYS TRIGGER aggcache_track;
SELECT * FROM answers;
SELECT result, reason FROM aggcache.last_call();
UPDATE task SET hours = hours + 1;
SELECT * FROM answers;

-- for the origin only
DROP TRIGGER aggcache_track ON task;
CREATE TRIGGER aggcache_track AFTER INSERT OR UPDATE OR DELETE ON task
  FOR EACH ROW EXECUTE FUNCTION aggcache.track_row();
SELECT * FROM answers;
SELECT result, reason FROM aggcache.last_call();
SET session_replication_role = replica;
UPDATE task SET hours = hours + 1;
RESET session_replication_role;
SELECT * FROM answers;

-- put right
SELECT aggcache.attach('task');
SELECT * FROM answers;
UPDATE task SET hours = hours + 1;
SELECT * FROM answers;
SELECT result FROM aggcache.last_call();
SELECT * FROM answers;
SELECT result FROM aggcache.last_call();

-- turned off and on again as pg_restore does: they fire always, as before
ALTER TABLE task DISABLE TRIGGER ALL;
SELECT * FROM answers;
ALTER TABLE task ENABLE TRIGGER ALL;
SELECT * FROM answers;
SELECT * FROM answers;
SELECT result FROM aggcache.last_call();
SET session_replication_role = replica;
UPDATE task SET hours = hours + 1;
RESET session_replication_role;
SELECT * FROM answers;

-- TRUNCATE has a trigger of its own
ALTER TABLE task ENABLE REPLICA TRIGGER aggcache_track_truncate;
SELECT * FROM answers;
SELECT result, reason FROM aggcache.last_call();

DROP SCHEMA altered_triggers CASCADE;
