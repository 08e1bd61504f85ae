# 120 functions on one table, made in any order: they share watches, and each goes on hitting after what it would
# outlive alone. The same below partitions whose columns have other places, for ranges, and for conditions that are no
# keys.
use strict;
use warnings;
use AggcacheTest;
use List::Util qw(shuffle);
use Test::More;

my $seed = $ENV{AGGCACHE_TEST_SEED} // 41;
srand($seed);
note("seed $seed");
my $node = new_node('main');
my $columns = join(', ', map { "m$_ int" } 1 .. 40);
$node->safe_psql('postgres', qq{
	CREATE EXTENSION pg_aggcache;
	CREATE TABLE wide (id int PRIMARY KEY, tenant int, kind text, at timestamptz NOT NULL, note text, $columns);
	INSERT INTO wide (id, tenant, kind, at, m1, m2) SELECT i, i % 10, 'k' || i % 5,
		timestamptz '2026-01-01 00:00Z' + i * interval '1 hour', i, i FROM generate_series(1, 1000) i;
	-- rows with another order of columns, under the same functions
	CREATE TABLE parted (id int, tenant int, kind text, at timestamptz NOT NULL, note text, $columns)
		PARTITION BY RANGE (id);
	CREATE TABLE low (@{[join(', ', map { "m$_ int" } reverse 1 .. 40)]}, note text, gone int,
		at timestamptz NOT NULL, kind text, tenant int, id int);
	ALTER TABLE low DROP COLUMN gone;
	ALTER TABLE parted ATTACH PARTITION low FOR VALUES FROM (0) TO (500);
	CREATE TABLE high PARTITION OF parted FOR VALUES FROM (500) TO (100000);
	INSERT INTO parted SELECT * FROM wide;
	-- Calls each function whose name begins so, twin included, for a tenant: those that missed and that are wrong.
	CREATE FUNCTION probe(prefix text, tenant int, OUT missed text, OUT wrong text) LANGUAGE plpgsql AS \$\$
	DECLARE one name; cached text; plain text; misses text[] = '{}'; wrongs text[] = '{}';
	BEGIN
		FOR one IN SELECT substr(proname, 3) FROM pg_proc WHERE proname LIKE 'c\\_' || prefix || '%' ORDER BY oid LOOP
			EXECUTE format('SELECT %I(\$1)', 'c_' || one) INTO cached USING tenant;
			IF (SELECT result FROM aggcache.last_call()) <> 'hit' THEN misses = misses || one::text; END IF;
			EXECUTE format('SELECT %I(\$1)', 'p_' || one) INTO plain USING tenant;
			IF cached IS DISTINCT FROM plain THEN wrongs = wrongs || one::text; END IF;
		END LOOP;
		missed = (SELECT string_agg(m, ' ' ORDER BY m) FROM unnest(misses) m);
		wrong = array_to_string(wrongs, ' ');
	END \$\$;
});

sub sql { return $node->safe_psql('postgres', join(";\n", @_)) }

# Twins whose names are PREFIX and what the list of pairs says: names, bodies.
sub make
{
	my (@functions) = @_;
	sql(map { my ($name, $body) = @$_;
		map { "CREATE FUNCTION $_->[0]_$name(t int) RETURNS bigint LANGUAGE $_->[1] STABLE AS \$\$ $body \$\$" }
			[ 'c', 'cached_sql' ], [ 'p', 'sql' ] } @functions);
	return;
}

sub drop
{
	my (@names) = @_;
	sql(map { ("DROP FUNCTION c_$_(int)", "DROP FUNCTION p_$_(int)") } @names);
	return;
}

sub watches
{
	my ($table) = @_;
	return sql("SELECT count(*) FROM aggcache.watch WHERE relation = '$table'::regclass");
}

# A write of tenant 3's (if not given otherwise): exactly these functions miss after it, and none is wrong.
sub ends
{
	my ($prefix, $write, $missing, $name, $tenant) = @_;
	$tenant //= 3;
	sql("SELECT probe('$prefix', $tenant)");
	sql("SELECT probe('$prefix', $tenant)") =~ /^\(,""\)$/ or BAIL_OUT("$prefix: no hits before: $name");
	is(sql($write, "SELECT * FROM probe('$prefix', $tenant)"), join(' ', sort @$missing) . '|', $name);
	return;
}

# ---- The same key, 40 columns, 5 kinds, in random order --------------------------------------------------------------

for my $table ('wide', 'parted')
{
	my $prefix = substr($table, 0, 1);
	my @all = map { { name => "$prefix$_", column => 1 + $_ % 40, kind => 'k' . (($_ + int($_ / 40)) % 5) } } 0 .. 119;
	make(map { [ $_->{name}, "SELECT sum(m$_->{column}) FROM public.$table WHERE tenant = t AND kind = '$_->{kind}'" ] }
		shuffle @all);
	is(watches($table), 1, "$table: one watch for 120 functions");
	is(sql("SELECT granularity, key_columns, reason, count(*) FROM aggcache.dependencies
		WHERE relation = '$table'::regclass GROUP BY 1, 2, 3"),
		'key|{tenant,kind}|rows are selected by these columns|120', "$table: what is said of them");
	is(sql("SELECT watch FROM aggcache.dependencies WHERE function = 'c_${prefix}7(int)'::regprocedure
		AND relation = '$table'::regclass"), 'by tenant, kind, in columns tenant, kind, m8', "$table: of one of them");
	is(sql("SELECT granularity, watch, clause, tags FROM aggcache.explain('c_${prefix}7(int)', 3)"),
		q{key|by tenant, kind, in columns tenant, kind, m8|((tenant = 3) AND (kind = 'k2'::text))|2},
		"$table: of a call of it");

	my $of = sub { my ($test) = @_; return [ map { $_->{name} } grep { $test->() } @all ] };
	my $insert = "INSERT INTO $table (id, tenant, kind, at, m1) VALUES";
	ends($prefix, "$insert (9001, 7, 'k1', now(), 5)", [], "$table: another tenant");
	ends($prefix, "$insert (9002, 3, 'k9', now(), 5)", [], "$table: another kind");
	ends($prefix, "$insert (9003, 3, NULL, now(), 5), (9004, NULL, 'k1', now(), 5)", [], "$table: no kind, no tenant");
	ends($prefix, "$insert (9005, 3, 'k1', now(), 5)", $of->(sub { $_->{kind} eq 'k1' }), "$table: a row comes");
	ends($prefix, "UPDATE $table SET note = 'x', at = now() WHERE tenant = 3", [], "$table: unused columns");
	ends($prefix, "UPDATE $table SET m5 = m5 WHERE tenant = 3", [], "$table: no column");
	ends($prefix, "UPDATE $table SET m5 = 1 WHERE id = 9005",
		$of->(sub { $_->{kind} eq 'k1' && $_->{column} == 5 }), "$table: a used column");
	ends($prefix, "UPDATE $table SET m5 = 2, m6 = 2, m36 = 2 WHERE id = 9005",
		$of->(sub { $_->{kind} eq 'k1' && $_->{column} =~ /^(5|6|36)$/ }), "$table: several");
	ends($prefix, "UPDATE $table SET m5 = 3, m6 = 3 WHERE id = 9001 OR id = 9002", [], "$table: of other rows");
	ends($prefix, "UPDATE $table SET kind = 'k2' WHERE id = 9005",
		$of->(sub { $_->{kind} =~ /k[12]/ }), "$table: another kind from now on");
	ends($prefix, "UPDATE $table SET kind = NULL WHERE id = 9005",
		$of->(sub { $_->{kind} eq 'k2' }), "$table: no kind from now on");
	ends($prefix, "UPDATE $table SET kind = 'k4', m5 = 4 WHERE id = 9005",
		$of->(sub { $_->{kind} eq 'k4' }), "$table: a kind again");
	ends($prefix, "UPDATE $table SET tenant = 7 WHERE id = 9005",
		$of->(sub { $_->{kind} eq 'k4' }), "$table: a row moves to another tenant");
	ends($prefix, "UPDATE $table SET tenant = 3 WHERE id = 9005",
		$of->(sub { $_->{kind} eq 'k4' }), "$table: a row moves away from another tenant", 7);
	ends($prefix, "UPDATE $table SET id = 0 WHERE id = 9005",
		$of->(sub { $table eq 'parted' && $_->{kind} eq 'k4' }), "$table: a row changes its partition");
	ends($prefix, "DELETE FROM $table WHERE id = 0",
		$of->(sub { $_->{kind} eq 'k4' }), "$table: a row goes");
	ends($prefix, "BEGIN; UPDATE $table SET m5 = 9 WHERE tenant = 3; ROLLBACK", [], "$table: nothing is committed");
	ends($prefix, "TRUNCATE $table; INSERT INTO $table SELECT * FROM ONLY wide",
		$of->(sub { 1 }), "$table: TRUNCATE") if $table eq 'parted';

	# a column that only some use goes: first it, then they
	my ($gone, $left) = ([ grep { $_->{column} == 40 } @all ], [ grep { $_->{column} != 40 } @all ]);
	@all = @$left;
	sql("ALTER TABLE $table DROP COLUMN m40");
	sql(map { "DROP FUNCTION p_$_->{name}(int); ALTER FUNCTION c_$_->{name}(int) RENAME TO gone_$_->{name}" } @$gone);
	ends($prefix, "UPDATE $table SET m5 = 10 WHERE tenant = 3 AND kind = 'k3'",
		$of->(sub { $_->{kind} eq 'k3' && $_->{column} == 5 }), "$table: a column is gone");
	sql(map { "DROP FUNCTION gone_$_->{name}(int)" } @$gone);
	ends($prefix, "UPDATE $table SET m5 = 11 WHERE tenant = 3 AND kind = 'k3'",
		$of->(sub { $_->{kind} eq 'k3' && $_->{column} == 5 }), "$table: and the functions that used it");

	# any write, compared with the twins
	my $wrong = 0;
	for (1 .. 25)
	{
		my ($id, $tenant, $kind, $column) = (9100 + int(rand(12)), 3 + int(rand(2)), int(rand(5)), 1 + int(rand(39)));
		my $write = (
			"$insert ($id, $tenant, 'k$kind', now(), $column)",
			"DELETE FROM $table WHERE id = $id",
			"UPDATE $table SET m$column = coalesce(m$column, 0) + 1 WHERE tenant = $tenant AND kind = 'k$kind'",
			"UPDATE $table SET kind = 'k$kind', m$column = $id WHERE id = $id",
			"UPDATE $table SET tenant = $tenant, m@{[1 + $column % 39]} = 5, m$column = 6 WHERE id % 50 = $kind")[rand(5)];
		$node->psql('postgres', $write);
		$wrong += sql("SELECT wrong FROM probe('$prefix', 3)") ne '' || sql("SELECT wrong FROM probe('$prefix', 4)") ne '';
	}
	is($wrong, 0, "$table: no write leaves a wrong answer");

	# a part of them goes; the last ones have their own watches again
	my @order = shuffle map { $_->{name} } @all;
	drop(splice(@order, 0, @order - 20));
	is(watches($table), 1, "$table: 20 are left");
	drop(splice(@order, 0, 15));
	is(watches($table), 5, "$table: 5 are left");
	like(sql("SELECT string_agg(watch, E'\\n') FROM aggcache.dependencies WHERE relation = '$table'::regclass"),
		qr/^(by tenant, where \(kind = 'k\d'::text\), in columns tenant, kind, m\d+\n?){5}$/, "$table: by themselves");
	is(sql("SELECT missed IS NULL, wrong FROM probe('$prefix', 3); SELECT * FROM probe('$prefix', 3)"), "f|\n|",
		"$table: they hit");
	drop(@order);
	is(sql("SELECT (SELECT count(*) FROM aggcache.watch), (SELECT count(*) FROM aggcache.watch_use),
		(SELECT count(*) FROM aggcache.dependency), (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'aggcache%')"),
		'0|0|0|0', "$table: nothing is left");
}

# ---- Several key sets, ranges, whole rows ----------------------------------------------------------------------------

my $day = "at >= timestamptz '2026-01-10 00:00Z' + t * interval '1 hour' AND at < '2026-01-12 00:00Z'";
make(shuffle(
	(map { [ "a$_", "SELECT sum(m$_) FROM public.wide WHERE tenant = t" ] } 1 .. 10),
	(map { [ "b$_", "SELECT sum(m$_ + m2) FROM public.wide WHERE tenant = t AND $day" ] } 3 .. 12),
	(map { [ "d$_", "SELECT sum(m$_) FROM public.wide WHERE tenant = t AND note IS NULL AND kind = 'k1'" ] } 1 .. 10),
	[ 'ba', 'SELECT count(DISTINCT w) FROM public.wide w WHERE tenant = t AND ' . $day ]));
is(watches('wide'), 3, 'one watch for each key set');
sub names { my ($prefix, @numbers) = @_; return [ map { "$prefix$_" } @numbers ] }
my $in = "tenant = 3 AND at = (SELECT max(at) FROM wide WHERE tenant = 3 AND at < '2026-01-12 00:00Z')";
my $out = "tenant = 3 AND at = (SELECT max(at) FROM wide WHERE tenant = 3)";
ends('a', "UPDATE wide SET m4 = 100 WHERE $out", names('a', 4), 'by key: one column');
ends('b', "UPDATE wide SET m4 = 101 WHERE $out", [], 'by range: a column out of the range');
ends('b', "UPDATE wide SET m4 = 102 WHERE $in", names('b', 4, 'a'), 'by range: a column in the range');
ends('b', "UPDATE wide SET m2 = 103 WHERE $in", names('b', 3 .. 12, 'a'), 'by range: a column that all use');
ends('b', "UPDATE wide SET m39 = 104 WHERE $in", names('b', 'a'), 'by range: a column that only the whole row has');
ends('b', "UPDATE wide SET at = '2026-03-01' WHERE $in", names('b', 3 .. 12, 'a'), 'by range: a row leaves the range');
ends('b', "UPDATE wide SET at = '2026-04-01' WHERE $out", [], 'by range: a row moves beyond the range');
ends('b', "UPDATE wide SET at = '2026-01-11 12:00Z' WHERE $out", names('b', 3 .. 12, 'a'),
	'by range: a row comes into the range');
ends('d', "UPDATE wide SET note = 'x' WHERE tenant = 3 AND kind = 'k2'", [], 'IS NULL: another kind');
ends('d', "UPDATE wide SET note = 'y' WHERE tenant = 3 AND note IS NOT NULL", [], 'IS NULL: not null stays so');
sql("INSERT INTO wide (id, tenant, kind, at) VALUES (9300, 3, 'k1', '2026-01-01')");
ends('d', 'UPDATE wide SET m7 = 1 WHERE id = 9300', names('d', 7), 'IS NULL: a column');
ends('d', "UPDATE wide SET note = 'z' WHERE id = 9300", names('d', 1 .. 10), 'IS NULL: a value comes');
ends('d', 'UPDATE wide SET m7 = 2 WHERE id = 9300', [], 'IS NULL: a column of such a row');
is(sql("SELECT tags < 128, finer FROM aggcache.explain('c_b3(int)', 3)"), 't|', 'columns and cells are told apart');

# ---- Conditions that are no keys -------------------------------------------------------------------------------------

drop(map { s/^c_//r } split(/\n/, sql("SELECT proname FROM pg_proc WHERE proname LIKE 'c\\_%'")));
is(watches('wide'), 0, 'no function, no watch');
make(map { [ "e$_", "SELECT sum(m1) FROM public.wide WHERE tenant = t AND m2 <> $_" ] } shuffle 1 .. 80);
is(watches('wide'), 64, 'as many watches as a table can have');
is(sql("SELECT granularity, reason = 'rows are selected by these columns', reason ~ 'as many watches', count(*)
	FROM aggcache.dependencies GROUP BY 1, 2, 3 ORDER BY 4"), "key|f|t|17\nkey|t|f|63", 'what is said of those without');
my $without = sql("SELECT substr(function::text, 3) FROM aggcache.dependencies WHERE reason ~ 'as many' LIMIT 1");
my ($number) = $without =~ /e(\d+)/;
is(sql("SELECT watch, finer FROM aggcache.explain('c_$without', 3)"), "by tenant, in columns tenant, m1, m2|"
	. "a watch by tenant, where (m2 <> $number), in columns tenant, m1, m2, for which the table has too many",
	'and of a call');
sql("INSERT INTO wide (id, tenant, kind, at, m1, m2) VALUES (9400, 3, 'k1', now(), 1, $number)");
ends('e', 'UPDATE wide SET m3 = 2 WHERE id = 9400', [], 'a column that none uses');
sql("SELECT probe('e', 3)", 'UPDATE wide SET m1 = 3 WHERE id = 9400');
is(sql("SELECT wrong, (SELECT count(*) FROM regexp_split_to_table(missed, ' ')) FROM probe('e', 3)"), '|80',
	'a row of all, but for the one that leaves it out and has no watch for that');
drop(map { "e$_" } 1 .. 80);
is(watches('wide'), 0, 'no watch is left');

done_testing();
