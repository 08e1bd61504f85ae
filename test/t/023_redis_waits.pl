# Waiting for Redis ends at once when it should; connections that are not used are closed.
use strict;
use warnings;
use AggcacheTest;
use FaultProxy;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

# what would be waited for if nothing ended the wait, in seconds; who ends in half of that has not waited
my $timeout = 60;
my $redis = RedisServer->start('unix');
my $proxy = FaultProxy->start($redis->socket);
my $node = new_node('main', conf => "aggcache.redis_url = 'unix://" . $proxy->address . "?db=1'\n"
	. "aggcache.store = 'redis'\naggcache.redis_timeout = '${timeout}s'\n"
	. "aggcache.redis_connect_timeout = '${timeout}s'\n");
fixture($node);
my @hours = ('cached_hours(1)', 'plain_hours(1)');
my $value = 18;
same($node, @hours, $value, 'at first') for 1 .. 2;

sub counter { return $node->safe_psql('postgres', "SELECT $_[0] FROM aggcache.redis"); }

# Until Redis, which could not be reached, is tried again.
sub wait_until_ready
{
	wait_for_query($node, q{SELECT state = 'ready' FROM aggcache.redis, (SELECT cached_hours(1) AS h OFFSET 0) c
		WHERE h IS NOT NULL}, 'Redis to be used again');
	return;
}

my %ends = (
	cancel => [ '', 'SELECT pg_cancel_backend(pid)', qr/canceling statement due to user request/ ],
	timeout => [ q{SET statement_timeout = '1s';}, undef, qr/canceling statement due to statement timeout/ ],
	terminate => [ '', 'SELECT pg_terminate_backend(pid)', qr/terminating connection/ ],
);
my %works = (
	'the first command' => '',
	'a command on a connection' => 'SELECT cached_hours(2);',
	'in a transaction' => 'SELECT cached_hours(2); BEGIN; SELECT pg_current_xact_id();',
);
for my $end (sort keys %ends)
{
	for my $work (sort keys %works)
	{
		my ($set, $act, $error) = @{ $ends{$end} };
		my $name = "$end, $work";
		# the session says when it is where the fault may come, and waits for it
		my ($first, $second) = map { hold($node, "holder $_", "SELECT pg_advisory_lock($_)") } 1, 2;
		my $session = background($node, qq{\\set ON_ERROR_STOP 0
			SET application_name = 'victim'; $works{$work}
			SELECT pg_advisory_lock(1);
			$set
			SELECT cached_hours(1);
			ROLLBACK;
			RESET statement_timeout;
			SET application_name = 'afterwards';
			SELECT pg_advisory_lock(2);
			SELECT cached_hours(d) = plain_hours(d) FROM generate_series(1, 3) d;});
		wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'victim'
			AND wait_event = 'advisory'}, "$name: the victim to come so far");
		$proxy->mode('blackhole');
		my $began = time;
		release($node, 'holder 1', $first);
		if (defined $act)
		{
			wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'victim'
				AND wait_event_type = 'Extension'}, "$name: the victim to wait for Redis");
			$began = time;
			$node->safe_psql('postgres', "$act FROM pg_stat_activity WHERE application_name = 'victim'");
		}
		if ($end eq 'terminate')
		{
			my ($out, $err) = wait_background($session);
			cmp_ok(time - $began, '<', $timeout / 2, "$name: ends at once");
			like($err, $error, "$name: by that");
		}
		else
		{
			wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'afterwards'
				AND wait_event = 'advisory'}, "$name: the victim to go on");
			cmp_ok(time - $began, '<', $timeout / 2, "$name: ends at once");
		}
		# connections that were not answered have to go, or they would never be
		$proxy->mode('drop');
		$proxy->mode('pass');
		release($node, 'holder 2', $second);
		if ($end ne 'terminate')
		{
			my ($out, $err) = wait_background($session);
			like($err, $error, "$name: by that");
			like($out, qr/t\nt\nt$/, "$name: the session goes on and is right");
		}
		same($node, @hours, $value, "$name: right");
		wait_until_ready();
		$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 3');
		$value++;
		same($node, @hours, $value, "$name: sees the next write") for 1 .. 2;
	}
}
# replies that come late, after those who wanted them have gone, are no failure
$proxy->mode('hold');
my $errors = counter('connection_errors + timeouts + protocol_errors');
my $impatient = background($node, q{\set ON_ERROR_STOP 0
	SET statement_timeout = '1s';
	SELECT cached_hours(1);
	SELECT cached_hours(2);
	RESET statement_timeout;
	SET application_name = 'patient';
	SELECT cached_hours(d) = plain_hours(d), cached_hours(d) = plain_hours(d) FROM generate_series(1, 3) d;
	SELECT result, tier FROM aggcache.last_call();});
wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'patient'},
	'the session to have lost patience');
$proxy->mode('pass');
my ($out, $err) = wait_background($impatient);
like($err, qr/statement timeout.*statement timeout/s, 'replies come late');
is($out, "t|t\nt|t\nt|t\nhit|redis", 'the session goes on with the replies that it wants');
is(counter('connection_errors + timeouts + protocol_errors'), $errors, 'which is no failure of Redis');
$proxy->mode('pass');

# a shutdown does not wait either
$proxy->mode('blackhole');
my $session = background($node, q{SET application_name = 'victim'; SELECT cached_hours(1)});
wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'victim'
	AND wait_event_type = 'Extension'}, 'the victim to wait for Redis');
my $stopped = time;
$node->stop('fast');
cmp_ok(time - $stopped, '<', $timeout / 2, 'a fast shutdown does not wait for Redis');
wait_background($session);
$proxy->mode('pass');

# ---- Idle connections ---------------------------------------------------------------------------------------------

sub connections { return scalar(grep { !/cmd=client/ } split /\n/, $redis->command('CLIENT', 'LIST')); }

$node->start;
# stored by a session that has all the time it wants
$node->safe_psql('postgres', 'SELECT cached_hours(1)');
is_hit($node, 'SELECT cached_hours(1)', 'after the restart: found');
$node->append_conf('postgresql.conf', "aggcache.redis_idle_timeout = '200ms'\n");
$node->reload;
wait_for_query($node, q{SELECT current_setting('aggcache.redis_idle_timeout') = '200ms'}, 'the new setting');
my $keeper = hold($node, 'holder 1', 'SELECT pg_advisory_lock(1)');
my $idle = background($node, q{SELECT cached_hours(1) > 0; SELECT pg_advisory_lock(1);
	SELECT cached_hours(1) = plain_hours(1); SELECT result, tier FROM aggcache.last_call()});
wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'},
	'the session to wait');
my $open = 1;
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last unless $open = connections();
	select(undef, undef, undef, 0.1);
}
is($open, 0, 'a connection that is not used is closed');
is(counter('connection_errors + timeouts'), 0, 'which is no failure');
release($node, 'holder 1', $keeper);
is((wait_background($idle))[0], "t\n\nt\nhit|redis", 'and opened again when it is needed');
is(counter('connection_errors + timeouts'), 0, 'without a failure either');
done_testing();
