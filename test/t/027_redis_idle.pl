# A session that waits for Redis longer than aggcache.redis_idle_timeout is not idle.
use strict;
use warnings;
use AggcacheTest;
use FaultProxy;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

my $redis = RedisServer->start('unix');
my $proxy = FaultProxy->start($redis->socket);
my $node = new_node('main', conf => "aggcache.redis_url = 'unix://" . $proxy->address . "?db=1'\n"
	. "aggcache.redis_password_file = ''\naggcache.store = 'redis'\naggcache.redis_timeout = '60s'\n"
	. "aggcache.redis_connect_timeout = '60s'\n");
fixture($node);
$node->safe_psql('postgres', 'SELECT cached_hours(1)');
$proxy->mode('delay', 500);
$node->append_conf('postgresql.conf', "aggcache.redis_idle_timeout = '50ms'\n");
$node->reload;
wait_for_query($node, q{SELECT current_setting('aggcache.redis_idle_timeout') = '50ms'}, 'the new setting');
is($node->safe_psql('postgres', 'SELECT cached_hours(1); SELECT result, tier FROM aggcache.last_call()'),
	"18\nhit|redis", 'a reply is waited for');
is($node->safe_psql('postgres', 'SELECT connection_errors + timeouts FROM aggcache.redis'), 0,
	'and the connection is not closed meanwhile');
done_testing();
