# What the TAP tests share: a server with a fixture, comparisons of cached with plain answers, background sessions.
package AggcacheTest;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node fixture same computed is_hit is_computed background wait_background wait_for_query
	hold release kill_backend);

# A started server with the library preloaded. OPTIONS: conf => text, start => 0. It keeps results in
# AGGCACHE_TEST_STORE, if that is set, which uses the servers that redis_servers.py started in AGGCACHE_TEST_REDIS.
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => $options{streaming} ? 1 : 0);
	# a transaction that comes and goes by itself may cost a hit
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_aggcache'\nautovacuum = off\n");
	# what is expected to be a hit must not depend on how busy the machine is
	$node->append_conf('postgresql.conf', "aggcache.store = '$ENV{AGGCACHE_TEST_STORE}'\n"
		. "aggcache.redis_timeout = '30s'\naggcache.redis_connect_timeout = '30s'\n"
		. PostgreSQL::Test::Utils::slurp_file("$ENV{AGGCACHE_TEST_REDIS}/postgresql.conf"))
		if $ENV{AGGCACHE_TEST_STORE};
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$node->start unless defined $options{start} && !$options{start};
	return $node;
}

# A table of nine tasks in three departments, cached_hours(d) and plain_hours(d).
sub fixture
{
	my ($node, $db) = @_;
	$node->safe_psql($db // 'postgres', q{
		CREATE EXTENSION IF NOT EXISTS pg_aggcache;
		CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL);
		INSERT INTO task SELECT i, 1 + i % 3, i FROM generate_series(1, 9) i;
		CREATE FUNCTION plain_hours(d int) RETURNS bigint LANGUAGE sql STABLE
			AS 'SELECT sum(hours) FROM public.task WHERE dept = d';
		CREATE FUNCTION cached_hours(d int) RETURNS bigint LANGUAGE cached_sql STABLE
			AS 'SELECT sum(hours) FROM public.task WHERE dept = d';
	});
	return;
}

# Checks in one statement that two expressions agree, and that they have the value.
sub same
{
	my ($node, $cached, $plain, $value, $name, %options) = @_;
	my $out = '';
	my ($rc, $stdout, $stderr) = $node->psql($options{db} // 'postgres',
		($options{before} // '') . "\nSELECT ($cached) IS NOT DISTINCT FROM ($plain), ($cached);");
	$stdout = (split /\n/, $stdout)[-1] // '' if defined $stdout;
	is($stdout . ($stderr ? " $stderr" : ''), "t|$value", $name);
	return;
}

# How often the fixture's table was scanned so far: each computation does so once, a hit does not.
sub computed
{
	my ($node, $db) = @_;
	return $node->safe_psql($db // 'postgres',
		q{SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'task'});
}

# Checks how often a query, which must not read the fixture's table otherwise, computes the body.
sub is_computed
{
	my ($node, $sql, $times, $name, %options) = @_;
	# what earlier sessions counted arrives when their processes have ended
	wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'},
		'earlier sessions to end');
	my $before = computed($node, $options{db});
	$node->safe_psql($options{db} // 'postgres', "$sql;\nSELECT pg_stat_force_next_flush();");
	is(computed($node, $options{db}) - $before, $times, $name);
	return;
}

sub is_hit
{
	my ($node, $sql, $name, %options) = @_;
	is_computed($node, $sql, 0, $name, %options);
	return;
}

# A session that runs some SQL in the background.
sub background
{
	my ($node, $sql, %options) = @_;
	my ($out, $err) = ('', '');
	# from a file: input by a pipe would only flow while the harness is pumped
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script';
	append_to_file($file, $sql);
	my $handle = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($options{db} // 'postgres'), '-f', $file ],
		'<', \undef, '>', \$out, '2>', \$err);
	return { handle => $handle, out => \$out, err => \$err };
}

# Its output and errors, when it has ended.
sub wait_background
{
	my ($session) = @_;
	$session->{handle}->finish;
	chomp(${ $session->{out} }, ${ $session->{err} });
	return (${ $session->{out} }, ${ $session->{err} });
}

sub wait_for_query
{
	my ($node, $sql, $what) = @_;
	$node->poll_query_until('postgres', $sql) or die "timed out: $what";
	return;
}

# A session called NAME, which has run some SQL in a transaction and keeps it open.
sub hold
{
	my ($node, $name, $sql) = @_;
	my $session = background($node, "SET application_name = '$name'; BEGIN; $sql; SELECT pg_sleep(1000)");
	wait_for_query($node, qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$name'
		AND wait_event = 'PgSleep'}, "$name to hold its lock");
	return $session;
}

# Ends it.
sub release
{
	my ($node, $name, $session) = @_;
	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '$name'");
	wait_background($session);
	return;
}

# kill -9 of a backend, whose session is given too; returns when the server is up again.
sub kill_backend
{
	my ($node, $pid, $session) = @_;
	my $offset = -s $node->logfile;
	kill 'KILL', $pid;
	wait_background($session);
	# the client may know before the postmaster does, which goes on accepting connections until then
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	wait_for_query($node, 'SELECT NOT pg_is_in_recovery()', 'the server to come back');
	return;
}

1;
