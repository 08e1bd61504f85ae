# Rows that code changes by itself, without the executor and so without triggers: other sessions see them once they are
# committed, the transaction itself at once.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use AggcacheTest;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::system_or_bail('cp', glob("$FindBin::Bin/../hooks/*"), $directory);
my $config = $ENV{PG_CONFIG} // 'pg_config';
PostgreSQL::Test::Utils::system_or_bail('make', '-s', '-C', $directory, "PG_CONFIG=$config");

my $node = new_node('main', conf => "max_prepared_transactions = 10\n");
$node->safe_psql('postgres', qq{
	CREATE EXTENSION pg_aggcache;
	CREATE FUNCTION write_insert(regclass, int, how text DEFAULT 'table', unlock bool DEFAULT false) RETURNS void
		LANGUAGE c AS '$directory/writing';
	CREATE FUNCTION write_update(regclass, int) RETURNS void LANGUAGE c AS '$directory/writing';
	CREATE FUNCTION write_delete(regclass) RETURNS void LANGUAGE c AS '$directory/writing';
	CREATE TABLE t (k int, v int);
	CREATE TABLE p (k int, v int) PARTITION BY LIST (k);
	CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
	CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
	CREATE MATERIALIZED VIEW m AS SELECT 1 AS v;
	CREATE FUNCTION cached_t(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) FROM t WHERE k = x';
	CREATE FUNCTION plain_t(x int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(v) FROM t WHERE k = x';
	CREATE FUNCTION cached_p(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) FROM p WHERE k = x';
	CREATE FUNCTION plain_p(x int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(v) FROM p WHERE k = x';
	CREATE FUNCTION cached_m(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) FROM m WHERE v >= x';
	CREATE FUNCTION plain_m(x int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(v) FROM m WHERE v >= x';
});

sub session { return PsqlSession->new('psql', '-d', $node->connstr('postgres')) }

# Rows of a query in a session that lives on.
sub rows
{
	my ($session, $sql) = @_;
	return join "\n", map { join '|', @$_ } $session->query($sql);
}

my @watchers = map { session() } 1 .. 2;
my %function = (t => 't', p1 => 'p', m => 'm');

# Compares in a session that lives on, with what it had before, and again.
sub agrees
{
	my ($name, $what) = @_;
	for my $watcher (@watchers)
	{
		is(rows($watcher, "SELECT cached_$what(1) IS NOT DISTINCT FROM plain_$what(1),
			cached_$what(1) IS NOT DISTINCT FROM plain_$what(1);"), 't|t', $name);
	}
	return;
}

my %writes = (
	'insert, simple' => sub { "SELECT write_insert('$_[0]', 1, 'simple')" },
	'insert by the access method' => sub { "SELECT write_insert('$_[0]', 1, 'table')" },
	'insert of many' => sub { "SELECT write_insert('$_[0]', 1, 'multi')" },
	'insert that gives its lock back' => sub { "SELECT write_insert('$_[0]', 1, 'table', true)" },
	'update' => sub { "SELECT write_update('$_[0]', 1)" },
	'delete' => sub { "SELECT write_delete('$_[0]')" });
for my $relation ('t', 'p1', 'm')
{
	my $what = $function{$relation};
	my $own = "SELECT cached_$what(1) IS NOT DISTINCT FROM plain_$what(1)";
	for my $name (sort keys %writes)
	{
		my $write = $writes{$name}->($relation);
		my $title = "$relation: $name";
		$node->safe_psql('postgres', "SELECT write_insert('$relation', 1)");
		agrees("$title, before", $what);
		$node->safe_psql('postgres', $write);
		agrees("$title, by itself", $what);
		is($node->safe_psql('postgres', "SELECT write_insert('$relation', 1); BEGIN; $own; $write; $own; $own; COMMIT; $own"),
			"\nt\n\nt\nt\nt", "$title, its own session");
		agrees("$title, in a block", $what);
		# a row that is reported, beside it and before it, in savepoints that are rolled back or not
		next if $relation eq 'm';
		my $reported = "INSERT INTO $relation VALUES (1, 7)";
		for my $block (
			"$reported; $write", "$write; $reported", "SAVEPOINT a; $reported; $reported; ROLLBACK TO a; $write",
			"SAVEPOINT a; $write; RELEASE a", "SAVEPOINT a; $reported; SAVEPOINT b; $reported; $write; RELEASE b; RELEASE a",
			"SAVEPOINT a; $reported; SAVEPOINT b; $reported; ROLLBACK TO b; $reported; RELEASE a; $write",
			"SAVEPOINT a; $write; ROLLBACK TO a; $reported",
			"SAVEPOINT a; $reported; UPDATE $relation SET v = v + 1; DELETE FROM $relation; ROLLBACK TO a; SAVEPOINT c; $write")
		{
			$node->safe_psql('postgres', "SELECT write_insert('$relation', 1)");
			agrees("$title, before $block", $what);
			unlike($node->safe_psql('postgres', "BEGIN; $block; $own; $own; COMMIT"), qr/^f$/m, "$title, own: $block");
			agrees("$title: $block", $what);
		}
		$node->safe_psql('postgres', "SELECT write_insert('$relation', 1); BEGIN; $write; PREPARE TRANSACTION 'x'");
		agrees("$title, prepared", $what);
		$node->safe_psql('postgres', "COMMIT PREPARED 'x'");
		agrees("$title, prepared and committed", $what);
	}
}

# rows that the trigger reports cost nothing more
my $granular = session();
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2, 2); ANALYZE t');
rows($granular, 'SELECT cached_t(1), cached_t(2);');
$node->safe_psql('postgres', "BEGIN; INSERT INTO t VALUES (1, 5); SAVEPOINT a; UPDATE t SET v = 8 WHERE k = 1;
	RELEASE a; SAVEPOINT b; INSERT INTO t VALUES (1, 6); ROLLBACK TO b; DELETE FROM t WHERE k = 1 AND v = 8; COMMIT");
is(rows($granular, 'SELECT cached_t(2); SELECT result FROM aggcache.last_call();'), "2\nhit",
	'a reported write ends the results of its key only');

# within one statement
is($node->safe_psql('postgres', q{SELECT cached_t(2); SELECT write_insert('t', 2); SELECT cached_t(2) = plain_t(2)}),
	"2\n\nt", 'then within the session');
is($node->safe_psql('postgres', q{SELECT cached_t(2);
	DO $$ BEGIN PERFORM cached_t(2); PERFORM write_insert('t', 2); ASSERT cached_t(2) = plain_t(2); END $$;
	SELECT cached_t(2) = plain_t(2)}), "4\nt", 'in one statement');

# where nothing is counted, everything counts
for my $off ('SET track_counts = off', "SET LOCAL track_counts = off")
{
	$node->safe_psql('postgres', "SELECT cached_t(1), cached_p(1)");
	agrees("$off, before", $_) for 't', 'p';
	is($node->safe_psql('postgres', "BEGIN; $off; SELECT write_insert('t', 1); SELECT write_insert('p1', 1);
		SELECT cached_t(1) = plain_t(1), cached_p(1) = plain_p(1); SET track_counts = on;
		SELECT cached_t(1) = plain_t(1), cached_p(1) = plain_p(1); COMMIT"), "\n\nt|t\nt|t", "$off: own");
	agrees($off, $_) for 't', 'p';
}

# An access method that counts nothing, in a transaction that has written more tables than are noted: what the trigger
# says is all there is, and within a statement not even that.
my @many = map { "many_$_" } 1 .. 130;
$node->safe_psql('postgres', qq{
	CREATE FUNCTION silent_handler(internal) RETURNS table_am_handler LANGUAGE c AS '$directory/silent';
	CREATE ACCESS METHOD silent TYPE TABLE HANDLER silent_handler;
	CREATE TABLE u (k int, v int) USING silent;
	CREATE FUNCTION cached_u(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM u WHERE k = x';
	CREATE FUNCTION plain_u(x int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM u WHERE k = x';
	CREATE FUNCTION agrees_u() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (cached_u(1) = plain_u(1))::int; END';}
	. join(';', map { "CREATE TABLE $_ (x int)" } @many));
my $many = join(';', map { "INSERT INTO $_ VALUES (1)" } @many);
agrees('many tables, before', 'u');
is($node->safe_psql('postgres', q{BEGIN; INSERT INTO u VALUES (1, 0); SELECT n_tup_ins FROM pg_stat_xact_user_tables
	WHERE relname = 'u'; ROLLBACK}), '0', 'nothing is counted');
$node->safe_psql('postgres', "BEGIN; $many; INSERT INTO u VALUES (1, 1); COMMIT");
agrees('many tables', 'u');
is($node->safe_psql('postgres', "BEGIN; $many; INSERT INTO u SELECT 1, agrees_u() FROM generate_series(1, 3);
	SELECT agrees_u(); COMMIT; SELECT min(v) FROM u"), "1\n1", 'many tables, within a statement and after it');
agrees('many tables, after the statement', 'u');

done_testing();
