# What a result in Redis must not be used for, and what many calls in one statement cost.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use PsqlSession;
use RedisServer;
use Test::More;

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

my $redis = RedisServer->start('unix');
my $node = new_node('main', conf => $redis->conf . "aggcache.store = 'redis'\n");
fixture($node);

# ---- Invalidated by hand, and back in Redis -----------------------------------------------------------------------

# as if a store had been on its way, or Redis had not been there to remove it
for my $act (q{aggcache.invalidate('cached_hours(int)', 1)}, q{aggcache.invalidate('cached_hours(int)')},
	'aggcache.invalidate_all()')
{
	$redis->command('FLUSHALL');
	$node->safe_psql('postgres', 'SELECT cached_hours(1)');
	my $key = $redis->command('KEYS', '*');
	$redis->command('COPY', $key, 'kept');
	is($node->safe_psql('postgres', "SELECT $act"), 1, "$act removes it");
	for my $store ('redis', 'tiered')
	{
		for my $staleness ('0', '1h')
		{
			$redis->command('COPY', 'kept', $key, 'REPLACE');
			is($node->safe_psql('postgres', "SET aggcache.store = $store; SET aggcache.max_staleness = '$staleness';
				SELECT cached_hours(1); SELECT result FROM aggcache.last_call()"), "18\nmiss",
				"$act ends every copy: $store, max_staleness $staleness");
			$node->safe_psql('postgres', "SELECT aggcache.invalidate('cached_hours(int)', 1)");
		}
	}
}
$node->safe_psql('postgres', 'SELECT cached_hours(1); UPDATE task SET hours = hours + 1 WHERE id = 3');
is($node->safe_psql('postgres', q{SET aggcache.max_staleness = '1h'; SELECT cached_hours(1);
	SELECT result, tier FROM aggcache.last_call()}), "18\nstale hit|redis",
	'of what a write has changed the earlier one is accepted');

# ---- Another database with the same oid ---------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE before');
fixture($node, 'before');
for my $store ('redis', 'tiered', 'shared')
{
	$node->safe_psql('postgres', 'CREATE DATABASE again TEMPLATE before OID 99999');
	same($node, 'cached_hours(1)', 'plain_hours(1)', 1018, "$store: a database", db => 'again',
		before => "SET aggcache.store = $store; UPDATE task SET hours = 1003 WHERE id = 3;") for 1 .. 2;
	$node->safe_psql('postgres', 'DROP DATABASE again');
	$node->safe_psql('postgres', 'CREATE DATABASE again TEMPLATE before OID 99999');
	for my $staleness ('1h', '0')
	{
		same($node, 'cached_hours(1)', 'plain_hours(1)', 18, "$store: the next with its oid, max_staleness $staleness",
			db => 'again', before => "SET aggcache.store = $store; SET aggcache.max_staleness = '$staleness';");
	}
	$node->safe_psql('postgres', 'DROP DATABASE again');
}

# ---- mget ---------------------------------------------------------------------------------------------------------

$redis->command('FLUSHALL');
is_computed($node, q{SELECT sum(hours) FROM aggcache.mget('cached_hours(int)', array_fill(2, ARRAY[100]))
	AS r (ordinality bigint, hours bigint)}, 1, 'mget computes a result once that is asked for many times');
is($node->safe_psql('postgres', q{SELECT count(*), min(hours), max(hours) FROM
	aggcache.mget('cached_hours(int)', array_fill(2, ARRAY[100])) AS r (ordinality bigint, hours bigint)}), '100|12|12',
	'all of them are right');
# batches of several sizes, results there and not there
$node->safe_psql('postgres', 'INSERT INTO task SELECT i, i, 2 * i FROM generate_series(10, 500) i');
$node->safe_psql('postgres', 'SELECT cached_hours(d) FROM generate_series(1, 500, 3) d');
for my $round (1 .. 2)
{
	is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE hours IS NOT DISTINCT FROM plain_hours(d))
		FROM (SELECT array_agg(d ORDER BY md5(d::text)) AS ds FROM generate_series(1, 500) d) a,
			aggcache.mget('cached_hours(int)', ds) AS r (ordinality bigint, hours bigint),
			LATERAL (SELECT ds[ordinality] AS d) k}), '500|500', "500 results, round $round");
}
is_hit($node, q{SELECT count(*) FROM aggcache.mget('cached_hours(int)',
	(SELECT array_agg(d) FROM generate_series(1, 500) d)) AS r (ordinality bigint, hours bigint)},
	'all of which Redis has then');
# large ones are not asked for all at once, and do not time out
$node->safe_psql('postgres', q{CREATE FUNCTION cached_text(n int) RETURNS text LANGUAGE cached_sql STABLE
	AS 'SELECT string_agg(md5((i * n)::text), '''') FROM generate_series(1, 100000) i, task WHERE id = 1';
	SELECT length(cached_text(n)) FROM generate_series(1, 20) n});
is($node->safe_psql('postgres', q{SELECT count(*), sum(length(t)) FROM
	aggcache.mget('cached_text(int)', (SELECT array_agg(n) FROM generate_series(1, 20) n))
		AS r (ordinality bigint, t text);
	SELECT timeouts FROM aggcache.redis}), "20|64000000\n0", 'large results');

# ---- The value of another key -------------------------------------------------------------------------------------

sub connections
{
	return join ' ', map { /^id=(\d+)/ ? $1 : () } grep { !/cmd=client/ } split /\n/, $redis->command('CLIENT', 'LIST');
}

$redis->command('FLUSHALL');
my $session = PsqlSession->new('psql', '-d', $node->connstr('postgres'));
$session->query('SELECT cached_hours(1);');
my $of_one = $redis->command('KEYS', '*');
$session->query('SELECT cached_hours(2);');
my ($of_two) = grep { $_ ne $of_one } split /\n/, $redis->command('KEYS', '*');
my $before = connections();
$redis->command('COPY', $of_one, $of_two, 'REPLACE');
is(join('|', map { @$_ } $session->query('SELECT cached_hours(2); SELECT result FROM aggcache.last_call();')),
	'12|miss',
	'the value of another key is not used');
is(join('|', map { @$_ } $session->query('SELECT cached_hours(2); SELECT result FROM aggcache.last_call();')),
	'12|hit',
	'and replaced');
my %now = map { $_ => 1 } split / /, connections();
is(join(' ', grep { $now{$_} } split / /, $before), '',
	'a connection on which it came is given up: it might be out of step');
$session->finish;
done_testing();
