# A Redis that is named by its host: looking the name up holds up nobody who is cancelled, and fails like Redis itself.
use strict;
use warnings;
use AggcacheTest;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

# what would be waited for if nothing ended the wait, in seconds; who ends in half of that has not waited
my $timeout = 60;
# a name server that never answers
my $silent = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die "no socket: $!";
my $redis = RedisServer->start('acl');
my $node = new_node('main', conf => $redis->conf . "aggcache.store = 'redis'\n"
	. "aggcache.redis_timeout = '${timeout}s'\naggcache.redis_connect_timeout = '${timeout}s'\n"
	. "aggcache.debug_name_servers = '127.0.0.1:" . $silent->sockport . "'\n");
fixture($node);
my @hours = ('cached_hours(1)', 'plain_hours(1)');

sub counter { return $node->safe_psql('postgres', "SELECT $_[0] FROM aggcache.redis"); }

sub use_host
{
	my ($host) = @_;
	(my $url = $redis->url) =~ s/127\.0\.0\.1/$host/;
	$node->append_conf('postgresql.conf', "aggcache.redis_url = '$url'\n");
	$node->reload;
	wait_for_query($node, "SELECT current_setting('aggcache.redis_url') LIKE '%$host%'", "$host to be in force");
	return;
}

# ---- A name of the hosts file -------------------------------------------------------------------------------------

use_host('localhost');
same($node, @hours, 18, 'localhost: right');
is_hit($node, 'SELECT cached_hours(1)', 'localhost: found');

# ---- A name server that does not answer ---------------------------------------------------------------------------

# the setting for the name server comes with this one, and stands in the configuration whether it is known or not
if ($node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'aggcache.debug_place'}) == 0)
{
	SKIP: { skip 'only a debug build asks a name server of the test', 1; }
	done_testing();
	exit;
}
use_host('redis.example');
for my $end ([ 'cancel', '', 'SELECT pg_cancel_backend(pid)', qr/canceling statement due to user request/ ],
	[ 'timeout', q{SET statement_timeout = '200ms';}, undef, qr/canceling statement due to statement timeout/ ],
	[ 'terminate', '', 'SELECT pg_terminate_backend(pid)', qr/terminating connection/ ])
{
	my ($name, $set, $act, $error) = @$end;
	my $began = time;
	my $session = background($node, "SET application_name = 'victim'; $set SELECT cached_hours(2)");
	if (defined $act)
	{
		wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'victim'
			AND wait_event_type = 'Extension'}, "$name: the victim to wait for the name server");
		$began = time;
		$node->safe_psql('postgres', "$act FROM pg_stat_activity WHERE application_name = 'victim'");
	}
	my ($out, $err) = wait_background($session);
	cmp_ok(time - $began, '<', $timeout / 2, "$name: ends at once");
	like($err, $error, "$name: by that");
}
is(counter('connection_errors + timeouts'), 0, 'who leaves has not found that Redis cannot be reached');
is(counter('state'), 'ready', 'nor shut it for others');

my ($out, $err) = wait_background(background($node, q{SET aggcache.redis_connect_timeout = '100ms';
	SELECT cached_hours(d) = plain_hours(d) FROM generate_series(1, 3) d;
	SELECT timeouts > 0, state = $$ready$$ FROM aggcache.redis}));
is("$out$err", "t\nt\nt\nt|f", 'a name server that does not answer is a Redis that does not');

# ---- No such host -------------------------------------------------------------------------------------------------

my $log_start = -s $node->logfile;
close $silent;
use_host('nobody.example');
same($node, @hours, 18, 'no such host: right');
cmp_ok(counter('connection_errors'), '>', 0, 'no such host: counted');
$node->wait_for_log(qr/could not use Redis for cached results: could not look up host "nobody\.example": /, $log_start);
use_host('localhost');
is_hit($node, 'SELECT cached_hours(1)', 'another host: used at once');
done_testing();
