# A server that goes on in another place, as a copy of a machine with its memory does, has nothing to do with what is
# stored under its old identity.
use strict;
use warnings;
use AggcacheTest;
use PsqlSession;
use RedisServer;
use Test::More;

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

my $redis = RedisServer->start('unix');
my $node = new_node('main', conf => "aggcache.redis_url = 'unix://" . $redis->socket . "?db=1'\n"
	. "aggcache.redis_password_file = ''\naggcache.store = 'tiered'\naggcache.redis_timeout = '30s'\n"
	. "aggcache.redis_connect_timeout = '30s'\n");
fixture($node);
my $session = PsqlSession->new('psql', '-d', $node->connstr('postgres'));
my $look = "SELECT cached_hours(1); SELECT result, tier FROM aggcache.last_call();\n";

sub look { return join '|', map { @$_ } $session->query("SET aggcache.store = '$_[0]'; $look") }

sub move
{
	my ($place) = @_;
	$node->append_conf('postgresql.conf', "aggcache.debug_place = '$place'\n");
	$node->reload;
	wait_for_query($node, "SELECT current_setting('aggcache.debug_place') = '$place'", 'the new place');
	# files are looked at once a second
	my ($row) = $session->query("SELECT pg_sleep(1.1), current_setting('aggcache.debug_place');");
	return $row->[1];
}

SKIP:
{
	skip 'only a build with debug switches can be moved', 1
		if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'aggcache.debug_place'}) == 0;
	like(look('tiered'), qr/^18\|miss/, 'computed');
	is(look('redis'), '18|hit|redis', 'and in Redis');
	is(look('shared'), '18|hit|shared', 'and in shared memory');
	is(move('away'), 'away', 'moved');
	is(look('redis'), '18|miss|', 'what is in Redis is not used elsewhere');
	is(look('redis'), '18|hit|redis', 'but what is stored there is');
	is(look('shared'), '18|miss|', 'nor what may have been taken over from Redis');
	move('');
	is(look('redis'), '18|miss|', 'and not back where it came from');
	is(look('redis'), '18|hit|redis', 'where results are stored anew');
}
$session->finish;
done_testing();
