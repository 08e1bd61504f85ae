# Results that are not stored, for each reason: sessions that ask for one at once do not queue, but compute at once, as
# they would without the cache. When such a result can be stored again, sessions share computations again.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $sessions = 25;
my $node = new_node('main', conf => "aggcache.wait_timeout = '1h'\naggcache.memory = '1MB'\nmax_connections = 100\n" .
	"max_prepared_transactions = 5\naggcache.redis_url = 'redis://127.0.0.1:1'\n");
fixture($node);
# Computations of session NAME meet at advisory lock 5 or, if NAME is follower, at 6. What does not depend on rows would
# be evaluated before the look-up.
$node->safe_psql('postgres', q{
	CREATE TABLE size (bytes int);
	INSERT INTO size VALUES (100);
	CREATE FUNCTION meet(row_value int) RETURNS int LANGUAGE plpgsql STABLE AS $$
	BEGIN
		PERFORM pg_advisory_xact_lock_shared(CASE current_setting('application_name') WHEN 'follower' THEN 6 ELSE 5 END);
		RETURN 0;
	END $$;
	CREATE FUNCTION meet_and_fail(row_value int) RETURNS int LANGUAGE plpgsql STABLE
		AS $$ BEGIN RETURN meet(row_value) + 1 / row_value; END $$;
	CREATE FUNCTION cached_large(d int) RETURNS text LANGUAGE cached_sql STABLE
		SET aggcache.depends_on = '' SET aggcache.max_entry_size = '1kB'
		AS 'SELECT repeat(''x'', max(bytes + meet(bytes))) FROM size WHERE d > 0';
	CREATE FUNCTION cached_rows(d int) RETURNS TABLE (v text) LANGUAGE cached_sql STABLE
		SET aggcache.depends_on = '' SET aggcache.max_entry_size = '1kB'
		AS 'SELECT repeat(''x'', bytes + meet(bytes)) FROM size WHERE d > 0';
	CREATE FUNCTION cached_huge(d int) RETURNS text LANGUAGE cached_sql STABLE SET aggcache.depends_on = ''
		AS 'SELECT repeat(''x'', max(bytes + meet(bytes))) FROM size WHERE d > 0';
	CREATE FUNCTION cached_error(d int) RETURNS int LANGUAGE cached_sql STABLE SET aggcache.depends_on = ''
		AS 'SELECT sum(meet_and_fail(0 * bytes))::int FROM size WHERE d > 0';
	CREATE FUNCTION cached_far(d int) RETURNS text LANGUAGE cached_sql STABLE
		SET aggcache.depends_on = '' SET aggcache.store = 'redis'
		AS 'SELECT repeat(''x'', max(bytes + meet(bytes))) FROM size WHERE d > 0';
});

sub wait_for
{
	my ($name, $count, $type) = @_;
	wait_for_query($node, "SELECT count(*) = $count FROM pg_stat_activity WHERE application_name = '$name'
		AND wait_event_type = '$type'", "$count x $name to wait for $type");
	return;
}

sub ask
{
	my ($name, $call) = @_;
	return background($node, "SET application_name = '$name'; $call;");
}

sub answers
{
	my %seen;
	for my $session (@_)
	{
		my ($out, $err) = wait_background($session);
		$seen{ $err =~ /division by zero/ ? 'division by zero' : "$out$err" }++;
	}
	return join ', ', map { "$_ x$seen{$_}" } sort keys %seen;
}

# The first session computes while others wait for it. Nothing is stored: then all others compute at once.
sub others_go_on
{
	my ($call, $answer, $what) = @_;
	my @gates = map { hold($node, "holds $_", "SELECT pg_advisory_xact_lock($_)") } 5, 6;
	my $first = ask('first', $call);
	wait_for('first', 1, 'Lock');
	my @others = map { ask('follower', $call) } 2 .. $sessions;
	wait_for('follower', $sessions - 1, 'Extension');
	release($node, 'holds 5', shift @gates);
	wait_for('follower', $sessions - 1, 'Lock');
	release($node, 'holds 6', shift @gates);
	is(answers($first, @others), "$answer x$sessions", "$what: the others compute at once");
	return;
}

# All sessions compute at once.
sub nobody_waits
{
	my ($call, $answer, $what) = @_;
	my $gate = hold($node, 'holds 5', 'SELECT pg_advisory_xact_lock(5)');
	my @all = map { ask('any', $call) } 1 .. $sessions;
	wait_for('any', $sessions, 'Lock');
	release($node, 'holds 5', $gate);
	is(answers(@all), "$answer x$sessions", "$what: nobody waits");
	return;
}

# One computes, the others wait for it.
sub they_share
{
	my ($call, $answer, $what) = @_;
	my $gate = hold($node, 'holds 5', 'SELECT pg_advisory_xact_lock(5)');
	my $first = ask('first', $call);
	wait_for('first', 1, 'Lock');
	my @others = map { ask('follower', $call) } 2 .. 5;
	wait_for('follower', 4, 'Extension');
	release($node, 'holds 5', $gate);
	is(answers($first, @others), "$answer x5", "$what: they share");
	return;
}

sub set_size
{
	my ($bytes) = @_;
	$node->safe_psql('postgres', "UPDATE size SET bytes = $bytes");
	return;
}

set_size(5000);
my %large = ('a large value' => 'SELECT length(cached_large(1))',
	'a large set' => 'SELECT length(v) FROM cached_rows(1)');
for my $what (sort keys %large)
{
	others_go_on($large{$what}, 5000, $what);
	nobody_waits($large{$what}, 5000, "$what, again");
}
# An old snapshot may be the reason, so nobody else is told of what is not stored under one.
my $repeatable = 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT length(cached_large(2))';
others_go_on($repeatable, 5000, 'REPEATABLE READ');
nobody_waits($repeatable, 5000, 'REPEATABLE READ, again');
others_go_on('SELECT length(cached_large(2))', 5000, 'READ COMMITTED after that');

others_go_on('SELECT cached_error(1)', 'division by zero', 'an error');
nobody_waits('SELECT cached_error(1)', 'division by zero', 'an error, again');

set_size(3000000);
others_go_on('SELECT length(cached_huge(1))', 3000000, 'memory is full');
nobody_waits('SELECT length(cached_huge(1))', 3000000, 'memory is full, again');

set_size(100);
nobody_waits('SELECT length(cached_far(1))', 100, 'Redis is away');

# what is stored again is shared again
$node->safe_psql('postgres', 'SELECT cached_large(1)');
set_size(101);
they_share('SELECT length(cached_large(1))', 101, 'it is small now');

# What was prepared before a restart may have written anything.
$node->safe_psql('postgres', q{BEGIN; CREATE TABLE prepared (); PREPARE TRANSACTION 'old'});
$node->restart;
nobody_waits('SELECT length(cached_large(3))', 101, 'a transaction prepared before the start');
$node->safe_psql('postgres', q{COMMIT PREPARED 'old'});
they_share('SELECT length(cached_large(3))', 101, 'it has ended');
done_testing();
