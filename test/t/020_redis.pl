# Results in Redis: what they are called and how long they stay, who may know what about it, and removing them by hand.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

my $redis = RedisServer->start('acl');
my $node = new_node('main', conf => $redis->conf . "aggcache.store = 'redis'\n");
fixture($node);
my @hours = ('cached_hours(1)', 'plain_hours(1)');
my $value = 18;

sub redis_state { return $node->safe_psql('postgres', "SELECT $_[0] FROM aggcache.redis"); }
sub keys_like { return split /\n/, $redis->command('KEYS', $_[0]); }

# ---- One backend stores, another one finds ------------------------------------------------------------------------

same($node, @hours, $value, 'computed, by a user who may do little more than GET and SET');
is_hit($node, 'SELECT cached_hours(1)', 'another session finds it');
is($node->safe_psql('postgres', 'SELECT cached_hours(1); SELECT result, tier FROM aggcache.last_call()'),
	"18\nhit|redis", 'in Redis');
same($node, @hours, $value, 'it is right');
is($node->safe_psql('postgres', 'SELECT count(*) FROM aggcache.entries'), 0, 'shared memory has none');
is(redis_state(q{state || ' ' || writes}), 'ready ready', 'the view says that all is well');
cmp_ok(redis_state('hits'), '>', 0, 'and counts hits');
cmp_ok(redis_state('stores'), '>', 0, 'stores');
cmp_ok(redis_state('least(bytes_sent, bytes_received)'), '>', 100, 'bytes');
is(redis_state('p50_ms > 0 AND p50_ms <= p95_ms AND p95_ms <= p99_ms'), 't', 'and time');
is(redis_state('connection_errors + timeouts + protocol_errors + authentication_errors + other_errors'), 0,
	'and nothing went wrong');
is($node->safe_psql('postgres', q{SELECT ok FROM aggcache.health() WHERE "check" = 'redis'}), 't', 'so says health()');

$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 3');
$value++;
same($node, @hours, $value, 'a write is seen, though nobody told Redis');
cmp_ok(redis_state('changed'), '>', 0, 'and counted');

# ---- Keys ---------------------------------------------------------------------------------------------------------

my $database = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'postgres'});
my $function = $node->safe_psql('postgres', q{SELECT 'cached_hours'::regproc::oid});
my $system = $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()');
my @keys = keys_like('*');
is(scalar(@keys), 1, 'one call, one key');
like($keys[0], qr/^aggcache:$system:$database:[0-9a-f]{16}:$function:public\.cached_hours:[0-9a-f]{16}$/,
	'which an operator can read');
my $life = $redis->command('PTTL', $keys[0]);
cmp_ok($life, '>', 0, 'it has a life time');
cmp_ok($life, '<=', 24 * 3600 * 1000, 'aggcache.redis_ttl');
$node->safe_psql('postgres', q{SET aggcache.redis_ttl = '10min'; SELECT cached_hours(2)});
my ($short) = grep { $_ ne $keys[0] } keys_like('*');
cmp_ok($redis->command('PTTL', $short), '<=', 600_000, 'which a session can set');
$node->safe_psql('postgres', q{ALTER FUNCTION cached_hours(int) SET aggcache.ttl = '1min'; SELECT cached_hours(3)});
my ($shorter) = grep { $_ ne $keys[0] && $_ ne $short } keys_like('*');
cmp_ok($redis->command('PTTL', $shorter), '<=', 60_000, q{and the function's ttl comes before});
$node->safe_psql('postgres', q{ALTER FUNCTION cached_hours(int) RESET aggcache.ttl});
is(scalar(grep { $redis->command('PTTL', $_) <= 0 } keys_like('*')), 0, 'no key without one');

$node->safe_psql('postgres', q{CREATE SCHEMA "odd *{x}";
	CREATE FUNCTION "odd *{x}"."cached [ü] ?"() RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT sum(hours) FROM public.task'; SELECT "odd *{x}"."cached [ü] ?"()});
is(scalar(grep { !/^[\w.:?-]+$/ } keys_like('*')), 0, 'names have nothing that Redis would take for a pattern');
is_hit($node, 'SELECT "odd *{x}"."cached [ü] ?"()', 'and are found');
$node->safe_psql('postgres', q{DROP SCHEMA "odd *{x}" CASCADE});

# ---- Removed by hand ----------------------------------------------------------------------------------------------

sub refill { $node->safe_psql('postgres', 'SELECT cached_hours(d) FROM generate_series(1, 3) d'); return; }
$redis->command('FLUSHALL');
refill();
is($node->safe_psql('postgres', q{SELECT aggcache.invalidate('cached_hours(int)', 1)}), 1, 'invalidate() one call');
is(scalar(keys_like('*')), 2, 'leaves the others in Redis');
is_computed($node, 'SELECT cached_hours(1)', 1, 'it is computed');
is_hit($node, 'SELECT cached_hours(2)', 'the others are not');
is($node->safe_psql('postgres', q{SELECT aggcache.invalidate('cached_hours(int)')}), 3, 'invalidate() a function');
is(scalar(keys_like('*')), 0, 'empties Redis');
refill();
$redis->command('SET', 'aggcache:of:another:server', 'x');
is($node->safe_psql('postgres', q{SELECT aggcache.invalidate_like('cached\_%')}), 3, 'invalidate_like()');
is_deeply([ keys_like('*') ], ['aggcache:of:another:server'], 'takes nothing away from others');
refill();
is($node->safe_psql('postgres', q{SELECT aggcache.invalidate_like('other%')}), 0, 'that fits nothing');
is(scalar(keys_like('*')), 4, 'removes nothing');
is($node->safe_psql('postgres', 'SELECT aggcache.invalidate_all()'), 3, 'invalidate_all()');
is(scalar(keys_like('*')), 1, 'removes all of this server');
refill();
$node->safe_psql('postgres', q{SELECT aggcache.invalidate_table('task')});
is_computed($node, 'SELECT cached_hours(1)', 1, 'invalidate_table()');
# a copy that comes back, as from a write that was still on its way, is no result any more
my ($key) = (keys_like('*:public.cached_hours:*'))[0];
refill();
$redis->command('COPY', $_, "kept$_") for keys_like('aggcache:*:public.cached_hours:*');
$node->safe_psql('postgres', q{SELECT aggcache.invalidate('cached_hours(int)')});
$redis->command('RENAME', $_, substr $_, 4) for keys_like('kept*');
is_computed($node, 'SELECT cached_hours(1)', 1, 'what was invalidated does not come back');
refill();
$redis->command('COPY', $_, "kept$_") for keys_like('aggcache:*:public.cached_hours:*');
$node->safe_psql('postgres', q{SELECT aggcache.invalidate('cached_hours(int)', 1)});
$redis->command('RENAME', $_, substr $_, 4) for keys_like('kept*');
is_computed($node, 'SELECT cached_hours(1)', 1, 'nor the result of one call');
is_hit($node, 'SELECT cached_hours(2)', 'of which others are not touched');

# ---- Tiers --------------------------------------------------------------------------------------------------------

sub tier_of
{
	my ($sql) = @_;
	return (split /\n/, $node->safe_psql('postgres', "$sql; SELECT result || ' ' || coalesce(tier, '-') FROM
		aggcache.last_call()"))[-1];
}
$node->safe_psql('postgres', 'ALTER SYSTEM SET aggcache.store = tiered');
$node->reload;
wait_for_query($node, q{SELECT current_setting('aggcache.store') = 'tiered'}, 'the new setting');
refill();
is(tier_of('SELECT cached_hours(2)'), 'hit shared', 'a hit in Redis is one in shared memory from then on');
$redis->command('FLUSHALL');
is(tier_of('SELECT cached_hours(2)'), 'hit shared', 'which does not ask Redis');
is(tier_of('SET aggcache.store = redis; SELECT cached_hours(2)'), 'miss -', 'but a session may');
$node->safe_psql('postgres', q{ALTER FUNCTION cached_hours(int) SET aggcache.store = redis});
is(tier_of('SELECT cached_hours(2)'), 'hit redis', 'and a function');
$node->safe_psql('postgres', q{ALTER FUNCTION cached_hours(int) SET aggcache.store = shared; SELECT cached_hours(3)});
is(tier_of('SELECT cached_hours(3)'), 'hit shared', 'whose results stay here');
$node->safe_psql('postgres', q{ALTER FUNCTION cached_hours(int) RESET aggcache.store});

# what shared memory has no room for is in Redis
$node->append_conf('postgresql.conf', "aggcache.memory = '1MB'\n");
$node->restart;
$node->safe_psql('postgres', q{CREATE FUNCTION cached_long(d int) RETURNS text LANGUAGE cached_sql STABLE
	AS 'SELECT repeat(md5(d::text), 1000) || sum(hours) FROM public.task WHERE dept = d % 3'});
$node->safe_psql('postgres', 'SELECT length(cached_long(d)) FROM generate_series(1, 200) d') for 1 .. 2;
is_hit($node, 'SELECT count(length(cached_long(d))) FROM generate_series(1, 200) d',
	'more results than fit into shared memory are hits');

# ---- Not configured -----------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q{ALTER SYSTEM SET aggcache.redis_url = ''});
$node->reload;
wait_for_query($node, q{SELECT state = 'off' FROM aggcache.redis}, 'the new setting');
$node->safe_psql('postgres', 'ALTER FUNCTION cached_hours(int) SET aggcache.store = redis');
same($node, @hours, $value, 'without a URL results are computed') for 1 .. 2;
like($node->safe_psql('postgres', 'SELECT cached_hours(1); SELECT not_stored FROM aggcache.last_call()'),
	qr/aggcache\.redis_url is not set/, 'and the reason is told');
is($node->safe_psql('postgres', q{SELECT ok FROM aggcache.health() WHERE "check" = 'redis'}), 'f', 'health() too');
done_testing();
