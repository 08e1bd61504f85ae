# pg_dump into a new database, and what dropping things leaves behind: nothing.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
fixture($node);
$node->safe_psql('postgres', q{CREATE VIEW answers AS SELECT d, cached_hours(d) AS hours FROM generate_series(1, 3) d;
	COMMENT ON FUNCTION cached_hours(int) IS 'remarks'; GRANT EXECUTE ON FUNCTION cached_hours(int) TO PUBLIC;});
# partitions get their triggers from the table above them; the width of cells is the user's
$node->safe_psql('postgres', q{CREATE TABLE event (region int, at date, size int) PARTITION BY RANGE (at);
	CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	CREATE TABLE event_rest PARTITION OF event DEFAULT;
	INSERT INTO event VALUES (1, '2026-01-01', 5), (1, '2026-03-01', 7), (2, '2026-01-01', 9);
	CREATE FUNCTION plain_size(r int) RETURNS bigint LANGUAGE sql STABLE
		AS 'SELECT sum(size) FROM public.event WHERE region = r';
	CREATE FUNCTION cached_size(r int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(size) FROM public.event WHERE region = r';
	SELECT aggcache.set_cell_width('event', 'at', '7 days');});

sub leftovers
{
	my ($db) = @_;
	return $node->safe_psql($db, q{SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'aggcache%'),
		(SELECT count(*) FROM aggcache.dependency), (SELECT count(*) FROM aggcache.watch)});
}

for my $options ([], ['--clean', '--if-exists'], ['-Fc'])
{
	my $name = "pg_dump @$options";
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
	$node->safe_psql('postgres', 'CREATE DATABASE copy');
	$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump, @$options ], "$name: dumps");
	if ("@$options" eq '-Fc')
	{
		$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $dump ], "$name: restores");
	}
	else
	{
		my ($rc, $out, $err) = $node->psql('copy', undef, on_error_stop => 1, extra_params => [ '-q', '-f', $dump ]);
		is($err =~ s/^.*NOTICE:.*\n?//mgr, '', "$name: restores without errors");
	}
	my @hours = ('cached_hours(1)', 'plain_hours(1)', 18);
	same($node, @hours, "$name: exact", db => 'copy') for 1 .. 2;
	$node->safe_psql('copy', 'UPDATE task SET hours = 50 WHERE id = 3');
	same($node, 'cached_hours(1)', 'plain_hours(1)', 65, "$name: sees writes", db => 'copy') for 1 .. 2;
	$node->safe_psql('copy', 'SELECT aggcache.refresh()');
	$node->safe_psql('copy', 'SELECT cached_hours(1), cached_hours(2)');
	is_hit($node, 'SELECT cached_hours(1), cached_hours(2)', "$name: caches", db => 'copy');
	$node->safe_psql('copy', 'UPDATE task SET hours = 51 WHERE id = 3');
	is_computed($node, 'SELECT cached_hours(2)', 0,
		"$name: granularity is back after refresh()", db => 'copy');
	same($node, 'cached_hours(1)', 'plain_hours(1)', 66, "$name: and exact", db => 'copy');
	is($node->safe_psql('copy', q{SELECT relation, "column", width FROM aggcache.cell_width}), 'event|at|7',
		"$name: keeps the width of cells");
	is($node->safe_psql('copy', q{SELECT string_agg(tgrelid::regclass::text || tgenabled::text, ' '
		ORDER BY tgrelid::regclass::text) FROM pg_trigger WHERE tgrelid::regclass::text ~ 'event'}),
		'eventA event_1A event_restA',
		"$name: partitions are tracked");
	same($node, 'cached_size(1)', 'plain_size(1)', 12, "$name: partitions, exact", db => 'copy') for 1 .. 2;
	$node->safe_psql('copy', 'UPDATE event_rest SET size = 8');
	same($node, 'cached_size(1)', 'plain_size(1)', 13, "$name: a write to a partition", db => 'copy') for 1 .. 2;
	$node->safe_psql('postgres', 'DROP DATABASE copy');
}
$node->safe_psql('postgres', 'DROP FUNCTION cached_size(int); DROP TABLE event');
is($node->safe_psql('postgres', 'SELECT count(*) FROM aggcache.cell_width'), 0, 'no width without a table');

# drops
is(leftovers('postgres'), '2|1|1', 'what one function needs');
$node->safe_psql('postgres', q{CREATE FUNCTION cached_total() RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT sum(hours) FROM task'; DROP VIEW answers; DROP FUNCTION cached_hours(int)});
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'aggcache%'}), 2,
	'the table is still needed');
$node->safe_psql('postgres', 'BEGIN; DROP FUNCTION cached_total(); ROLLBACK');
same($node, 'cached_total()', '(SELECT sum(hours) FROM task)', 45, 'a rolled back DROP');
$node->safe_psql('postgres', 'UPDATE task SET hours = 4 WHERE id = 3');
same($node, 'cached_total()', '(SELECT sum(hours) FROM task)', 46, 'a write after it') for 1 .. 2;
$node->safe_psql('postgres', 'DROP FUNCTION cached_total()');
is(leftovers('postgres'), '0|0|0', 'after the last function');

$node->safe_psql('postgres', q{CREATE FUNCTION cached_hours(d int) RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT sum(hours) FROM task WHERE dept = d'; DROP TABLE task CASCADE});
is(leftovers('postgres'), '0|0|0', 'after DROP TABLE');
$node->safe_psql('postgres', q{CREATE SCHEMA s; CREATE TABLE s.t (a int, b int);
	CREATE FUNCTION s.f(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(b) FROM s.t WHERE a = x';
	CREATE TABLE public.u (a int, b int);
	CREATE FUNCTION s.g(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(b) FROM public.u WHERE a = x';});
is(leftovers('postgres'), '4|2|2', 'functions of a schema');
$node->safe_psql('postgres', 'DROP SCHEMA s CASCADE');
is(leftovers('postgres'), '0|0|0', 'after DROP SCHEMA CASCADE');

# What functions leave behind that went unseen: pg_upgrade gives functions other oids and keeps our tables' rows, whose
# watches are another server's, as after this update; functions are dropped while the library is not preloaded, which
# leaves them too.
my $read = q{CREATE TABLE public.r (a int, b int); CREATE TABLE public.gone (a int);
	CREATE FUNCTION reads(x int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(b) FROM public.r WHERE a = x';
	CREATE FUNCTION reads_gone() RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT count(*) FROM public.gone WHERE a = 1';};
my $upgrade = q{UPDATE aggcache.dependency SET function = (function::bigint + 1000000)::oid;
	UPDATE aggcache.watch_use SET function = (function::bigint + 1000000)::oid, watch = watch # 1, server = 1;
	UPDATE aggcache.watch SET server = 1, id = id # 1;};
sub rows
{
	return $node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM aggcache.dependency),
		(SELECT count(*) FROM aggcache.watch), (SELECT count(*) FROM aggcache.watch_use),
		(SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'aggcache%')});
}
$node->safe_psql('postgres', "DROP FUNCTION cached_hours(int); $read");
is(rows(), '2|2|2|4', 'what two functions need');
$node->safe_psql('postgres', "$upgrade; DROP TABLE gone CASCADE; SELECT aggcache.refresh()");
$node->safe_psql('postgres', 'SELECT reads(1), reads(2)');
is($node->safe_psql('postgres', 'INSERT INTO r VALUES (1, 1);
	SELECT reads(2); SELECT result FROM aggcache.last_call()'),
	"\nhit", 'refresh() makes watches of this server');
is(rows(), '1|1|1|2', 'refresh() removes the rows of functions that are not there');
$node->safe_psql('postgres', "$upgrade; DROP FUNCTION reads(int), reads_gone(); SELECT aggcache.refresh()");
is(rows(), '0|0|0|0', 'nor do they keep triggers on the table');
for my $way ('SELECT aggcache.refresh()', 'DROP EXTENSION pg_aggcache; CREATE EXTENSION pg_aggcache')
{
	$node->safe_psql('postgres', "DROP TABLE IF EXISTS r, gone CASCADE; $read");
	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
	$node->restart;
	$node->safe_psql('postgres', 'DROP FUNCTION reads(int), reads_gone(); DROP TABLE gone');
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_aggcache'\n");
	$node->restart;
	is(rows(), '2|2|2|2', 'nobody saw the functions go');
	$node->safe_psql('postgres', $way);
	is(rows(), '0|0|0|0', "$way: nothing is left");
}
# another role's refresh() leaves what it may not take off to somebody who may
$node->safe_psql('postgres', "DROP TABLE IF EXISTS r, gone CASCADE; $read $upgrade");
$node->safe_psql('postgres', 'CREATE ROLE stranger; SET ROLE stranger; SELECT aggcache.refresh()');
is(rows(), '2|2|2|4', 'refresh() of a stranger');
$node->safe_psql('postgres', 'DROP FUNCTION reads_gone(); SELECT aggcache.refresh();
	DROP FUNCTION reads(int); DROP TABLE r, gone');
is(rows(), '0|0|0|0', 'refresh() of a superuser');

$node->safe_psql('postgres', q{CREATE TABLE t (a int, b int);
	CREATE FUNCTION f(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(b) FROM t WHERE a = x';
	SELECT f(1); DROP EXTENSION pg_aggcache CASCADE});
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal),
	(SELECT count(*) FROM pg_proc WHERE proname = 'f'),
	(SELECT count(*) FROM pg_depend WHERE refobjid = 'aggcache'::regnamespace),
	(SELECT count(*) FROM pg_language WHERE lanname = 'cached_sql')}), '0|0|0|0',
	'after DROP EXTENSION CASCADE; the schema is empty');
$node->safe_psql('postgres', q{INSERT INTO t VALUES (1, 1); CREATE EXTENSION pg_aggcache;
	CREATE FUNCTION f(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(b) FROM t WHERE a = x'});
same($node, 'f(1)', '1::bigint', 1, 'created again');
$node->safe_psql('postgres', 'INSERT INTO t VALUES (1, 1)');
same($node, 'f(1)', '2::bigint', 2, 'created again, and tracks');
done_testing();
