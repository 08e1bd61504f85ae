# Many sessions that ask for one cold key: the body runs once, also in transactions that hold locks. When whoever
# computes is cancelled or killed, nobody waits for long, and no wait is part of a deadlock.
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
	CREATE TABLE other (a int);
	INSERT INTO other VALUES (1), (2);
});

# Sessions get to know the function first, and then wait at an advisory lock: what they do next does not depend on locks
# that only the analysis of a definition takes.
# A session that waits at advisory lock $lock before it calls.
sub ready
{
	my ($name, $lock, $call, $known) = @_;
	$known //= 'SELECT cached_slow(2) < 0;';
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

# a transaction that has read, written or locked something else shares a computation, as long as nobody waits for it
my @transactions = (
	'BEGIN; SELECT count(*) < 0 FROM other',
	'BEGIN; INSERT INTO other VALUES (1); SELECT false',
	'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) < 0 FROM other',
	'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) < 0 FROM other; INSERT INTO other VALUES (1)',
	'BEGIN; SAVEPOINT s; LOCK TABLE other IN ROW EXCLUSIVE MODE; SELECT pg_advisory_xact_lock_shared(77) IS NULL',
	'BEGIN; DECLARE c CURSOR FOR SELECT a < 0 FROM other; FETCH c');
for my $transaction (@transactions)
{
	my ($leader, @followers) = take_off(5, "$transaction; SELECT cached_slow(1); ROLLBACK");
	wait_for('follower', 5, 'Extension');
	open_gate();
	is(answers(@followers), "f\nf\nf\n18 x5", "every follower has the answer: $transaction");
	wait_background($leader);
	wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'},
		'all to end');
	is(computed($node) - $before, 1, "computed once: $transaction");
}

# Each kind of wait for a follower, by a session that holds what the leader waits for. With waits for flights that
# PostgreSQL does not know of, these cycles would last for aggcache.wait_timeout; the follower notices, and computes.
$node->safe_psql('postgres', q{
	-- waits in the leader only, of a row: what does not depend on rows would be evaluated before the look-up
	CREATE FUNCTION hold_up(row_value int) RETURNS int LANGUAGE plpgsql STABLE AS $$
	BEGIN
		IF current_setting('application_name') = 'leader' THEN PERFORM pg_advisory_xact_lock(4); END IF;
		RETURN 0;
	END $$;
	CREATE FUNCTION cached_held(d int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = ''
		AS 'SELECT sum(hours + hold_up(hours)) FROM task WHERE dept = d';
	CREATE TABLE written (a int);
	CREATE TABLE pinned (a int);
	INSERT INTO pinned VALUES (1), (2);
	CREATE TABLE parted (a int) PARTITION BY LIST (a);
	CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);
});
for my $case (
	[ 'SELECT count(*) < 0 FROM other', 'BEGIN; LOCK TABLE other; COMMIT', 'a lock by the fast path' ],
	[ 'SAVEPOINT s; LOCK TABLE other; SELECT false', 'SELECT count(*) FROM other', 'a table lock' ],
	[ 'UPDATE other SET a = 2; SELECT false', 'UPDATE other SET a = 3', 'a transaction' ],
	[ 'SAVEPOINT s; UPDATE other SET a = 2; SELECT false', 'DELETE FROM other', 'a subtransaction' ],
	[ 'SELECT pg_advisory_lock(50) IS NULL', 'SELECT pg_advisory_xact_lock(50)', 'an advisory lock' ],
	[ 'SELECT count(*) < 0 FROM parted', 'ALTER TABLE parted DETACH PARTITION part CONCURRENTLY',
		'a virtual transaction' ],
	[ 'DECLARE c CURSOR FOR SELECT a < 0 FROM pinned; FETCH c', 'VACUUM (FREEZE) pinned', 'a pinned buffer' ],
	[ 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; INSERT INTO written VALUES (1); SELECT false',
		'BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT FROM other; COMMIT', 'a safe snapshot' ],
	[ 'SELECT count(*) < 0 FROM other', 'CREATE DATABASE d; DROP DATABASE d', 'a barrier' ])
{
	my ($transaction, $waits, $what) = @$case;
	$node->safe_psql('postgres', 'SELECT aggcache.invalidate_all(); SELECT cached_held(2)');
	my $known = 'SELECT cached_held(2) < 0;';
	my @locks = map { hold($node, "holds $_", "SELECT pg_advisory_xact_lock($_)") } 1 .. 3;
	my @sessions = (ready('leader', 1, 'SELECT cached_held(1)', $known),
		ready('follower', 2, "BEGIN; $transaction; SELECT cached_held(1); COMMIT", $known),
		ready('waiter', 3, $waits, 'SELECT pg_advisory_lock(4) IS NULL;'));
	wait_for($_, 1, 'Lock') for 'leader', 'follower', 'waiter';
	release($node, 'holds 1', shift @locks);
	wait_for_query($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4 AND NOT granted},
		'the leader');
	release($node, 'holds 2', shift @locks);
	wait_for('follower', 1, 'Extension');
	release($node, 'holds 3', shift @locks);
	wait_for_query($node, q{SELECT count(*) = 0 FROM pg_stat_activity
		WHERE application_name IN ('leader', 'follower', 'waiter')}, "no deadlock: waiting for $what");
	my @answers = map { join '', wait_background($_) } @sessions;
	is("$answers[0], $answers[1]", "f\nf\n18, f\nf\nf\n18", "everybody goes on: waiting for $what");
	unlike($answers[2], qr/ERROR/, "so does who waited for $what");
}

# nobody waits for a session with other settings of the planner or the cache, whatever the order they were set in
for my $case (
	[ 'SET enable_sort = off', 0 ],
	[ q{SET work_mem = '1MB'}, 0 ],
	[ q{SET aggcache.max_entry_size = '1kB'}, 0 ],
	[ q{SET enable_sort = off; SET work_mem = '1MB'; RESET enable_sort; RESET work_mem}, 1 ],
	[ q{SET lock_timeout = '1h'}, 1 ])
{
	my ($set, $shares) = @$case;
	my ($leader, $follower) = take_off(1, "$set; SELECT cached_slow(1)");
	$shares
		? wait_for('follower', 1, 'Extension')
		: wait_for_query($node, q{SELECT count(*) = 2 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted},
			$set);
	open_gate();
	is(answers($leader, $follower), "f\nf\n18 x2", ($shares ? 'waits' : 'no waiting') . " for the leader: $set");
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
