# The query shapes and the write shapes of docs/granularity.md on one small schema, and which of them go into which
# table of the document. Others, on a schema of their own, are in narrowed_shapes.pm.
package shapes;

use strict;
use warnings;
use utf8;

# What every write is undone by: these tables are filled anew from a copy.
our @TABLES = qw(department task comment archive event base ticket message);

our $SCHEMA = q{
CREATE TABLE department (id int PRIMARY KEY, name text, head text, budget numeric);
CREATE TABLE task (
  id int PRIMARY KEY, department_id int, status text, hours numeric, owner text, parent_id int, due date,
  created timestamptz, remark text);
CREATE TABLE comment (task_id int, body text, likes int);
CREATE TABLE archive (LIKE task);
CREATE VIEW open_task AS SELECT * FROM task WHERE status = 'open';
CREATE MATERIALIZED VIEW summary AS SELECT department_id, sum(hours) AS hours FROM task GROUP BY 1;
CREATE TABLE event (id int, region text, at date, size int, remark text) PARTITION BY RANGE (at);
CREATE TABLE event_jan PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE event_feb PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE event_mar PARTITION OF event FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE base (id int, kind text, amount int);
CREATE TABLE child (extra text) INHERITS (base);
CREATE TABLE ticket (id int, tenant int, amount int);
ALTER TABLE ticket ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ticket USING (tenant = current_setting('app.tenant')::int);
CREATE TABLE message (id bigint, sent bigint, title text, code text COLLATE "C", size int);
};

# Departments 1 to 3 have tasks: those with an id up to 60 from January to March 2026, the others in May.
our $DATA = q{
INSERT INTO department SELECT i, 'name ' || i, 'head ' || i, 100 FROM generate_series(1, 4) i;
INSERT INTO task SELECT i, 1 + i % 3, (ARRAY['open', 'done', 'waiting'])[1 + i / 3 % 3], 1 + i % 8,
    (ARRAY['Ann', 'Bob', 'Cem'])[1 + i % 3], CASE WHEN i % 3 = 2 THEN 5 END,
    date '2026-01-01' + i + CASE WHEN i > 60 THEN 60 ELSE 0 END,
    timestamptz '2026-01-01 12:00Z' + (i + CASE WHEN i > 60 THEN 60 ELSE 0 END) * interval '1 day', 'remark'
  FROM generate_series(1, 90) i;
INSERT INTO comment SELECT 1 + i % 80, 'body ' || i, 0 FROM generate_series(1, 180) i;
INSERT INTO archive SELECT id + 1000, department_id, status, hours, owner, parent_id, due, created, remark FROM task;
INSERT INTO event SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, date '2026-01-01' + i, i
  FROM generate_series(0, 88) i;
INSERT INTO base SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, i FROM generate_series(1, 20) i;
INSERT INTO child SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, i FROM generate_series(21, 40) i;
INSERT INTO ticket SELECT i, 1 + i % 3, i FROM generate_series(1, 30) i;
INSERT INTO message SELECT (ms - 1288834974657) << 22, ms, CASE WHEN i % 2 = 0 THEN 'task ' ELSE 'note ' END || i,
    CASE WHEN i % 3 = 0 THEN 'B-' ELSE 'A-' END || i, i
  FROM generate_series(0, 58) i, LATERAL (SELECT 1767225600000 + i * 86400000::bigint) AS day (ms);
};

# [name, what it is, arguments, body, the call's arguments; type of the rows if not numeric, role that creates the
# function if not the superuser].
our @ONE_TABLE = (
	['key', 'equality', 'd int', 'SELECT sum(hours) FROM task WHERE department_id = d', '1'],
	['two_keys', 'two equalities', 'd int, s text',
		'SELECT sum(hours) FROM task WHERE department_id = d AND status = s', q{1, 'open'}],
	['in_list', '`IN` of arguments', 'a int, b int', 'SELECT sum(hours) FROM task WHERE department_id IN (a, b)', '1, 2'],
	['any_array', '`= ANY`', 'ds int[]', 'SELECT sum(hours) FROM task WHERE department_id = ANY (ds)', q{'{1,2}'}],
	['constant_key', 'equality with a constant', '', 'SELECT sum(hours) FROM task WHERE department_id = 1', ''],
	['is_null', '`IS NULL`', '', 'SELECT sum(hours) FROM task WHERE parent_id IS NULL', ''],
	['not_distinct', '`IS NOT DISTINCT FROM` NULL', 'p int',
		'SELECT sum(hours) FROM task WHERE parent_id IS NOT DISTINCT FROM p', 'NULL'],
	['optional_given', 'optional argument, given', 'd int',
		'SELECT sum(hours) FROM task WHERE department_id = d OR d IS NULL', '1'],
	['optional_null', 'optional argument, NULL', 'd int',
		'SELECT sum(hours) FROM task WHERE department_id = d OR d IS NULL', 'NULL'],
	['month', 'range of dates', 'f date, t date', 'SELECT sum(hours) FROM task WHERE due >= f AND due < t',
		q{'2026-01-01', '2026-02-01'}],
	['until', 'range with an open end', 't date', 'SELECT sum(hours) FROM task WHERE due < t', q{'2026-02-01'}],
	['key_month', 'equality and range', 'd int, f date, t date',
		'SELECT sum(hours) FROM task WHERE department_id = d AND due BETWEEN f AND t', q{1, '2026-01-01', '2026-01-31'}],
	['timestamps', 'range of timestamps', 'f timestamptz, t timestamptz',
		'SELECT sum(hours) FROM task WHERE created >= f AND created < t', q{'2026-01-01 00:00Z', '2026-02-01 00:00Z'}],
	['truncated', '`date_trunc(column) = …`', 'm timestamptz',
		q{SELECT sum(hours) FROM task WHERE date_trunc('month', created) = m}, q{'2026-01-01 00:00Z'}],
	['open', 'constant condition', '', q{SELECT sum(hours) FROM task WHERE status = 'open'}, ''],
	['key_open', 'equality and constant condition', 'd int',
		q{SELECT sum(hours) FROM task WHERE department_id = d AND status = 'open'}, '1'],
	['view', 'view with a constant condition', 'd int', 'SELECT sum(hours) FROM open_task WHERE department_id = d', '1'],
	['either', '`OR` of two columns', 'd int, p int',
		'SELECT sum(hours) FROM task WHERE department_id = d OR parent_id = p', '1, 6'],
	['unequal', '`<>`', 'd int', 'SELECT sum(hours) FROM task WHERE department_id <> d', '3'],
	['cross_type', 'equality of int with bigint', 'd bigint', 'SELECT sum(hours) FROM task WHERE department_id = d', '1'],
	['expression', 'equality of an expression', 'o text', 'SELECT sum(hours) FROM task WHERE lower(owner) = o', q{'ann'}],
	['like', '`LIKE`', 'o text', 'SELECT sum(hours) FROM task WHERE owner LIKE o', q{'A%'}],
	['total', 'aggregate of the whole table', '', 'SELECT sum(hours) FROM task', ''],
	['count', '`count(*)` of the whole table', '', 'SELECT count(*) FROM task', ''],
	['count_key', '`count(*)` by key', 'd int', 'SELECT count(*) FROM task WHERE department_id = d', '1'],
	['all_columns', 'all columns by key', 'd int', 'SELECT * FROM task WHERE department_id = d', '1', 'task'],
	['group_by', '`GROUP BY` the key', '',
		q{SELECT department_id || ':' || sum(hours) FROM task GROUP BY department_id}, '', 'text'],
	['distinct', '`DISTINCT`', 'd int', 'SELECT DISTINCT status FROM task WHERE department_id = d', '1', 'text'],
	['limit', '`ORDER BY … LIMIT`', 'd int', 'SELECT id FROM task WHERE department_id = d ORDER BY id DESC LIMIT 3', '1'],
	['window', 'window function', 'd int',
		q{SELECT id || ':' || rank() OVER (ORDER BY hours, id) FROM task WHERE department_id = d}, '1', 'text'],
	['sorted', '`array_agg`, sorted by a unique column', 'd int',
		'SELECT array_agg(hours ORDER BY id) FROM task WHERE department_id = d', '1', 'numeric[]'],
	['unsorted', '`array_agg`, unsorted', 'd int', 'SELECT array_agg(hours) FROM task WHERE department_id = d', '1',
		'numeric[]'],
	['ties', '`row_number()` over ties', 'd int',
		q{SELECT id || ':' || row_number() OVER (ORDER BY status) FROM task WHERE department_id = d}, '1', 'text'],
	['limit_ties', '`ORDER BY … LIMIT`, with ties', 'd int',
		'SELECT id FROM task WHERE department_id = d ORDER BY status LIMIT 3', '1'],
	['cte', 'CTE, materialized', 'd int',
		'WITH mine AS MATERIALIZED (SELECT hours FROM task WHERE department_id = d) SELECT sum(hours) FROM mine', '1'],
	['subquery', 'sub-select', 'd int', 'SELECT count(*) FROM task WHERE department_id = d '
		. 'AND hours > (SELECT avg(hours) FROM task WHERE department_id = d)', '1'],
);
our @NUMBERS_AND_TEXTS = (
	['milliseconds', 'range of milliseconds since 1970', 'f bigint, t bigint',
		'SELECT sum(size) FROM message WHERE sent >= f AND sent < t', '1767225600000, 1769904000000'],
	['flakes', 'range of ids that begin with a time', 'f bigint, t bigint',
		'SELECT sum(size) FROM message WHERE id >= f AND id < t', '2006515713438646272, 2017749737272246272'],
	['like_prefix', '`LIKE`, beginning with an argument', 'b text',
		q{SELECT sum(size) FROM message WHERE title LIKE b || ' 1%'}, q{'task'}],
	['like_pattern', '`LIKE` an argument', 'p text', 'SELECT sum(size) FROM message WHERE title LIKE p', q{'task%'}],
	['like_inner', '`LIKE` an argument that begins with `%`', 'p text',
		'SELECT sum(size) FROM message WHERE title LIKE p', q{'%ask 1%'}],
	['starts', '`^@`', 'b text', 'SELECT sum(size) FROM message WHERE title ^@ b', q{'task'}],
	['regex', '`~` with a pattern that begins with `^`', 'p text', 'SELECT sum(size) FROM message WHERE title ~ p',
		q{'^task'}],
	['texts', 'range of texts, `COLLATE "C"`', 'f text, t text',
		'SELECT sum(size) FROM message WHERE code >= f AND code < t', q{'A-1', 'A-3'}],
	['texts_sorted', 'range of texts, another collation', 'f text, t text',
		'SELECT sum(size) FROM message WHERE title COLLATE "und-x-icu" >= f AND title COLLATE "und-x-icu" < t',
		q{'task', 'uniform'}],
);
our @SEVERAL_TABLES = (
	['join_key', 'join, key of the dimension', 'd int',
		'SELECT p.name || sum(t.hours) FROM task t JOIN department p ON p.id = t.department_id '
		. 'WHERE p.id = d GROUP BY p.name', '1', 'text'],
	['join_all', 'join, grouped by the dimension', '',
		'SELECT p.name || sum(t.hours) FROM task t JOIN department p ON p.id = t.department_id GROUP BY p.name', '', 'text'],
	['join_name', 'join, other column of the dimension', 'n text',
		'SELECT sum(t.hours) FROM task t JOIN department p ON p.id = t.department_id WHERE p.name = n', q{'name 1'}],
	['left_join', 'left join', 'd int',
		'SELECT sum(t.hours) || p.name FROM task t LEFT JOIN department p ON p.id = t.department_id '
		. 'WHERE t.department_id = d GROUP BY p.name', '1', 'text'],
	['exists', '`EXISTS`', 'd int',
		'SELECT p.name FROM department p WHERE p.id = d '
		. q{AND EXISTS (SELECT FROM task t WHERE t.department_id = p.id AND t.status = 'open')}, '1', 'text'],
	['in_select', '`IN (SELECT …)`', 'd int',
		'SELECT sum(hours) FROM task WHERE department_id IN (SELECT id FROM department WHERE id = d)', '1'],
	['through', 'rows found through another table', 'd int',
		'SELECT count(c.body) FROM comment c JOIN task t ON t.id = c.task_id WHERE t.department_id = d', '1'],
	['union_all', '`UNION ALL`', 'd int',
		'SELECT sum(hours) FROM (SELECT hours FROM task WHERE department_id = d '
		. 'UNION ALL SELECT hours FROM archive WHERE department_id = d) AS u', '1'],
	['except', '`EXCEPT`', 'd int',
		'SELECT id FROM task WHERE department_id = d EXCEPT SELECT task_id FROM comment', '1'],
);
our @PARTITIONS = (
	['part_key', 'partitioned table by key', 'r text', 'SELECT sum(size) FROM event WHERE region = r', q{'eu'}],
	['part_range', 'by range', 'f date, t date', 'SELECT sum(size) FROM event WHERE at >= f AND at < t',
		q{'2026-01-01', '2026-02-01'}],
	['part_both', 'by key and range', 'r text, f date, t date',
		'SELECT sum(size) FROM event WHERE region = r AND at >= f AND at < t', q{'eu', '2026-01-01', '2026-02-01'}],
	['part_constant', 'by a constant range', '', q{SELECT sum(size) FROM event WHERE at < '2026-02-01'}, ''],
	['part_total', 'the whole', '', 'SELECT sum(size) FROM event', ''],
	['leaf', 'one partition', '', 'SELECT sum(size) FROM event_jan', ''],
	['leaf_key', 'one partition by key', 'r text', 'SELECT sum(size) FROM event_jan WHERE region = r', q{'eu'}],
);
our @OTHERS = (
	['parent', 'inheritance parent', '', 'SELECT sum(amount) FROM base', ''],
	['parent_key', 'inheritance parent by key', 'k text', 'SELECT sum(amount) FROM base WHERE kind = k', q{'a'}],
	['only', '`ONLY` the parent', '', 'SELECT sum(amount) FROM ONLY base', ''],
	['matview', 'materialized view', '', 'SELECT sum(hours) FROM summary', ''],
	['policy', 'row security', '', 'SELECT sum(amount) FROM ticket', '', 'numeric', 'clerk'],
	['policy_exempt', 'row security, created by a role that is exempt', '', 'SELECT max(id) FROM ticket', ''],
);

# [name, what it is, SQL of a session that writes; what undoes it but for the rows]
our @ROWS = (
	['ins_key', 'INSERT in key, range and condition',
		q{INSERT INTO task VALUES (901, 1, 'open', 50, 'Ann', NULL, '2026-01-10', '2026-01-10 10:00Z');}],
	['ins_other', 'INSERT of another key',
		q{INSERT INTO task VALUES (902, 3, 'open', 50, 'Bob', 5, '2026-01-10', '2026-01-10 10:00Z');}],
	['copy_other', 'COPY of another key',
		qq{COPY task FROM STDIN WITH (FORMAT csv);\n903,3,open,50,Bob,5,2026-01-10,2026-01-10 10:00Z,\n\\.\n}],
	['ins_out', 'INSERT out of range',
		q{INSERT INTO task VALUES (904, 1, 'open', 50, 'Ann', NULL, '2026-06-10', '2026-06-10 10:00Z');}],
	['ins_fails', 'INSERT that fails the condition',
		q{INSERT INTO task VALUES (905, 1, 'waiting', 50, 'Ann', NULL, '2026-01-10', '2026-01-10 10:00Z');}],
	['ins_none', 'INSERT outside of all',
		q{INSERT INTO task VALUES (906, 3, 'waiting', 50, 'Bob', 5, '2026-06-10', '2026-06-10 10:00Z');}],
	['del_key', 'DELETE in key, range and condition', q{DELETE FROM task WHERE id = 9;}],
	['del_other', 'DELETE of another key', q{DELETE FROM task WHERE id = 11;}],
);
our @UPDATES = (
	['upd_unused', 'a column that hardly any query uses', q{UPDATE task SET remark = 'changed' WHERE id = 9;}],
	['noop', 'to the same values', q{UPDATE task SET hours = hours, department_id = department_id;}],
	['upd_key', 'a used column, in key and range', q{UPDATE task SET hours = 50 WHERE id = 9;}],
	['upd_other', 'a used column, other key', q{UPDATE task SET hours = 50 WHERE id = 11;}],
	['upd_out', 'a used column, out of range', q{UPDATE task SET hours = 50 WHERE id = 81;}],
	['move_in', 'into the key', q{UPDATE task SET department_id = 1 WHERE id = 11;}],
	['move_out', 'out of the key', q{UPDATE task SET department_id = 3 WHERE id = 9;}],
	['move_else', 'from another key to another', q{UPDATE task SET department_id = 4 WHERE id = 11;}],
	['move_range', 'out of the range', q{UPDATE task SET due = '2026-06-10', created = '2026-06-10 10:00Z' WHERE id = 9;}],
	['fails_still', 'fails the condition before and after', q{UPDATE task SET status = 'failed' WHERE id = 15;}],
);
our @AROUND = (
	['dim_unused', '`department`: unused column', 'UPDATE department SET budget = 7 WHERE id = 1;'],
	['dim_used', '`department`: used column', q{UPDATE department SET name = 'name 1, new' WHERE id = 1;}],
	['dim_other', '`department`: another row', q{UPDATE department SET name = 'name 3, new' WHERE id = 3;}],
	['dim_ins', '`department`: new row', q{INSERT INTO department VALUES (5, 'name 5', 'head 5', 100);}],
	['child_key', '`comment`: INSERT, task of the key', q{INSERT INTO comment VALUES (6, 'new', 0);}],
	['child_other', '`comment`: INSERT, task of another key', q{INSERT INTO comment VALUES (5, 'new', 0);}],
	['child_unused', '`comment`: unused column', 'UPDATE comment SET likes = 1 WHERE task_id = 6;'],
	['archive_key', '`archive`: INSERT, same key', q{INSERT INTO archive VALUES (1901, 1, 'open', 50);}],
	['archive_other', '`archive`: INSERT, another key', q{INSERT INTO archive VALUES (1902, 3, 'open', 50);}],
);
our @PARTITION_WRITES = (
	['part_ins', 'INSERT in key and range', q{INSERT INTO event VALUES (901, 'eu', '2026-01-10', 50);}],
	['part_ins_key', 'INSERT of another key', q{INSERT INTO event VALUES (902, 'us', '2026-01-10', 50);}],
	['part_ins_out', 'INSERT out of range', q{INSERT INTO event VALUES (903, 'eu', '2026-02-10', 50);}],
	['part_ins_leaf', 'INSERT to another partition by name',
		q{INSERT INTO event_feb VALUES (904, 'us', '2026-02-10', 50);}],
	['part_unused', 'UPDATE of an unused column', q{UPDATE event SET remark = 'changed' WHERE id = 4;}],
	['part_move', 'UPDATE that moves a row between partitions', q{UPDATE event SET at = '2026-02-05' WHERE id = 4;}],
	['part_truncate', 'TRUNCATE of another partition', 'TRUNCATE event_feb;'],
	['part_drop', 'DROP of another partition', 'DROP TABLE event_feb;',
		q{CREATE TABLE event_feb PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');}],
	['part_new', 'new partition',
		q{CREATE TABLE event_apr PARTITION OF event FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');},
		'DROP TABLE event_apr;'],
	['part_detach', 'DETACH of another partition', 'ALTER TABLE event DETACH PARTITION event_mar;',
		q{ALTER TABLE event ATTACH PARTITION event_mar FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');}],
);
our @OTHER_WRITES = (
	['base_ins', 'INSERT into the parent, same key', q{INSERT INTO base VALUES (901, 'a', 50);}],
	['child_ins', 'INSERT into the child, same key', q{INSERT INTO child VALUES (902, 'a', 50);}],
	['child_ins_other', 'INSERT into the child, another key', q{INSERT INTO child VALUES (903, 'b', 50);}],
	['child_column', 'UPDATE of a column that only the child has', q{UPDATE child SET extra = 'changed';}],
	['stale', 'INSERT into a table below the materialized view',
		q{INSERT INTO task VALUES (909, 2, 'done', 50, 'Cem', 5, '2026-07-10', '2026-07-10 10:00Z');}],
	['refresh', 'the same, and REFRESH',
		q{INSERT INTO task VALUES (909, 2, 'done', 50, 'Cem', 5, '2026-07-10', '2026-07-10 10:00Z');
REFRESH MATERIALIZED VIEW summary;}],
	['refresh_same', 'REFRESH that changes nothing', 'REFRESH MATERIALIZED VIEW summary;'],
	['own_tenant', 'INSERT of the own tenant', 'INSERT INTO ticket VALUES (901, 1, 50);'],
	['other_tenant', 'INSERT of another tenant', 'INSERT INTO ticket VALUES (902, 2, 50);'],
);
our @MESSAGES = (
	['msg_in', 'INSERT in period, title and code',
		q{INSERT INTO message VALUES (2009777204229046272, 1768003200000, 'task 19', 'A-2', 50);}],
	['msg_out', 'INSERT out of period',
		q{INSERT INTO message VALUES (2053263748101046272, 1778371200000, 'task 19', 'A-2', 50);}],
	['msg_after', 'INSERT a day after the period',
		q{INSERT INTO message VALUES (2018112125137846272, 1769990400000, 'task 19', 'A-2', 50);}],
	['msg_other', 'INSERT of another title and code',
		q{INSERT INTO message VALUES (2009777204229046272, 1768003200000, 'note 19', 'B-2', 50);}],
	['msg_none', 'INSERT outside of all',
		q{INSERT INTO message VALUES (2053263748101046272, 1778371200000, 'note 19', 'B-2', 50);}],
	['msg_move', 'UPDATE that moves out of period, title and code',
		q{UPDATE message SET id = 2053263748101046272, sent = 1778371200000, title = 'note', code = 'C' WHERE size = 10;}],
	['msg_else', 'UPDATE of a row outside of all', q{UPDATE message SET size = 0 WHERE size = 57;}],
);
# What happens to the whole of a table, or to nothing. Those that change definitions come last: adding a column and
# dropping it leaves a trace.
our @STATEMENTS = (
	['nothing', 'UPDATE of no row', 'UPDATE task SET hours = 50 WHERE id = -1;'],
	['rolled_back', 'INSERT, rolled back',
		q{BEGIN; INSERT INTO task VALUES (907, 1, 'open', 50, 'Ann', NULL, '2026-01-10', '2026-01-10 10:00Z'); ROLLBACK;}],
	['uncommitted', 'INSERT, not yet committed',
		q{BEGIN; INSERT INTO task VALUES (908, 1, 'open', 50, 'Ann', NULL, '2026-01-10', '2026-01-10 10:00Z');}, 'ROLLBACK;'],
	['for_update', '`SELECT FOR UPDATE`', 'SELECT count(*) FROM (SELECT FROM task FOR UPDATE) AS locked;'],
	['bulk', 'bulk INSERT of another key',
		q{SET aggcache.bulk_threshold = 50;
INSERT INTO task SELECT 10000 + i, 3, 'waiting', 50, 'Bob', 5, date '2026-06-01' + i,
  timestamptz '2026-06-01 12:00Z' + i * interval '1 day' FROM generate_series(1, 500) i;
RESET aggcache.bulk_threshold;}],
	['analyze', 'ANALYZE', 'ANALYZE task;'],
	['vacuum', 'VACUUM', 'VACUUM task;'],
	['truncate', 'TRUNCATE', 'TRUNCATE task;'],
	['index', 'CREATE INDEX', 'CREATE INDEX task_owner_idx ON task (owner);', 'DROP INDEX task_owner_idx;'],
	['grant', 'GRANT', 'GRANT SELECT ON task TO PUBLIC;', 'REVOKE SELECT ON task FROM PUBLIC;'],
	['default', 'SET DEFAULT', q{ALTER TABLE task ALTER owner SET DEFAULT 'Ann';},
		'ALTER TABLE task ALTER owner DROP DEFAULT;'],
	['other_table', 'CREATE TABLE of another name', 'CREATE TABLE unrelated (id int);', 'DROP TABLE unrelated;'],
	['add_column', 'ADD COLUMN', 'ALTER TABLE task ADD COLUMN added int;', 'ALTER TABLE task DROP COLUMN added;'],
);

# What else is to be done before the copies are made, and after the tables were filled from them.
our $PREPARE = q{
CREATE TABLE saved.child AS SELECT * FROM child;
REFRESH MATERIALIZED VIEW summary;
};
our $RESTORE = 'INSERT INTO child SELECT * FROM saved.child; REFRESH MATERIALIZED VIEW summary;';

sub names { map { $_->[0] } map { @$_ } @_ }

# Needless misses that are known: [query shapes, write shapes, the reason]. Any other fails the test, whatever the
# document says. A miss is needless if the answer came out the same, so some of these are inherent.
our @OF_TASK = names(\@ONE_TABLE, \@SEVERAL_TABLES);
my $unread = 'no condition of the query gives values or a range of a plain column, so every row counts, in the columns '
	. 'that the query uses';
my $luck = 'a row that the query reads has changed; only computing shows that the answer is the same';
our @COARSE = (
	[[@OF_TASK], ['default', 'add_column'], 'DDL concerns the whole table'],
	[['unsorted', 'ties', 'limit_ties'], ['index'], 'with an index the rows may come in another order'],
	[['unsorted', 'ties'], ['noop'], 'an UPDATE to the same values moves the row, which may come in another place'],
	[[@OF_TASK], ['bulk'],
		'a transaction that changes more keys than `aggcache.bulk_threshold` invalidates all results of the table'],
	[[names(\@PARTITIONS)], ['part_new', 'part_drop', 'part_detach'],
		'a change of which partitions the table has concerns all results that name it'],
	[['part_key', 'part_total'], ['part_move'], 'the row is deleted in one partition and inserted in the other'],
	[['unequal', 'expression'], [names(\@ROWS, \@UPDATES), 'stale', 'refresh'], $unread],
	[['distinct'], [qw(ins_key ins_out ins_fails del_key move_in move_out)], $luck],
	[['limit_ties'], [names(\@ROWS, \@UPDATES)],
		'the order of the rows that tie decides which are taken, and any change of one can change this order'],
	[['limit', 'subquery', 'except'], [qw(del_key move_in move_out)], $luck],
	[['exists'], [qw(ins_key ins_out del_key move_in move_out)], $luck],
	[['through'], [qw(ins_key ins_out ins_fails)], $luck],
	[['join_all'], ['dim_ins'], $luck],
	[['through', 'except'], [qw(child_key child_other)],
		'no condition gives values or a range of a column of `comment`, so every row counts'],
	[['like_inner', 'texts_sorted'], [names(\@MESSAGES)],
		'a pattern without a fixed beginning, and an order that is not that of bytes, leave no range of texts'],
	[['matview'], ['refresh_same'], 'REFRESH concerns the whole materialized view'],
);

# The tables of the document.
our @SECTIONS = (
	['Inserts and deletes', \@ONE_TABLE, \@ROWS],
	['Updates', \@ONE_TABLE, \@UPDATES],
	['Numbers for times, and texts', \@NUMBERS_AND_TEXTS, \@MESSAGES],
	['Several tables', \@SEVERAL_TABLES,
		[ (grep { $_->[0] =~ /^(ins_key|ins_other|upd_unused|upd_other)$/ } @ROWS, @UPDATES), @AROUND ]],
	['Partitioned tables', \@PARTITIONS, \@PARTITION_WRITES],
	['Inheritance, materialized views, row security', \@OTHERS, \@OTHER_WRITES],
	['Statements about a whole table', [ @ONE_TABLE, @SEVERAL_TABLES ], \@STATEMENTS],
);

1;
