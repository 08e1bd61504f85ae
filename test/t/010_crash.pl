# kill -9 of a backend, and of the whole server, at awkward moments: what comes after is right.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main', conf => "restart_after_crash = on\nmax_prepared_transactions = 5\n");
fixture($node);
my @hours = ('cached_hours(1)', 'plain_hours(1)');
my $value = 18;

# waits until a process has ended, whether or not its parent has taken note
sub wait_until_gone
{
	my ($pid) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		open(my $status, '<', "/proc/$pid/stat") or return;
		return if <$status> =~ /\) [ZX] /;
		select(undef, undef, undef, 0.1);
	}
	die "process $pid does not end";
}

# the process id of a session that sleeps in the middle of something
sub victim
{
	my ($sql) = @_;
	my $session = background($node, "SET application_name = 'victim'; BEGIN; $sql; SELECT pg_sleep(1000)");
	wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'victim'
		AND wait_event = 'PgSleep'}, 'the victim to sleep');
	return ($session, $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'victim'}));
}

for my $sql ('SELECT cached_hours(1)', 'UPDATE task SET hours = -1 WHERE id = 3', 'TRUNCATE task',
	'UPDATE task SET hours = -1 WHERE id = 3; SELECT cached_hours(1)', 'DROP FUNCTION cached_hours(int)')
{
	$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 3');
	$value++;
	$node->safe_psql('postgres', 'SELECT cached_hours(2), cached_hours(3)');
	# one that is prepared holds a lock, which TRUNCATE and detaching a table would wait for
	my $prepared = $sql !~ /TRUNCATE|DROP/;
	$node->safe_psql('postgres', q{BEGIN; UPDATE task SET hours = hours + 1 WHERE id = 6; PREPARE TRANSACTION 'p'})
		if $prepared;
	my ($session, $pid) = victim($sql);
	kill_backend($node, $pid, $session);
	same($node, @hours, $value, "killed after: $sql") for 1 .. 2;
	# as long as it is not known how that ends, nothing can be proven
	$node->safe_psql('postgres', "COMMIT PREPARED 'p'") if $prepared;
	$value++ if $prepared;
	same($node, @hours, $value, 'prepared before the crash, committed after') for 1 .. 2;
	is_hit($node, 'SELECT cached_hours(1)', 'and caches');
}

for (1 .. 2)
{
	$node->safe_psql('postgres', 'SELECT cached_hours(1); UPDATE task SET hours = hours + 1 WHERE id = 3');
	$value++;
	my $pid = $node->{_pid};
	$node->kill9;
	wait_until_gone($pid);
	# whoever adopted the postmaster may never reap it, and pg_ctl would take what is left of it for a running server
	unlink $node->data_dir . '/postmaster.pid', $node->host . '/.s.PGSQL.' . $node->port . '.lock';
	# its children take a moment to notice, and hold the shared memory until then
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last if $node->start(fail_ok => 1);
		select(undef, undef, undef, 0.1);
	}
	same($node, @hours, $value, 'the server was killed') for 1 .. 2;
	is_hit($node, 'SELECT cached_hours(1)', 'and caches');
}
done_testing();
