# A cluster whose slots move and whose masters die, a master that Sentinels replace: no wrong answer, no error, and
# results are found again.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

my $node = new_node('main');
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_aggcache;
	CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL);
	INSERT INTO task SELECT i, i % 200, i FROM generate_series(1, 2000) i;
	CREATE INDEX ON task (dept);
	CREATE FUNCTION plain_hours(d int) RETURNS bigint LANGUAGE sql STABLE
		AS 'SELECT sum(hours) FROM public.task WHERE dept = d';
	CREATE FUNCTION cached_hours(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours) FROM public.task WHERE dept = d';
});
my $all = 'SELECT count(cached_hours(d)) FROM generate_series(0, 199) d';

sub counter { return $node->safe_psql('postgres', "SELECT $_[0] FROM aggcache.redis"); }

sub is_right
{
	my ($name) = @_;
	is($node->safe_psql('postgres', q{SELECT count(*) FROM generate_series(0, 199) d
		WHERE cached_hours(d) IS DISTINCT FROM plain_hours(d)}), 0, $name);
	is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE hours IS DISTINCT FROM plain_hours(d))
		FROM aggcache.mget('cached_hours(int)', ARRAY(SELECT generate_series(0, 199)))
			AS r (ordinality bigint, hours bigint), LATERAL (SELECT ordinality::int - 1 AS d) k}), '200|0', "$name: mget");
	return;
}

# Calls until all of one statement are hits in Redis: it may have to be found first.
sub comes_back
{
	my ($name) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my $hits = $node->safe_psql('postgres', "CREATE TEMP TABLE before AS SELECT hits FROM aggcache.redis;
			$all; SELECT r.hits - b.hits FROM aggcache.redis r, before b");
		return pass($name) if (split /\n/, $hits)[-1] == 200;
		select(undef, undef, undef, 0.1);
	}
	return fail($name);
}

# Sessions that write and compare while something happens.
sub meanwhile
{
	my ($name, $what) = @_;
	my @sessions = map { background($node, qq{
		SET application_name = 'meanwhile';
		DO \$\$BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_class WHERE relname = 'enough') LOOP
			UPDATE task SET hours = hours + 1 WHERE id % 20 = $_ AND id < 400;
			COMMIT;
			IF EXISTS (SELECT FROM generate_series(0, 199) d WHERE cached_hours(d) IS DISTINCT FROM plain_hours(d)) THEN
				RAISE EXCEPTION 'a wrong answer';
			END IF;
			COMMIT;
		END LOOP;
		END\$\$}) } 1 .. 2;
	$what->();
	$node->safe_psql('postgres', 'CREATE TABLE enough ()');
	for my $session (@sessions)
	{
		my ($out, $err) = wait_background($session);
		is($err, '', "$name: neither wrong answers nor errors");
	}
	$node->safe_psql('postgres', 'DROP TABLE enough');
	return;
}

sub use_redis
{
	my ($redis) = @_;
	$node->append_conf('postgresql.conf', $redis->conf . "aggcache.store = 'redis'\n");
	# counters begin anew
	$node->restart;
	return;
}

# ---- Cluster ------------------------------------------------------------------------------------------------------

my $cluster = RedisServer->start('cluster');
use_redis($cluster);
is_right('a cluster: computed');
comes_back('a cluster: found');
# replicas get them after their masters
my @sizes;
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	@sizes = split /\n/, $cluster->command_of('all', 'DBSIZE');
	last if 6 == grep { $_ > 10 } @sizes;
	select(undef, undef, undef, 0.1);
}
is(scalar(grep { $_ > 10 } @sizes), 6, 'keys are on all nodes');
is($node->safe_psql('postgres', q{SELECT aggcache.invalidate('cached_hours(int)')}), 200, 'they are removed from all');
is(join(' ', split /\n/, $cluster->command_of($_, 'DBSIZE')), '0', 'none is left') for split /\n/, $cluster->masters;
comes_back('found again');

my $moved;
meanwhile('slots move', sub { $moved = $cluster->reshard(300); });
cmp_ok($moved, '>', 0, 'slots have moved with their keys');
comes_back('slots have moved: found');
is(counter('cluster_errors + protocol_errors + connection_errors'), 0, 'and no failure was seen');
meanwhile('a master dies', sub { $cluster->failover; });
is_right('a master has died');
comes_back('a master has died: found');
$cluster->stop;
is_right('the cluster is gone') for 1 .. 2;

# ---- Sentinel -----------------------------------------------------------------------------------------------------

my $pair = RedisServer->start('sentinel');
use_redis($pair);
is_right('Sentinels: computed');
comes_back('Sentinels: found');
meanwhile('a failover', sub { $pair->failover; });
is_right('a failover');
comes_back('a failover: found');
meanwhile('one back', sub { $pair->failover; });
comes_back('one back: found');
$pair->stop;
is_right('all are gone') for 1 .. 2;
done_testing();
