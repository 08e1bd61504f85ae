# Who keeps asking gets a place in a full cache, whatever others hold; who asks once throws nobody out.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main', conf => "aggcache.memory = '1MB'\nautovacuum = off\n");
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_aggcache; CREATE ROLE hog; CREATE ROLE other; GRANT CREATE ON SCHEMA public TO hog, other;
	CREATE FUNCTION cached_hot(x int) RETURNS text LANGUAGE cached_sql STABLE
		AS 'SELECT repeat(md5(x::text), 30) || count(*) FROM generate_series(1, 5000 + x)';
	CREATE FUNCTION cached_few(x int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT count(*) FROM generate_series(1, 1000 + x)';
	CREATE FUNCTION cached_once(x int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT count(*) FROM generate_series(1, x)';
	ALTER FUNCTION cached_hot OWNER TO hog;
	ALTER FUNCTION cached_few OWNER TO other;
	CREATE FUNCTION hits(f regprocedure) RETURNS bigint LANGUAGE sql
		AS 'SELECT coalesce(sum(hits), 0)::bigint FROM aggcache.stats WHERE function = f';
});

sub ask
{
	my ($role, $function, $keys, $times) = @_;
	$node->safe_psql('postgres', qq{SET ROLE $role;
		DO \$\$ BEGIN FOR i IN 1 .. $times LOOP
			PERFORM count($function(x)) FROM generate_series(1, $keys) x; END LOOP; END \$\$});
}

# the hog's 800 results more than fill it, and most have been hit more often than others will ever be
ask('hog', 'cached_hot', 800, 200);
is($node->safe_psql('postgres', q{SELECT entries > 700 AND memory_free < 65536 FROM aggcache.usage()}), 't', 'full');

# Ten small and cheap results, while the hog goes on. What a minute of asking twice a second is in calls.
for (1 .. 12)
{
	ask('other', 'cached_few', 10, 10);
	ask('hog', 'cached_hot', 800, 1);
}
my $before = $node->safe_psql('postgres', q{SELECT hits('cached_few(int)')});
ask('other', 'cached_few', 10, 10);
cmp_ok($node->safe_psql('postgres', q{SELECT hits('cached_few(int)')}) - $before, '>=', 90,
	'another role\'s results have become hits');

# a scan of results that are asked for once costs hot ones, which fit into the cache, little
ask('hog', 'cached_hot', 600, 50);
$before = $node->safe_psql('postgres', q{SELECT hits('cached_hot(int)')});
ask('other', 'cached_once', 2000, 1);
ask('hog', 'cached_hot', 600, 1);
cmp_ok($node->safe_psql('postgres', q{SELECT hits('cached_hot(int)')}) - $before, '>=', 500, 'a scan drives few out');

# Once the hog has gone, others get what it had, however often it had been hit.
ask('other', 'cached_few', 3000, 12);
$before = $node->safe_psql('postgres', q{SELECT hits('cached_few(int)')});
ask('other', 'cached_few', 3000, 1);
cmp_ok($node->safe_psql('postgres', q{SELECT hits('cached_few(int)')}) - $before, '>=', 1500,
	'what nobody uses any more makes room');
done_testing();
