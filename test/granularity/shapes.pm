# The query shapes and the write shapes of docs/granularity.md, on one small schema, and which of them go into which
# table of the document.
package shapes;

use strict;
use warnings;
use utf8;

# What every write is undone by: these tables are filled anew from a copy.
our @TABLES = qw(department task comment archive event base ticket message visit page customer ord line basket price);

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
CREATE TABLE visit (id int, at timestamptz, local timestamp, day date, page int, amount int);
CREATE TABLE page (id int, path text, code char(4), rate numeric);
CREATE TABLE customer (id int, slug text, note text);
CREATE TABLE ord (id int, customer_id int, parent_id int, placed date, note text);
CREATE TABLE line (id int, ord_id int, product int, amount int, note text);
CREATE TABLE basket (id int, ords int[]);
CREATE TABLE price (id int, product int, low int, high int, amount int);
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
INSERT INTO visit SELECT i, timestamptz '2026-01-01 12:00Z' + i * interval '1 day',
    timestamp '2026-01-01 12:00' + i * interval '1 day', date '2026-01-01' + i, 1 + i % 20, i
  FROM generate_series(0, 88) i;
INSERT INTO page SELECT i, '/page/' || i, 'p' || i, i FROM generate_series(1, 20) i;
INSERT INTO customer SELECT i, 'customer-' || i FROM generate_series(1, 6) i;
INSERT INTO ord SELECT i, 1 + i % 6, nullif(i / 3, 0), date '2026-01-01' + i FROM generate_series(1, 60) i;
INSERT INTO line SELECT i, 1 + i % 60, 1 + i % 7, i FROM generate_series(1, 240) i;
INSERT INTO basket VALUES (1, '{6,12,60}'), (2, '{7,13}');
INSERT INTO price SELECT i, 1 + i % 7, i, i + 5, i FROM generate_series(1, 21) i;
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
# February 2026, or its first day, or 2026, is the period.
our @TIMES = (
	['cast', 'a timestamp cast to a date', 'f date, t date',
		'SELECT sum(amount) FROM visit WHERE at::date BETWEEN f AND t', q{'2026-02-01', '2026-02-28'}],
	['month_of', '`date_trunc(column) = …`, without a zone', 'm timestamp',
		q{SELECT sum(amount) FROM visit WHERE date_trunc('month', local) = m}, q{'2026-02-01'}],
	['month_in_zone', '`date_trunc` in a zone', 'm timestamptz',
		q{SELECT sum(amount) FROM visit WHERE date_trunc('month', at, 'Asia/Kathmandu') = m}, q{'2026-02-01 00:00+05:45'}],
	['in_zone', '`AT TIME ZONE`, cast to a date', 'f date, t date',
		q{SELECT sum(amount) FROM visit WHERE (at AT TIME ZONE 'America/St_Johns')::date BETWEEN f AND t},
		q{'2026-02-01', '2026-02-28'}],
	['zone_argument', '`AT TIME ZONE` of an argument', 'f timestamp, t timestamp, z text',
		'SELECT sum(amount) FROM visit WHERE at AT TIME ZONE z >= f AND at AT TIME ZONE z < t',
		q{'2026-02-01', '2026-03-01', 'Pacific/Auckland'}],
	['bin', '`date_bin(column) = …`', 'b timestamp',
		q{SELECT sum(amount) FROM visit WHERE date_bin('28 days', local, '2026-02-01') = b}, q{'2026-02-01'}],
	['extract_epoch', '`extract(epoch FROM column)`', 'f numeric, t numeric',
		'SELECT sum(amount) FROM visit WHERE extract(epoch FROM at) >= f AND extract(epoch FROM at) < t',
		'1769904000, 1772323200'],
	['extract_year', '`extract(year FROM column) = …`', 'y numeric',
		'SELECT sum(amount) FROM visit WHERE extract(year FROM local) = y', '2026'],
	['shifted', 'a column and an interval', 'f timestamp, t timestamp',
		q{SELECT sum(amount) FROM visit WHERE local - interval '6 hours' >= f AND local - interval '6 hours' < t},
		q{'2026-02-01', '2026-03-01'}],
	['date_and_zone', 'a date with bounds that have a zone', 'f timestamptz, t timestamptz',
		'SELECT sum(amount) FROM visit WHERE day >= f AND day < t', q{'2026-02-01 00:00Z', '2026-03-01 00:00Z'}],
	['zoneless_and_zone', 'a timestamp without a zone, and bounds that have one', 'f timestamptz, t timestamptz',
		'SELECT sum(amount) FROM visit WHERE local >= f AND local < t', q{'2026-02-01 00:00Z', '2026-03-01 00:00Z'}],
	['zone_and_date', 'a timestamp with a zone, and bounds that are dates', 'f date, t date',
		'SELECT sum(amount) FROM visit WHERE at >= f AND at < t', q{'2026-02-01', '2026-03-01'}],
	['computed_bounds', 'bounds that are computed', 'f float8, months int',
		q{SELECT sum(amount) FROM visit WHERE at >= to_timestamp(f) }
		. q{AND at < to_timestamp(f) + make_interval(months => months)}, '1769904000, 1'],
	['clock', 'a bound by `now()`', '', q{SELECT sum(amount) FROM visit WHERE local >= date_trunc('century', now())}, ''],
	['formatted', '`to_char(column) = …`', 'm text', q{SELECT sum(amount) FROM visit WHERE to_char(local, 'YYYY-MM') = m},
		q{'2026-02'}],
	['month_only', '`extract(month FROM column) = …`', 'm numeric',
		'SELECT sum(amount) FROM visit WHERE extract(month FROM local) = m', '2'],
);
our @FILTERS = (
	['coalesce_given', '`coalesce($1, column) = column`, given', 'p int',
		'SELECT sum(amount) FROM visit WHERE coalesce(p, page) = page', '3'],
	['coalesce_null', '`coalesce($1, column) = column`, NULL', 'p int',
		'SELECT sum(amount) FROM visit WHERE coalesce(p, page) = page', 'NULL'],
	['case_given', '`CASE`, given', 'p int',
		'SELECT sum(amount) FROM visit WHERE CASE WHEN p IS NULL THEN true ELSE page = p END', '3'],
	['list_given', '`= ANY ($1) OR $1 IS NULL`, given', 'ps int[]',
		'SELECT sum(amount) FROM visit WHERE page = ANY (ps) OR ps IS NULL', q{'{3,4}'}],
	['long_list', 'a list of 200 values', 'ps int[]', 'SELECT sum(amount) FROM visit WHERE page = ANY (ps)',
		'ARRAY(SELECT generate_series(3, 202))'],
	['longer_list', 'a list of 300 values', 'ps int[]', 'SELECT sum(amount) FROM visit WHERE page = ANY (ps)',
		'ARRAY(SELECT generate_series(3, 302))'],
	['row_less', 'a comparison of rows', 'd date, i int',
		'SELECT sum(amount) FROM (SELECT amount FROM visit WHERE (day, id) < (d, i) ORDER BY day DESC, id DESC) AS page',
		q{'2026-02-10', 40}],
	['two_columns', '`OR` of a key and a period', 'p int, f date',
		'SELECT sum(amount) FROM visit WHERE page = p OR day < f', q{3, '2026-01-03'}],
	['not_null_distinct', '`NOT (column IS DISTINCT FROM $1)`', 'p int',
		'SELECT sum(amount) FROM visit WHERE NOT (page IS DISTINCT FROM p)', '3'],
	['as_numeric', 'an integer and a numeric', 'p numeric', 'SELECT sum(amount) FROM visit WHERE page = p', '3'],
	['as_text', '`char(n)` and text', 'c text', 'SELECT sum(rate) FROM page WHERE code = c', q{'p3'}],
	['column_default', '`coalesce(column, …) = $1`', 'p int',
		'SELECT sum(amount) FROM visit WHERE coalesce(page, 0) = p', '3'],
);
# Which orders are a customer's, and so which lines count, says another table.
our @LISTS = (
	['lines', 'lines of the orders of a customer', 'c int',
		'SELECT sum(l.amount) FROM line l JOIN ord o ON o.id = l.ord_id WHERE o.customer_id = c', '1'],
	['chain', 'the same by a name of the customer', 's text',
		'SELECT sum(l.amount) FROM customer c JOIN ord o ON o.customer_id = c.id JOIN line l ON l.ord_id = o.id '
		. 'WHERE c.slug = s', q{'customer-1'}],
	['chain_left', 'by a name, left joins', 's text',
		'SELECT o.id || \':\' || coalesce(sum(l.amount), 0) FROM customer c LEFT JOIN ord o ON o.customer_id = c.id '
		. 'LEFT JOIN line l ON l.ord_id = o.id WHERE c.slug = s GROUP BY o.id', q{'customer-1'}, 'text'],
	['in_lists', '`IN (SELECT …)`, of a name', 's text',
		'SELECT sum(amount) FROM line WHERE ord_id IN (SELECT o.id FROM ord o JOIN customer c ON c.id = o.customer_id '
		. 'WHERE c.slug = s)', q{'customer-1'}],
	['exists_list', '`EXISTS`', 'c int',
		'SELECT sum(amount) FROM line l WHERE EXISTS (SELECT FROM ord o WHERE o.id = l.ord_id AND o.customer_id = c)', '1'],
	['not_exists', '`NOT EXISTS`', 'c int',
		'SELECT count(*) FROM ord o WHERE o.customer_id = c '
		. 'AND NOT EXISTS (SELECT FROM line l WHERE l.ord_id = o.id AND l.amount > 230)', '1'],
	['correlated', 'a sub-select for each row', 'c int',
		'SELECT o.id || \':\' || (SELECT coalesce(sum(l.amount), 0) FROM line l WHERE l.ord_id = o.id) FROM ord o '
		. 'WHERE o.customer_id = c', '1', 'text'],
	['lateral', '`LATERAL`', 'c int',
		'SELECT sum(top.amount) FROM ord o, LATERAL (SELECT l.amount FROM line l WHERE l.ord_id = o.id '
		. 'ORDER BY l.amount DESC, l.id LIMIT 2) AS top WHERE o.customer_id = c', '1'],
	['with_list', '`WITH`, named once', 's text',
		'WITH mine AS (SELECT o.id FROM ord o JOIN customer c ON c.id = o.customer_id WHERE c.slug = s) '
		. 'SELECT sum(amount) FROM line WHERE ord_id IN (SELECT id FROM mine)', q{'customer-1'}],
	['with_twice', '`WITH`, named twice', 'c int',
		'WITH mine AS (SELECT id FROM ord WHERE customer_id = c) SELECT (SELECT count(*) FROM mine) || \':\' || sum(amount) '
		. 'FROM line WHERE ord_id IN (SELECT id FROM mine)', '1', 'text'],
	['grouped', 'a sub-select with `GROUP BY`', 'c int',
		'SELECT sum(t.amount) FROM ord o JOIN (SELECT ord_id, sum(amount) AS amount FROM line GROUP BY ord_id) t '
		. 'ON t.ord_id = o.id WHERE o.customer_id = c', '1'],
	['both_arms', 'a join with a `UNION ALL`', 'c int',
		'SELECT sum(u.amount) FROM ord o JOIN (SELECT ord_id, amount FROM line UNION ALL SELECT ord_id, amount + 1 FROM line) '
		. 'u ON u.ord_id = o.id WHERE o.customer_id = c', '1'],
	['latest', 'a sub-select of one value', 'c int',
		'SELECT sum(amount) FROM line WHERE ord_id = (SELECT max(id) FROM ord WHERE customer_id = c)', '1'],
	['array_of', '`= ANY (ARRAY(SELECT …))`', 'c int',
		'SELECT sum(amount) FROM line WHERE ord_id = ANY (ARRAY(SELECT id FROM ord WHERE customer_id = c))', '1'],
	['array_column', '`= ANY` of a column of arrays', 'i int',
		'SELECT sum(l.amount) FROM basket b JOIN line l ON l.ord_id = ANY (b.ords) WHERE b.id = i', '1'],
	['recursive', '`WITH RECURSIVE` from an order', 'i int',
		'WITH RECURSIVE tree AS (SELECT id FROM ord WHERE id = i UNION ALL SELECT o.id FROM ord o '
		. 'JOIN tree ON o.parent_id = tree.id) SELECT sum(amount) FROM line WHERE ord_id IN (SELECT id FROM tree)', '6'],
	['values_list', 'a join with `VALUES`', 'a int, b int',
		'SELECT sum(l.amount) FROM (VALUES (a), (b)) AS v (id) JOIN line l ON l.ord_id = v.id', '6, 12'],
	['series', 'a join with `generate_series` of days', 'f date, t date',
		q{SELECT count(o.id) FROM generate_series(f, t, interval '1 day') AS d (day) LEFT JOIN ord o ON o.placed = d.day},
		q{'2026-01-05', '2026-01-09'}],
	['between', 'a join by a range', 'c int',
		'SELECT sum(p.amount) FROM price p JOIN ord o ON o.id BETWEEN p.low AND p.high WHERE p.product = c', '1'],
	['unnarrowed', 'a join of two whole tables', '',
		'SELECT count(*) FROM ord o JOIN line l ON l.ord_id = o.id', ''],
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
our @VISITS = (
	['vis_in', 'INSERT in the period',
		q{INSERT INTO visit VALUES (901, '2026-02-10 10:00Z', '2026-02-10 10:00', '2026-02-10', 3, 50);}],
	['vis_first', 'INSERT at its first moment',
		q{INSERT INTO visit VALUES (902, '2026-02-01 00:00Z', '2026-02-01 00:00', '2026-02-01', 3, 50);}],
	['vis_last', 'INSERT at its last moment',
		q{INSERT INTO visit VALUES (903, '2026-02-28 23:59:59.999999Z', '2026-02-28 23:59:59.999999', '2026-02-28', 3, 50);}],
	['vis_edge', 'INSERT 8 hours before',
		q{INSERT INTO visit VALUES (904, '2026-01-31 16:00Z', '2026-01-31 16:00', '2026-01-31', 3, 50);}],
	['vis_before', 'INSERT a week before',
		q{INSERT INTO visit VALUES (905, '2026-01-24 10:00Z', '2026-01-24 10:00', '2026-01-24', 3, 50);}],
	['vis_after', 'INSERT a week after',
		q{INSERT INTO visit VALUES (906, '2026-03-08 10:00Z', '2026-03-08 10:00', '2026-03-08', 3, 50);}],
	['vis_year', 'INSERT in another year',
		q{INSERT INTO visit VALUES (907, '2024-06-10 10:00Z', '2024-06-10 10:00', '2024-06-10', 3, 50);}],
	['vis_century', 'INSERT in another century',
		q{INSERT INTO visit VALUES (908, '1994-06-10 10:00Z', '1994-06-10 10:00', '1994-06-10', 3, 50);}],
	['vis_move', 'UPDATE that moves out',
		q{UPDATE visit SET at = '2026-03-09 10:00Z', local = '2026-03-09 10:00', day = '2026-03-09' WHERE id = 40;}],
	['vis_else', 'UPDATE of a row out of the period', q{UPDATE visit SET amount = 1000 WHERE id = 75;}],
);
our @PAGES = (
	['page_in', 'INSERT of the key', q{INSERT INTO visit VALUES (911, NULL, NULL, '2026-02-05', 3, 50);}],
	['page_other', 'INSERT of another key', q{INSERT INTO visit VALUES (912, NULL, NULL, '2026-03-05', 2, 50);}],
	['page_null', 'INSERT of NULL', q{INSERT INTO visit VALUES (913, NULL, NULL, NULL, NULL, 50);}],
	['page_far', 'INSERT of a key above all', q{INSERT INTO visit VALUES (914, NULL, NULL, '2026-03-05', 5000, 50);}],
	['page_out', 'UPDATE out of the key', q{UPDATE visit SET page = 2, day = '2026-03-06' WHERE id = 2;}],
	['page_code', 'UPDATE of the code', q{UPDATE page SET code = 'p3' WHERE id = 5;}],
	['page_code_other', 'UPDATE of another code', q{UPDATE page SET code = 'q5' WHERE id = 5;}],
);
# orders 6, 12, 18, … are customer 1's
our @ORDERS = (
	['line_in', 'INSERT of a line of one of the orders', 'INSERT INTO line VALUES (901, 6, 1, 999);'],
	['line_other', 'INSERT of a line of another order', 'INSERT INTO line VALUES (902, 7, 1, 999);'],
	['line_nobody', 'INSERT of a line of no order', 'INSERT INTO line VALUES (903, 999, 1, 999), (904, NULL, 1, 999);'],
	['line_out', 'UPDATE that moves a line away', 'UPDATE line SET ord_id = 7 WHERE id = 65;'],
	['line_unused', 'UPDATE of a line, unused column', q{UPDATE line SET note = 'changed' WHERE id = 65;}],
	['line_else', 'UPDATE of another order\'s line', 'UPDATE line SET amount = 999 WHERE id = 66;'],
	['ord_in', 'an order becomes the customer\'s', 'UPDATE ord SET customer_id = 1 WHERE id = 7;'],
	['ord_out', 'an order becomes another customer\'s', 'UPDATE ord SET customer_id = 2 WHERE id = 60;'],
	['ord_else', 'an order of others changes', 'UPDATE ord SET customer_id = 3 WHERE id = 55;'],
	['ord_unused', 'UPDATE of an order, unused column', q{UPDATE ord SET note = 'changed' WHERE id = 6;}],
	['ord_line', 'INSERT of an order of the customer, with a line',
		q{BEGIN; INSERT INTO line VALUES (905, 906, 1, 999); INSERT INTO ord VALUES (906, 1, NULL, '2026-04-01'); COMMIT;}],
	['ord_line_else', 'the same of another customer',
		q{BEGIN; INSERT INTO line VALUES (907, 908, 1, 999); INSERT INTO ord VALUES (908, 4, NULL, '2026-04-01'); COMMIT;}],
	['basket_in', 'UPDATE of the basket', q{UPDATE basket SET ords = '{6,7}' WHERE id = 1;}],
	['basket_else', 'UPDATE of another basket', q{UPDATE basket SET ords = '{6,7}' WHERE id = 2;}],
	['cust_name', 'another customer gets the name', q{UPDATE customer SET slug = 'customer-1' WHERE id = 5;}],
	['cust_else', 'another customer gets another name', q{UPDATE customer SET slug = 'other' WHERE id = 5;}],
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
	[[@OF_TASK], ['bulk'],
		'a transaction that changes more keys than `aggcache.bulk_threshold` invalidates all results of the table'],
	[[names(\@PARTITIONS)], ['part_new', 'part_drop', 'part_detach'],
		'a change of which partitions the table has concerns all results that name it'],
	[['part_key', 'part_total'], ['part_move'], 'the row is deleted in one partition and inserted in the other'],
	[['unequal', 'expression'], [names(\@ROWS, \@UPDATES), 'stale', 'refresh'], $unread],
	[['month_only', 'formatted', 'column_default'], [names(\@VISITS, \@PAGES)], $unread],
	[['in_zone'], ['vis_first'], 'periods of a zone are widened by what its clocks have ever been put back'],
	[['bin', 'extract_year', 'clock', 'coalesce_null'], ['vis_move', 'page_null', 'page_out'], $luck],
	[['array_of'], ['ord_unused'],
		'in an array the order of the rows shows, and a change of any column can change this order'],
	[['longer_list'], [names(\@PAGES)], 'more than 256 values are not told apart'],
	[['row_less'], ['vis_in', 'vis_move'], 'rows are compared by their first column, its last value included'],
	[['not_exists', 'lateral', 'latest', 'unnarrowed'], [names(\@ORDERS)], $luck],
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
	['Functions of a time', \@TIMES, \@VISITS],
	['Optional filters, lists and types', \@FILTERS, \@PAGES],
	['Rows found through other tables', \@LISTS, \@ORDERS],
	['Several tables', \@SEVERAL_TABLES,
		[ (grep { $_->[0] =~ /^(ins_key|ins_other|upd_unused|upd_other)$/ } @ROWS, @UPDATES), @AROUND ]],
	['Partitioned tables', \@PARTITIONS, \@PARTITION_WRITES],
	['Inheritance, materialized views, row security', \@OTHERS, \@OTHER_WRITES],
	['Statements about a whole table', [ @ONE_TABLE, @SEVERAL_TABLES ], \@STATEMENTS],
);

1;
