# Many sessions that ask for one cold key: the body runs once. When whoever computes is cancelled or killed, nobody
# waits for long, and with a caller that holds locks there is no deadlock.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $sessions = 50;
my $node = new_node('main', conf => "aggcache.wait_timeout = '1h'\nmax_connections = 100\n");
fixture($node);
$node->safe_psql('postgres', q{
	CREATE TABLE gate (a int);
	INSERT INTO gate VALUES (0);
	CREATE FUNCTION cached_slow(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours + a) FROM task, gate WHERE dept = d';
});

# Sessions get to know the function first, and then wait at an advisory lock: what they do next does not depend on locks
# that only the analysis of a definition takes.
my $known = 'SELECT cached_slow(2) < 0;';

# A session that waits at advisory lock $lock before it calls.
sub ready
{
	my ($name, $lock, $call) = @_;
	return background($node, "SET application_name = '$name'; $known " .
		"SELECT pg_advisory_xact_lock_shared($lock) IS NULL; " .
		($call // 'SELECT cached_slow(1)'));
}

sub wait_for
{
	my ($name, $count, $type) = @_;
	wait_for_query($node, "SELECT count(*) = $count FROM pg_stat_activity WHERE application_name = '$name'
		AND wait_event_type = '$type'", "$count x $name to wait for $type");
	return;
}

# A leader that computes, held up by the table gate, and followers that wait for it. $call is what followers call.
my ($holder, $before);
sub take_off
{
	my ($followers, $call) = @_;
	# so that getting to know the function is a hit
	$node->safe_psql('postgres', 'SELECT aggcache.invalidate_all(); SELECT cached_slow(2)');
	wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'},
		'the writer');
	$before = computed($node);
	my $one = hold($node, 'one', 'SELECT pg_advisory_xact_lock(1)');
	my $two = hold($node, 'two', 'SELECT pg_advisory_xact_lock(2)');
	my $leader = ready('leader', 1);
	my @followers = map { ready('follower', 2, $call) } 1 .. $followers;
	wait_for('leader', 1, 'Lock');
	wait_for('follower', $followers, 'Lock');
	$holder = hold($node, 'holder', 'LOCK TABLE gate');
	release($node, 'one', $one);
	wait_for_query($node, q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted},
		'the leader');
	release($node, 'two', $two);
	return ($leader, @followers);
}

sub open_gate
{
	release($node, 'holder', $holder);
	return;
}

sub answers
{
	my %seen;
	for my $session (@_)
	{
		my ($out, $err) = wait_background($session);
		$seen{"$out$err"}++;
	}
	return join ', ', map { "$_ x$seen{$_}" } sort keys %seen;
}

my $expected = "f\nf\n18 x$sessions";
for my $end ('finishes', 'is cancelled', 'is terminated')
{
	my ($leader, @followers) = take_off($sessions);
	wait_for('follower', $sessions, 'Extension');
	if ($end ne 'finishes')
	{
		$node->safe_psql('postgres', 'SELECT ' . ($end eq 'is cancelled' ? 'pg_cancel_backend' : 'pg_terminate_backend') .
			q{(pid) FROM pg_stat_activity WHERE application_name = 'leader'});
		# another takes its place; the rest waits for that one
		wait_for('follower', 1, 'Lock');
	}
	open_gate();
	is(answers(@followers), $expected, "the leader $end: every follower has the answer");
	wait_background($leader);
	wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'},
		'all to end');
	is(computed($node) - $before, 1, "the leader $end: computed once");
}

# a follower can be cancelled, and does not take the others along
{
	my ($leader, @followers) = take_off($sessions);
	wait_for('follower', $sessions, 'Extension');
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'follower'
		ORDER BY pid LIMIT 1});
	wait_for('follower', $sessions - 1, 'Extension');
	open_gate();
	my $answers = answers($leader, @followers);
	like($answers, qr/canceling statement due to user request/, 'one follower is cancelled');
	like($answers, qr/\b18 x$sessions\b/, 'leader and others have the answer');
}

# who holds a table lock, or has written, computes by itself: the leader may be waiting for it
for my $call ('BEGIN; LOCK TABLE other; SELECT cached_slow(1); COMMIT',
	'BEGIN; INSERT INTO other VALUES (1); SELECT cached_slow(1); COMMIT')
{
	$node->safe_psql('postgres', 'CREATE TABLE IF NOT EXISTS other (a int)');
	my ($leader, $follower) = take_off(1, $call);
	wait_for_query($node, q{SELECT count(*) = 2 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted}, $call);
	open_gate();
	is(answers($leader, $follower), 'f' . "\nf\n18 x2", "no waiting for the leader: $call");
}

# the wait ends after aggcache.wait_timeout
{
	my ($leader, $follower) = take_off(1, q{SET aggcache.wait_timeout = '100ms'; SELECT cached_slow(1)});
	wait_for_query($node, q{SELECT count(*) = 2 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted},
		'wait_timeout');
	open_gate();
	is(answers($leader, $follower), "f\nf\n18 x2", 'wait_timeout');
}
done_testing();
