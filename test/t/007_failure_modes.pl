# When there is no cache, no room, or no right moment, the plain answer comes, without an error.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_node('main', streaming => 1, conf => "aggcache.memory = '1MB'\n");
fixture($node);
my @hours = ('cached_hours(1)', 'plain_hours(1)');

# the cache is full, and a result does not fit
$node->safe_psql('postgres', q{
	CREATE FUNCTION cached_text(n int, size int) RETURNS text LANGUAGE cached_sql STABLE
		AS 'SELECT repeat(n::text || count(*)::text, size) FROM task';});
is($node->safe_psql('postgres', q{SELECT count(*) FROM generate_series(1, 2000) n
	WHERE cached_text(n, 1000) IS DISTINCT FROM repeat(n::text || '9', 1000)}), 0,
		'more results than there is room') for 1 .. 2;
is($node->safe_psql('postgres', q{SELECT evictions > 0, evicted > 0 FROM aggcache.stats
	WHERE function = 'cached_text(int, int)'::regprocedure}),
	# what shared memory has evicted, Redis still has
	{ shared => 't|t', tiered => 't|f', redis => 'f|f' }->{$ENV{AGGCACHE_TEST_STORE} // 'shared'},
	'some were evicted, and asked for again');
same($node, 'length(cached_text(1, 5000000))', '10000000', 10000000, 'larger than the cache') for 1 .. 2;
same($node, 'length(cached_text(1, 5000))', '10000', 10000, 'larger than max_entry_size',
	before => q{SET aggcache.max_entry_size = '1kB';}) for 1 .. 2;
same($node, @hours, 18, 'others still work') for 1 .. 2;
is($node->safe_psql('postgres', q{UPDATE task SET hours = hours + 1; UPDATE task SET hours = hours - 1;
	SELECT count(*) FROM generate_series(1, 500) n
	WHERE cached_text(n, 1000) IS DISTINCT FROM repeat(n::text || '9', 1000)}), 0, 'full, after a write');

# what a role may not see is not called well
is($node->safe_psql('postgres', q{CREATE ROLE stranger; SET ROLE stranger; SELECT ok IS NULL,
	detail ~ '^0 of (\\d+) functions are not cached, and \\1 are hidden from this role' FROM aggcache.health()
	WHERE "check" = 'functions'}), 't|t', 'health() says what is hidden from the role');
is($node->safe_psql('postgres', q{SELECT ok, detail ~ 'hidden' FROM aggcache.health() WHERE "check" = 'functions'}),
	't|f', 'nothing is from its owner');

# off: neither hits nor stores, but writes are tracked
$node->safe_psql('postgres', 'SELECT cached_hours(1)');
is_computed($node, 'SET aggcache.enabled = off; SELECT cached_hours(1); SELECT cached_hours(1)', 2,
	'enabled = off computes');
$node->safe_psql('postgres', 'SET aggcache.enabled = off; UPDATE task SET hours = 4 WHERE id = 3');
same($node, @hours, 19, 'a write of a session with enabled = off');
same($node, @hours, 19, 'off', before => 'SET aggcache.enabled = off;');

# who is asked says the same as who was called
sub all_say
{
	my ($server, $reason, $name) = @_;
	is($server->safe_psql('postgres', q{SELECT cached_hours(1);
		SELECT result || ': ' || reason FROM aggcache.last_call();
		SELECT explain FROM aggcache.explain('cached_hours(int)') LIMIT 1;
		SELECT state || ': ' || reason FROM aggcache.functions WHERE function = 'cached_hours(int)'::regprocedure}) =~
		s/^\d*\n//r, "uncached: $reason\nfunction cached_hours(integer) is not cached: $reason\nuncached: $reason",
		"$name: the call, explain() and the view say so");
}

# a standby computes; promoted, it caches, and what happened in between is seen
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
same($standby, @hours, 19, 'standby');
is_computed($standby, 'SELECT cached_hours(1); SELECT cached_hours(1)', 2, 'a standby computes');
is($standby->safe_psql('postgres', q{SELECT string_agg("check" || ': ' || detail, '; ') FROM aggcache.health()
	WHERE ok IS NOT TRUE}), '', 'there is nothing wrong with a standby');
all_say($standby, 'the server is in recovery', 'standby');
is($standby->safe_psql('postgres', q{SELECT granularity, words FROM aggcache.explain('cached_hours(int)', 1)}),
	'none|not cached: the server is in recovery', 'standby: so does explain() of a call');
like($standby->safe_psql('postgres', q{SELECT detail FROM aggcache.health() WHERE "check" = 'recovery'}),
	qr/results are computed here/, 'which is said');
$node->safe_psql('postgres', 'UPDATE task SET hours = 5 WHERE id = 3');
$node->wait_for_catchup($standby);
same($standby, @hours, 20, 'standby, after a write');
$standby->promote;
same($standby, @hours, 20, 'promoted') for 1 .. 2;
is_hit($standby, 'SELECT cached_hours(1)', 'a promoted standby caches');
$standby->safe_psql('postgres', 'UPDATE task SET hours = 6 WHERE id = 3');
same($standby, @hours, 21, 'promoted, after a write') for 1 .. 2;
$standby->stop;

# not preloaded: everything works, uncached; writes in between are seen when it is preloaded again
$node->safe_psql('postgres', 'SELECT cached_hours(1)');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
is_computed($node, 'SELECT cached_hours(1); SELECT cached_hours(1)', 2, 'not preloaded: computes');
all_say($node, 'pg_aggcache is not in shared_preload_libraries', 'not preloaded');
is($node->safe_psql('postgres', q{SELECT ok FROM aggcache.health() WHERE "check" = 'functions'}), 'f',
	'not preloaded: health() says that functions are not cached');
$node->safe_psql('postgres', 'UPDATE task SET hours = 7 WHERE id = 3; TRUNCATE task; INSERT INTO task VALUES (3, 1,
	8)');
same($node, @hours, 8, 'not preloaded: right');
my ($rc, $out, $notice) = $node->psql('postgres', q{
	CREATE FUNCTION cached_more() RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT sum(hours) + 1 FROM task'});
like($notice, qr/NOTICE: +function cached_more\(\) will not be cached\n.*not in shared_preload_libraries.*\nHINT:/,
	'not preloaded: CREATE FUNCTION says so');
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
($rc, $out, $notice) = $node->psql('fresh', 'CREATE EXTENSION pg_aggcache');
is($rc, 0, 'not preloaded: CREATE EXTENSION works');
like($notice, qr/WARNING: .*not preloaded\nHINT: .*shared_preload_libraries/, 'and says so');
same($node, 'cached_more()', '9::bigint', 9, 'not preloaded: a new function');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_aggcache'\n");
$node->restart;
same($node, @hours, 8, 'preloaded again') for 1 .. 2;
same($node, 'cached_more()', '9::bigint', 9, 'preloaded again: the new function') for 1 .. 2;
$node->safe_psql('postgres', 'UPDATE task SET hours = 9 WHERE id = 3');
same($node, @hours, 9, 'and tracks') for 1 .. 2;
same($node, 'cached_more()', '10::bigint', 10, 'for both');
($rc, $out, $notice) = $node->psql('postgres', q{CREATE DATABASE other});
($rc, $out, $notice) = $node->psql('other', q{CREATE EXTENSION pg_aggcache; CREATE TABLE t (a int);
	CREATE FUNCTION f() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) FROM t'});
is($notice, '', 'preloaded: nothing is said');

# temporary tables, cursors WITH HOLD, read-only transactions
same($node, @hours, 9, 'read-only transaction', before => 'SET default_transaction_read_only = on;');
is($node->safe_psql('postgres', q{BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT cached_hours(1);
	UPDATE task SET hours = 10;
	COMMIT; FETCH c; SELECT cached_hours(1)}), "9\n10", 'cursor WITH HOLD');
done_testing();
