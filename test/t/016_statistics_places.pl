# Places for statistics are given back when what they are about is dropped, so that throw-away functions and tables do
# not blind the views for everybody.
use strict;
use warnings;
use AggcacheTest;
use PsqlSession;
use Test::More;

my $places = 100;
my $node = new_node('main', conf => "aggcache.max_functions = $places\naggcache.max_tables = $places\n"
	. "max_prepared_transactions = 2\n");
fixture($node);
$node->safe_psql('postgres', 'CREATE DATABASE other');
fixture($node, 'other');

sub calls
{
	my ($db) = @_;
	return $node->safe_psql($db // 'postgres', q{SELECT coalesce(sum(hits + misses), 0) FROM aggcache.stats
		WHERE function = 'cached_hours(int)'::regprocedure});
}

sub room
{
	my ($functions, $tables) = $node->safe_psql('postgres', q{SELECT detail FROM aggcache.health()
		WHERE "check" = 'statistics'}) =~ /(\d+) more functions.* (\d+) more tables/;
	return ($functions, $tables);
}

# many functions and tables that are made, used and dropped, in one session and in transactions of all kinds
my $throw_away = q{DO $$ BEGIN FOR i IN 1 .. 150 LOOP
		EXECUTE format('CREATE TABLE away_%s (x int)', i);
		EXECUTE format('CREATE FUNCTION away_%s() RETURNS bigint LANGUAGE cached_sql STABLE
			AS ''SELECT count(*) FROM public.away_%s''', i, i);
		EXECUTE format('SELECT away_%s()', i);
		EXECUTE format('INSERT INTO away_%s VALUES (1)', i);
		COMMIT;
		EXECUTE format('DROP FUNCTION away_%s(); DROP TABLE away_%s', i, i);
		IF i % 3 = 0 THEN COMMIT; END IF;
	END LOOP; END $$};
my ($functions, $tables) = room();
$node->safe_psql($_, $throw_away) for 'postgres', 'other';
is_deeply([ room() ], [ $functions, $tables ], 'what was dropped has no place');
for my $db ('postgres', 'other')
{
	$node->safe_psql($db, 'SELECT cached_hours(1); SELECT cached_hours(1); UPDATE task SET hours = hours WHERE id = 1;
		SELECT cached_hours(1)');
	is(calls($db), 3, "the statistics of $db show what is new");
	is($node->safe_psql($db, q{SELECT transactions > 0 FROM aggcache.tables WHERE relation = 'task'::regclass}), 't',
		'of tables too');
}

# a drop that is rolled back, as a whole or to a savepoint, costs nothing
$node->safe_psql('postgres', q{BEGIN; DROP FUNCTION cached_hours(int); ROLLBACK;
	BEGIN; SAVEPOINT s; DROP FUNCTION cached_hours(int); ROLLBACK TO s; COMMIT});
is(calls(), 3, 'a drop that was rolled back');

# A call site outlives its function: what it counts goes nowhere, least of all to whoever has the place by now.
my $session = PsqlSession->new('psql', '-d', $node->connstr('postgres'));
$session->query(q{CREATE FUNCTION cached_old(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT count(*) + x
	FROM task'; BEGIN; DECLARE c CURSOR FOR SELECT cached_old(x % 2) FROM generate_series(1, 100) x;
	FETCH 10 FROM c \g /dev/null
});
$node->safe_psql('postgres', q{DROP FUNCTION cached_old(int)});
is(($node->psql('postgres', q{SELECT 1 FROM aggcache.stats WHERE function::text LIKE 'cached_old%'}))[1], '',
	'the function is gone');

# dropped by a transaction that was prepared: nobody notes it, reset_stats() finds it
$node->safe_psql('postgres', q{CREATE FUNCTION cached_prepared() RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT count(*) FROM task'; SELECT cached_prepared()});
($functions, $tables) = room();
$node->safe_psql('postgres', q{BEGIN; DROP FUNCTION cached_prepared(); PREPARE TRANSACTION 'p'});
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
$node->safe_psql('postgres', 'SELECT aggcache.reset_stats()');
is((room())[0], $functions + 1, 'reset_stats() gives back the place of a function that a prepared transaction dropped');
is(calls(), 0, 'and resets what is there');
$session->finish;

# a dropped database
($functions, $tables) = room();
$node->safe_psql('postgres', 'DROP DATABASE other');
cmp_ok((room())[0], '>', $functions, 'DROP DATABASE gives back the places of functions');
cmp_ok((room())[1], '>', $tables, 'and of tables');
done_testing();
