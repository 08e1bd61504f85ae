# A session that is stopped in the middle of changing a stamp slot holds up no reader, and writers can be cancelled.
use strict;
use warnings;
use AggcacheTest;
use PsqlSession;
use Test::More;

my $node = new_node('main', conf => "aggcache.stamp_slots = 1024\n");
fixture($node);
my ($seizes) = $node->safe_psql('postgres',
	q{SELECT count(*) FROM pg_settings WHERE name = 'aggcache.debug_seize_slots'});
plan skip_all => 'not a debug build' unless $seizes;

my $stopped = PsqlSession->new('psql', '-d', $node->connstr('postgres'));
$node->safe_psql('postgres', q{SELECT cached_hours(1);
	CREATE FUNCTION cached_all() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(hours) FROM task'});
# all slots, as if so many sessions had been stopped
$stopped->query('SET aggcache.debug_seize_slots = on;');

# readers compute; nothing waits
my $timeout = q{SET statement_timeout = '10s';};
same($node, 'cached_hours(1)', 'plain_hours(1)', 18, 'a reader computes', before => $timeout) for 1 .. 2;
same($node, 'cached_hours(1)', 'plain_hours(1)', 18, 'also where a changed result would do',
	before => "$timeout SET aggcache.max_staleness = '1h';");
is($node->safe_psql('postgres', "$timeout SELECT count(*) > 0 FROM aggcache.entries"), 't', 'views can be read');

# writers of rows, of definitions, of tables, and what invalidates by hand, wait and can be cancelled
for my $write (
	'UPDATE task SET hours = 7 WHERE id = 3',
	'INSERT INTO task VALUES (100, 1, 1)',
	'TRUNCATE task',
	'ALTER TABLE task ADD COLUMN more int',
	'DROP FUNCTION cached_all()',
	q{CREATE OR REPLACE FUNCTION plain_hours(d int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 0'},
	q{SELECT aggcache.invalidate_table('task')},
	q{BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE task SET hours = 7 WHERE id = 3; COMMIT},
	)
{
	my ($rc, $out, $err) = $node->psql('postgres', "SET statement_timeout = '300ms'; $write",
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  57014/, "can be cancelled: $write");
}
same($node, 'cached_hours(1)', 'plain_hours(1)', 18, 'and has changed nothing', before => $timeout);

# who waits goes on as soon as the other does
my $writer = background($node, 'UPDATE task SET hours = hours + 1 WHERE id = 3; SELECT cached_hours(1)');
wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Extension'
	AND query LIKE 'UPDATE%'}, 'the writer to wait');
$stopped->query('SET aggcache.debug_seize_slots = off;');
wait_background($writer);
same($node, 'cached_hours(1)', 'plain_hours(1)', 19, 'the write is seen') for 1 .. 2;
$stopped->finish;
is_hit($node, 'SELECT cached_hours(1)', 'and hits go on');
done_testing();
