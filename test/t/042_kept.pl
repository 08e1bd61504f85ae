# Results that writes keep current: prepared transactions across a crash, memory that has an end, other roles, bulk
# writes, functions that come and go, and what it says where nothing is kept.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main', conf => "max_prepared_transactions = 5\naggcache.keep_current = on\n"
	. "aggcache.memory = 1MB\naggcache.bulk_threshold = 300\n");
fixture($node);
my $sql = sub { return $node->safe_psql('postgres', @_) };

# How a call of cached_hours(1) was answered, after it was compared with the plain one.
sub how
{
	my ($call, $before) = @_;
	my $plain = $call =~ s/cached/plain/r;
	return $sql->(($before // '') . "SELECT ($call) IS NOT DISTINCT FROM ($plain);
		SELECT result || ': ' || reason || coalesce('; ' || not_kept, '') FROM aggcache.last_call()");
}
my $current = sub { return "t\nhit: kept current: $_[0] change" . ($_[0] == 1 ? '' : 's') . ' added' };

like(how('cached_hours(1)'), qr/^t\nmiss: .*; writers kept nothing for it yet$/, 'the first call computes');
$sql->('UPDATE task SET hours = hours + 1 WHERE id = 3');
is(how('cached_hours(1)'), $current->(1), 'the next has what was written added');

# a transaction that is prepared when the server crashes, with what it has published lost
$sql->(q{BEGIN; UPDATE task SET hours = hours + 10 WHERE id = 3; PREPARE TRANSACTION 'p1'});
$sql->('UPDATE task SET hours = hours + 100 WHERE id = 6');
is(how('cached_hours(1)'), $current->(2), 'a prepared transaction is not seen');
$node->stop('immediate');
$node->start;
like(how('cached_hours(1)'), qr/^t\nmiss: /, 'after a crash it is computed');
$sql->('UPDATE task SET hours = hours + 100 WHERE id = 6');
like(how('cached_hours(1)'), qr/^t\n/, 'and right while the other is prepared');
$sql->(q{COMMIT PREPARED 'p1'});
like(how('cached_hours(1)'), qr/^t\nmiss: /, 'what was prepared before the crash is not missed');
$sql->('UPDATE task SET hours = hours + 100 WHERE id = 6');
like(how('cached_hours(1)'), qr/^t\n/, 'and from then on');
$sql->('UPDATE task SET hours = hours + 100 WHERE id = 6');
is(how('cached_hours(1)'), $current->(2), 'it is kept again');

# bulk writes end what is kept, and count all the same
$sql->('INSERT INTO task SELECT i, 1 + i % 500, 1 FROM generate_series(1001, 4000) i');
like(how('cached_hours(1)'), qr/^t\nmiss: .*; the table was changed otherwise than by single rows$/, 'a bulk write');
$sql->('UPDATE task SET hours = hours + 1 WHERE id = 3');
is(how('cached_hours(1)'), $current->(1), 'and afterwards');
$sql->('UPDATE task SET hours = hours + 1 WHERE dept = 1');
like(how('cached_hours(1)'), qr/^t\n/, 'many rows of one key');

# more results than there is memory for: those that are asked for stay, and results of others are no worse off
$sql->(q{CREATE FUNCTION cached_other(d int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.keep_current = off
	AS 'SELECT sum(hours) FROM task WHERE dept = d'});
$sql->('SELECT cached_other(d) FROM generate_series(1, 20) d');
for my $round (1 .. 3)
{
	$sql->("SELECT count(cached_hours(d)) FROM generate_series(1, 500) d");
	$sql->('UPDATE task SET hours = hours + 1 WHERE id = 3');
	like(how('cached_hours(1)'), qr/^t\n/, "with many results: round $round");
}
is($sql->(q{SELECT bool_and(cached_hours(d) IS NOT DISTINCT FROM plain_hours(d)) FROM generate_series(1, 500) d}), 't',
	'all are right');
$sql->('CREATE TABLE wide_key (k text, v int); INSERT INTO wide_key SELECT i::text, i FROM generate_series(1, 9) i');
$sql->(q{CREATE FUNCTION cached_wide(k text) RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT sum(v) FROM wide_key w WHERE w.k = $1'});
$sql->(q{SELECT cached_wide(repeat('x', 200))});
like($sql->(q{SELECT cached_wide(repeat('x', 300)); SELECT not_kept FROM aggcache.last_call()}),
	qr/the arguments are too long/, 'arguments that writers cannot be told');

# another role's calls are answered from the same, with the role's own privileges
$sql->('CREATE ROLE reader; GRANT USAGE ON SCHEMA public TO reader; GRANT SELECT ON task TO reader');
like(how('cached_hours(1)'), qr/^t\n/, 'asked for again');
$sql->('UPDATE task SET hours = hours + 1 WHERE id = 3');
like(how('cached_hours(1)', 'SET ROLE reader; '), qr/^t\nhit: kept current/, 'another role');
$sql->('REVOKE SELECT ON task FROM reader; UPDATE task SET hours = hours + 1 WHERE id = 3');
my ($rc, $out, $err) = $node->psql('postgres', 'SET ROLE reader; SELECT cached_hours(1)');
like($err, qr/permission denied for table task/, 'that may not read the table any more');

# a session that has looked for a program in vain looks again
$sql->(q{UPDATE task SET hours = hours + 1 WHERE id = 3; DROP FUNCTION cached_hours(int);
	UPDATE task SET hours = hours + 1 WHERE id = 3;
	CREATE FUNCTION cached_hours(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours) FROM public.task WHERE dept = d';
	SELECT cached_hours(1);
	UPDATE task SET hours = hours + 1 WHERE id = 3});
like(how('cached_hours(1)'), qr/^t\nhit: kept current/, 'a function that was made anew');

# Why results of a function are not kept. `body` is of a function with an argument d.
sub why_not
{
	my ($body, $result) = @_;
	return $sql->("CREATE FUNCTION cached_x(d int) RETURNS $result LANGUAGE cached_sql STABLE AS \$x\$ $body \$x\$;
		SELECT count(*) FROM cached_x(1); SELECT not_kept FROM aggcache.last_call(); DROP FUNCTION cached_x(int)");
}
$sql->(q{CREATE TABLE item (id int, dept int, price float8, name char(3), span interval, paid date);
	INSERT INTO item VALUES (1, 1, 1, 'a', '1 day', '2026-01-01')});
$sql->('CREATE TABLE item_key (id int PRIMARY KEY, dept int, note text, more text)');
my @cases = (
	[ 'SELECT sum(price) FROM item WHERE dept = d', 'float8', qr/aggregate sum is not kept/ ],
	[ 'SELECT max(price) FROM item WHERE dept = d', 'float8', qr/type double precision can be equal and yet/ ],
	[ 'SELECT count(DISTINCT price) FROM item WHERE dept = d', 'bigint', qr/type double precision can be equal and yet/ ],
	[ 'SELECT sum(DISTINCT id) FROM item WHERE dept = d', 'bigint', qr/aggregate sum has DISTINCT/ ],
	[ 'SELECT string_agg(name, $$,$$ ORDER BY id) FROM item WHERE dept = d', 'text', qr/string_agg has ORDER BY/ ],
	[ 'SELECT id FROM item WHERE dept = d', 'SETOF int', qr/neither aggregates nor GROUP BY/ ],
	[ 'SELECT count(*) FROM item WHERE dept = d GROUP BY name', 'SETOF bigint', qr/type character can be equal and yet/ ],
	[ 'SELECT count(*) FROM item WHERE dept = d GROUP BY span', 'SETOF bigint', qr/type interval can be equal and yet/ ],
	[ 'SELECT count(*) FROM item WHERE dept = d GROUP BY id ORDER BY 1 LIMIT 1', 'SETOF bigint', qr/ties have no order/ ],
	[ 'SELECT count(*) FROM item WHERE dept = d GROUP BY id', 'bigint', qr/ties have no order/ ],
	[ 'SELECT sum(10 / id) FROM item WHERE dept = d', 'bigint', qr/^$/ ],
	[ 'SELECT count(*) FILTER (WHERE to_char(paid, $$Y$$) > $$5$$) FROM item WHERE dept = d', 'bigint',
		qr/no expression that writers can evaluate/ ],
	[ 'SELECT count(*) FROM item, task WHERE item.dept = d', 'bigint', qr/something else than one table/ ],
	[ 'SELECT count(*) FROM item', 'bigint', qr/^$/ ],
	[ 'SELECT count(CASE WHEN 1 = 2 THEN more END) FROM item_key WHERE dept = d', 'bigint',
		qr/not told of all columns/ ],
	[ 'SELECT count(*) FROM item WHERE dept = ANY (ARRAY[d, 7])', 'bigint', qr/do not have one key/ ],
	[ 'SELECT count(*) FROM item WHERE dept = d OR id = d', 'bigint', qr/do not have one key/ ],
	[ 'SELECT count(*), rank() OVER () FROM item WHERE dept = d', 'TABLE (a bigint, b bigint)', qr/^$/ ],
	[ 'SELECT id, sum(sum(span)) OVER () FROM item WHERE dept = d GROUP BY id', 'TABLE (a int, b interval)',
		qr/window of sum does not name all/ ],
	[ 'SELECT sum(10 / id) FROM item WHERE dept = d GROUP BY paid ORDER BY paid LIMIT 1', 'SETOF bigint',
		qr/need not look at/ ],
	[ 'SELECT min(id) FROM item WHERE dept = d AND 10 / id > 0', 'int', qr/need not look at/ ],
	[ 'SELECT CASE WHEN d > 0 THEN sum(10 / id) END FROM item WHERE dept = d', 'bigint', qr/need not look at/ ],
	[ 'SELECT coalesce(round(avg(id * 2), 1), 0) FROM item WHERE dept = d', 'numeric', qr/^$/ ],
	[ 'SELECT id, lag(id) OVER (ORDER BY count(*)) FROM item WHERE dept = d GROUP BY id', 'TABLE (a int, b int)',
		qr/window of lag does not name all/ ],
	[ 'SELECT count(*) FROM item WHERE dept = d GROUP BY ROLLUP (id)', 'SETOF bigint', qr/grouping sets/ ]);
for my $case (@cases)
{
	my ($body, $result, $why) = @$case;
	my $said = (split /\n/, why_not($body, $result))[-1] // '';
	$said = '' if $said =~ /writers kept nothing for it yet/;
	like($said, $why, "not kept: $body");
}

# what HAVING asks of groups tells which rows matter, and which partitions are read
$sql->(q{CREATE TABLE sale (k int, g text, n int, day date) PARTITION BY RANGE (n);
	CREATE TABLE sale_low PARTITION OF sale FOR VALUES FROM (0) TO (10);
	CREATE TABLE sale_high PARTITION OF sale FOR VALUES FROM (10) TO (1000);
	INSERT INTO sale SELECT 1, chr(97 + i % 3), i, date '2026-01-01' + i FROM generate_series(1, 30) i});
for my $case ([ 'g', 'text', 'g = p', "'a'", "'b'" ], [ 'day', 'date', 'day >= p', "'2026-01-20'", "'2026-01-03'" ],
	[ 'n', 'int', 'n < p', '5', '100' ])
{
	my ($group, $type, $having, $first, $second) = @$case;
	for my $name ('cached_having LANGUAGE cached_sql STABLE', 'plain_having LANGUAGE sql VOLATILE')
	{
		my ($function, $rest) = split / /, $name, 2;
		$sql->("CREATE FUNCTION $function(p $type) RETURNS TABLE (g $type, n bigint) $rest
			AS 'SELECT $group, count(*) FROM sale WHERE k = 1 GROUP BY $group HAVING $having'");
	}
	my $same = sub {
		return $sql->("SELECT (SELECT jsonb_agg(x ORDER BY x.g) FROM cached_having($_[0]) x) IS NOT DISTINCT FROM
			(SELECT jsonb_agg(x ORDER BY x.g) FROM plain_having($_[0]) x)");
	};
	is($same->($first), 't', "HAVING $having: computed");
	$sql->(q{INSERT INTO sale VALUES (1, 'b', 11, '2026-01-05')});
	is($same->($second), 't', "HAVING $having: another argument");
	$sql->(q{INSERT INTO sale VALUES (1, 'b', 11, '2026-01-05')});
	is($same->($second), 't', "HAVING $having: after a write");
	$sql->('DELETE FROM sale_high WHERE n = 12; TRUNCATE sale_high');
	is($same->($_), 't', "HAVING $having: after TRUNCATE of a partition") for $first, $second;
	$sql->("DROP FUNCTION cached_having($type); DROP FUNCTION plain_having($type);
		INSERT INTO sale SELECT 1, chr(97 + i % 3), i, date '2026-01-01' + i FROM generate_series(10, 30) i");
}
$sql->(q{CREATE FUNCTION cached_seven(d int) RETURNS SETOF int LANGUAGE cached_sql STABLE
		AS 'SELECT DISTINCT 7 FROM item WHERE dept = d HAVING true'});
is($sql->('SELECT * FROM cached_seven(4711)'), '7', 'DISTINCT of the one group of no rows');

# an interval of the largest parts is infinity, from version 17 on
$sql->(q{CREATE FUNCTION cached_span(d int) RETURNS interval LANGUAGE cached_sql STABLE
		AS 'SELECT sum(span) FROM item WHERE dept = d';
	INSERT INTO item (dept, span) VALUES (77, make_interval(months => 2147483646, days => 2147483647)
		+ interval '9223372036854775807 microseconds'); SELECT 1});
$node->psql('postgres', 'SELECT cached_span(77)');
$sql->(q{INSERT INTO item (dept, span) VALUES (77, '1 mon')});
my @answers;
for my $query ('SELECT sum(span) FROM item WHERE dept = 77', 'SELECT cached_span(77)')
{
	($rc, $out, $err) = $node->psql('postgres', $query);
	push @answers, $out . ($err =~ /ERROR:  ([^\n]*)/ ? $1 : '');
}
is($answers[1], $answers[0], "the largest interval: $answers[0]");
$sql->('DELETE FROM item WHERE dept = 77');

# what writers evaluate comes from those who may put triggers on their table
$sql->(q{CREATE ROLE outsider; GRANT SELECT ON item TO outsider; GRANT CREATE ON SCHEMA public TO outsider;
	SET ROLE outsider; CREATE FUNCTION cached_slow(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(length(repeat(name, 1000))) FROM item WHERE dept = d'});
my $programs = q{SELECT count(*) FROM aggcache.program WHERE function = 'cached_slow'::regproc};
is($sql->($programs), '0', 'no program of a role without TRIGGER');
$sql->('GRANT TRIGGER ON item TO outsider; SELECT aggcache.refresh()');
is($sql->($programs), '1', 'with it there is one');
$sql->('DROP FUNCTION cached_slow(int); DROP OWNED BY outsider; DROP ROLE outsider');

# of the arms of an OR, each finds rows that the other does not
$sql->(q{CREATE FUNCTION cached_either(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT count(*) FROM item WHERE dept = d OR id = d';
	INSERT INTO item VALUES (500, 501); SELECT cached_either(500)});
for my $row ('500, 7', '9, 500', '500, 500')
{
	$sql->("INSERT INTO item VALUES ($row)");
	is($sql->('SELECT cached_either(500) = (SELECT count(*) FROM item WHERE dept = 500 OR id = 500)'), 't',
		"either arm: $row");
}
$sql->('DELETE FROM item WHERE dept >= 500 OR id >= 500 OR id = 9');

# an error on a row ends what is kept, and is raised by those whose query raises it
$sql->(q{CREATE FUNCTION plain_part(d int) RETURNS numeric LANGUAGE sql STABLE
		AS 'SELECT sum(12 / id) FROM item WHERE dept = d';
	CREATE FUNCTION cached_part(d int) RETURNS numeric LANGUAGE cached_sql STABLE
		AS 'SELECT sum(12 / id) FROM item WHERE dept = d';
	INSERT INTO item VALUES (2, 1), (3, 1); SELECT cached_part(1); INSERT INTO item VALUES (4, 1)});
is(how('cached_part(1)'), $current->(1), 'arithmetic');
$sql->('INSERT INTO item VALUES (0, 1)');
($rc, $out, $err) = $node->psql('postgres', 'SELECT cached_part(1)');
like($err, qr/ERROR:  division by zero/, 'a row on which it fails');
$sql->('DELETE FROM item WHERE id = 0');
like(how('cached_part(1)'), qr/^t\n/, 'that goes again');
$sql->('INSERT INTO item VALUES (6, 1)');
is(how('cached_part(1)'), $current->(1), 'and from then on');

# nothing of it grows
my $blocks = sub { return $sql->('SELECT sum(total_bytes) FROM pg_backend_memory_contexts') };
my $grown = $sql->(q{
	DO $$ BEGIN FOR i IN 1 .. 300 LOOP UPDATE task SET hours = hours + 1 WHERE id = 3; COMMIT; PERFORM cached_hours(1);
		END LOOP; END $$;
	CREATE TEMP TABLE before AS SELECT sum(total_bytes) AS bytes FROM pg_backend_memory_contexts;
	DO $$ BEGIN FOR i IN 1 .. 3000 LOOP UPDATE task SET hours = hours + 1 WHERE id = 3; COMMIT; PERFORM cached_hours(1);
		END LOOP; END $$;
	SELECT sum(total_bytes) - (SELECT bytes FROM before) < 400000 FROM pg_backend_memory_contexts});
is($grown, 't', 'memory of the session does not grow with calls');
done_testing();
