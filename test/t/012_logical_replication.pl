# A subscriber whose tables are sources of cached functions: what the apply workers write there (the copy at the start,
# changes, large transactions while they still run, TRUNCATE) invalidates, and in between the subscriber hits.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
# so that a transaction of some thousand rows is streamed before it commits
$publisher->append_conf('postgresql.conf', "logical_decoding_work_mem = 64kB\nautovacuum = off\n");
$publisher->start;
my $subscriber = new_node('subscriber', conf => "wal_level = logical\nautovacuum = off\n");

$publisher->safe_psql('postgres', q{
	CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL);
	INSERT INTO task SELECT i, 1 + i % 3, i FROM generate_series(1, 9) i;
	CREATE TABLE bare (id int, dept int, hours int);
	ALTER TABLE bare REPLICA IDENTITY FULL;
	CREATE PUBLICATION pub FOR TABLE task, bare});
fixture($subscriber);
$subscriber->safe_psql('postgres', q{
	TRUNCATE task;
	CREATE TABLE bare (id int, dept int, hours int);
	CREATE FUNCTION cached_bare(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours) FROM public.bare WHERE dept = d'});

my %plain = (
	task => 'SELECT sum(hours) FROM task WHERE dept = %d',
	bare => 'SELECT sum(hours) FROM bare WHERE dept = %d');
my %cached = (task => 'cached_hours(%d)', bare => 'cached_bare(%d)');

# Checks on the subscriber, key by key, that the cached answer is the plain one and is kept.
sub replicated
{
	my ($name, $table, $values) = @_;
	for my $key (sort keys %$values)
	{
		my $value = $values->{$key};
		my ($cached, $plain) = (sprintf($cached{$table}, $key), sprintf($plain{$table}, $key));
		is($subscriber->safe_psql('postgres', "SELECT $cached IS NOT DISTINCT FROM ($plain), $cached;
			SELECT $cached IS NULL; SELECT result FROM aggcache.last_call()") =~ s/^(.*)\n[tf]\n/$1 /r,
			"t|$value hit", "$name: $key is right, and stays");
	}
	return;
}

# Stores the results of all keys.
sub warm
{
	my ($table, @keys) = @_;
	$subscriber->safe_psql('postgres', join(';', map { 'SELECT ' . sprintf($cached{$table}, $_) } @keys));
	return;
}

# What a call of each key finds, in one session, as "hit miss …".
sub found
{
	my ($table, @keys) = @_;
	my $out = $subscriber->safe_psql('postgres',
		join('', map { 'SELECT ' . sprintf($cached{$table}, $_) . ' IS NULL; SELECT result FROM aggcache.last_call();' }
			@keys));
	return join(' ', grep { !/^[tf]$/ } split(/\n/, $out));
}

# Waits until all tables are copied, and until that has been noted: no worker has a transaction of its own any more.
sub synchronized
{
	$subscriber->wait_for_subscription_sync($publisher, 'sub');
	wait_for_query($subscriber, q{SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate <> 'r'},
		'the tables to be ready');
	return;
}

# ---- The copy at the start ------------------------------------------------------------------------------------------

warm('task', 1 .. 3);
is(found('task', 1 .. 3), 'hit hit hit', 'the empty table is cached');
my $connection = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION pub WITH (streaming = on)");
synchronized();
is(found('task', 1 .. 3), 'miss miss miss', 'the copy at the start invalidates');
replicated('copy', 'task', { 1 => 18, 2 => 12, 3 => 15 });

# ---- Changes --------------------------------------------------------------------------------------------------------

sub change
{
	my ($name, $table, $sql, $expected, $values) = @_;
	my @keys = sort keys %$values;
	warm($table, @keys);
	is(found($table, @keys), join(' ', ('hit') x @keys), "$name: cached before");
	$publisher->safe_psql('postgres', $sql);
	$publisher->wait_for_catchup('sub');
	is(found($table, @keys), $expected, "$name: $expected");
	replicated($name, $table, $values);
	return;
}

change('UPDATE', 'task', 'UPDATE task SET hours = hours + 10 WHERE id = 3', 'miss hit hit',
	{ 1 => 28, 2 => 12, 3 => 15 });
change('UPDATE that moves a row', 'task', 'UPDATE task SET dept = 2 WHERE id = 3', 'miss miss hit',
	{ 1 => 15, 2 => 25, 3 => 15 });
change('INSERT', 'task', 'INSERT INTO task VALUES (30, 3, 5)', 'hit hit miss', { 1 => 15, 2 => 25, 3 => 20 });
change('DELETE', 'task', 'DELETE FROM task WHERE id = 30', 'hit hit miss', { 1 => 15, 2 => 25, 3 => 15 });
change('a savepoint that is rolled back', 'task',
	'BEGIN; UPDATE task SET hours = 0 WHERE dept = 1; SAVEPOINT s; DELETE FROM task WHERE dept = 3; ROLLBACK TO s;
	COMMIT',
	'miss hit hit', { 1 => 0, 2 => 25, 3 => 15 });
change('COPY', 'task', "COPY task FROM stdin;\n40\t1\t4\n41\t1\t5\n\\.\n", 'miss hit hit',
	{ 1 => 9, 2 => 25, 3 => 15 });

# a replica identity of whole rows
$publisher->safe_psql('postgres', 'INSERT INTO bare SELECT i, 1 + i % 2, i FROM generate_series(1, 6) i');
$publisher->wait_for_catchup('sub');
change('UPDATE by whole rows', 'bare', 'UPDATE bare SET hours = 100 WHERE id = 2', 'miss hit', { 1 => 110, 2 => 9 });
change('DELETE by whole rows', 'bare', 'DELETE FROM bare WHERE id = 1', 'hit miss', { 1 => 110, 2 => 8 });

# ---- A large transaction, streamed while it runs --------------------------------------------------------------------

# 16 and later apply it as it comes, in a worker of its own; before, it is kept in a file until it commits.
my $parallel = $subscriber->safe_psql('postgres', 'SHOW server_version_num') >= 160000;
$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION sub SET (streaming = parallel)') if $parallel;
$publisher->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'});

my $writer = $publisher->background_psql('postgres');
$writer->set_query_timer_restart();
sub streamed
{
	my ($name, $end, $expected, $values) = @_;
	my @keys = sort keys %$values;
	warm('task', @keys);
	my $before = $publisher->safe_psql('postgres', 'SELECT sum(stream_count) FROM pg_stat_replication_slots');
	$writer->query_safe('BEGIN; INSERT INTO task SELECT i, 1, 1 FROM generate_series(1001, 4000) i');
	# decoding goes on when the WAL does
	$publisher->poll_query_until('postgres', "SELECT pg_logical_emit_message(false, 'go', 'on') IS NOT NULL AND
		sum(stream_count) > $before FROM pg_stat_replication_slots")
	  or die 'not streamed';
	if ($parallel)
	{
		$subscriber->poll_query_until('postgres',
			q{SELECT count(*) > 0 FROM pg_locks WHERE relation = 'task'::regclass AND mode = 'RowExclusiveLock'})
		  or die 'not applied';
	}
	is(found('task', @keys), join(' ', ('hit') x @keys), "$name: hits while it runs");
	$writer->query_safe($end);
	$publisher->wait_for_catchup('sub');
	is(found('task', @keys), $expected, "$name: $expected");
	replicated($name, 'task', $values);
	return;
}
streamed('a large transaction', 'COMMIT', 'miss hit hit', { 1 => 3009, 2 => 25, 3 => 15 });
$publisher->safe_psql('postgres', 'DELETE FROM task WHERE id > 1000');
$publisher->wait_for_catchup('sub');
streamed('a large transaction that is rolled back', 'ROLLBACK', 'hit hit hit', { 1 => 9, 2 => 25, 3 => 15 });
$writer->quit;

# ---- TRUNCATE, and the copy of a table that joins later -------------------------------------------------------------

change('TRUNCATE', 'task', 'TRUNCATE task', 'miss miss miss', { 1 => '', 2 => '', 3 => '' });
change('INSERT afterwards', 'task', 'INSERT INTO task VALUES (1, 1, 1)', 'miss hit hit', { 1 => 1, 2 => '', 3 => '' });

$publisher->safe_psql('postgres', q{
	ALTER PUBLICATION pub DROP TABLE bare; TRUNCATE bare; INSERT INTO bare VALUES (1, 1, 1), (2, 2, 2)});
$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION sub REFRESH PUBLICATION; TRUNCATE bare');
warm('bare', 1 .. 2);
is(found('bare', 1 .. 2), 'hit hit', 'copy anew: cached before');
$publisher->safe_psql('postgres', 'ALTER PUBLICATION pub ADD TABLE bare');
$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION sub REFRESH PUBLICATION');
synchronized();
is(found('bare', 1 .. 2), 'miss miss', 'copy anew: invalidates');
replicated('copy anew', 'bare', { 1 => 1, 2 => 2 });

done_testing();
