# More query shapes and write shapes of docs/granularity.md, on a schema of their own: rows told apart by functions of a
# column, by arguments that may be left out, and by what a table is joined with.
package narrowed_shapes;

use strict;
use warnings;
use utf8;

# What every write is undone by: these tables are filled anew from a copy.
our @TABLES = qw(visit page customer ord line basket price);

our $SCHEMA = q{
CREATE TABLE visit (id int, at timestamptz, local timestamp, day date, page int, amount int);
CREATE TABLE page (id int, path text, code char(4), rate numeric);
CREATE TABLE customer (id int, slug text, note text);
CREATE TABLE ord (id int, customer_id int, parent_id int, placed date, note text);
CREATE TABLE line (id int, ord_id int, product int, amount int, note text);
CREATE TABLE basket (id int, ords int[]);
CREATE TABLE price (id int, product int, low int, high int, amount int);
};

our $DATA = q{
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
	['formatted_in', '`to_char(column) IN (…)`', 'a text, b text',
		q{SELECT sum(amount) FROM visit WHERE to_char(at, 'YYYY"-W"MM.DD') IN (a, b)}, q{'2026-W02.10', '2026-W02.28'}],
	['formatted_otherwise', '`to_char(column)`, the month before the year', 'm text',
		q{SELECT sum(amount) FROM visit WHERE to_char(local, 'MM/YYYY') = m}, q{'02/2026'}],
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
		'SELECT sum(u.amount) FROM ord o JOIN '
		. '(SELECT ord_id, amount FROM line UNION ALL SELECT ord_id, amount + 1 FROM line) u '
		. 'ON u.ord_id = o.id WHERE o.customer_id = c', '1'],
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
		q{SELECT count(o.id) FROM generate_series(f, t, interval '1 day') AS d (day) }
		. 'LEFT JOIN ord o ON o.placed = d.day',
		q{'2026-01-05', '2026-01-09'}],
	['between', 'a join by a range', 'c int',
		'SELECT sum(p.amount) FROM price p JOIN ord o ON o.id BETWEEN p.low AND p.high WHERE p.product = c', '1'],
	['unnarrowed', 'a join of two whole tables', '',
		'SELECT count(*) FROM ord o JOIN line l ON l.ord_id = o.id', ''],
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
	['line_latest', 'INSERT of a line of the latest of them', 'INSERT INTO line VALUES (909, 60, 1, 999);'],
	['line_other', 'INSERT of a line of another order', 'INSERT INTO line VALUES (902, 7, 1, 999);'],
	['line_nobody', 'INSERT of a line of no order', 'INSERT INTO line VALUES (903, 999, 1, 999), (904, NULL, 1, 999);'],
	['line_out', 'UPDATE that moves a line away', 'UPDATE line SET ord_id = 7 WHERE id = 65;'],
	['line_unused', 'UPDATE of a line, unused column', q{UPDATE line SET note = 'changed' WHERE id = 65;}],
	['line_else', 'UPDATE of another order\'s line', 'UPDATE line SET amount = 999 WHERE id = 66;'],
	['ord_in', 'an order becomes the customer\'s', 'UPDATE ord SET customer_id = 1 WHERE id = 7;'],
	['ord_out', 'an order becomes another customer\'s', 'UPDATE ord SET customer_id = 2 WHERE id = 60;'],
	['ord_else', 'an order of others changes', 'UPDATE ord SET customer_id = 3 WHERE id = 55;'],
	['ord_gone', 'DELETE of an order of others', 'DELETE FROM ord WHERE id = 10;'],
	['ord_day', 'UPDATE of a day into the period', q{UPDATE ord SET placed = '2026-01-06' WHERE id = 40;}],
	['ord_day_else', 'UPDATE of another day', q{UPDATE ord SET placed = '2026-03-06' WHERE id = 41;}],
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

sub names { map { $_->[0] } map { @$_ } @_ }

# As in shapes.pm.
my $unread = 'no condition of the query gives values or a range of a plain column, so every row counts, in the columns '
	. 'that the query uses';
my $luck = 'a row that the query reads has changed; only computing shows that the answer is the same';
our @COARSE = (
	[['month_only', 'formatted_otherwise', 'column_default'], [names(\@VISITS, \@PAGES)], $unread],
	[['in_zone'], ['vis_first'], 'periods of a zone are widened by what its clocks have ever been put back'],
	[['bin', 'extract_year', 'clock', 'coalesce_null'], ['vis_move', 'page_null', 'page_out'], $luck],
	[['array_of'], ['ord_unused'],
		'in an array the order of the rows shows, and a change of any column can change this order'],
	[['longer_list'], [names(\@PAGES)], 'more than 256 values are not told apart'],
	[['row_less'], ['vis_in', 'vis_move'], 'rows are compared by their first column, its last value included'],
	[['not_exists', 'lateral', 'latest', 'unnarrowed'], [names(\@ORDERS)], $luck],
);

our @SECTIONS = (
	['Functions of a time', \@TIMES, \@VISITS],
	['Optional filters, lists and types', \@FILTERS, \@PAGES],
	['Rows found through other tables', \@LISTS, \@ORDERS],
);

1;
