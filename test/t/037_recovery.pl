# Nothing of the stamp protocol runs in recovery, whatever is tried on a standby: what begins there would take
# transactions for registered that the primary prepares afterwards, and that survive the promotion.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main', streaming => 1, conf => "max_prepared_transactions = 10\n");
fixture($node);
$node->safe_psql('postgres', q{
	CREATE MATERIALIZED VIEW totals AS SELECT dept, sum(hours) AS hours FROM task GROUP BY dept;
	CREATE UNIQUE INDEX ON totals (dept);
	CREATE FUNCTION cached_total(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours)::bigint FROM totals WHERE dept = d';
	CREATE ROLE nobody;});
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;

# What somebody may try, with and without privileges. The last column: whether it is no error.
my @tried = (
	[ 'INSERT INTO totals VALUES (1, 1)', 0 ], [ 'UPDATE totals SET hours = 1', 0 ], [ 'DELETE FROM totals', 0 ],
	[ 'MERGE INTO totals t USING task s ON t.dept = s.dept WHEN MATCHED THEN DELETE', 0 ],
	[ 'WITH w AS (INSERT INTO totals VALUES (1, 1) RETURNING 1) SELECT * FROM w', 0 ],
	[ 'EXPLAIN INSERT INTO totals VALUES (1, 1)', 0 ], [ 'REFRESH MATERIALIZED VIEW CONCURRENTLY totals', 0 ],
	[ 'INSERT INTO task VALUES (10, 1, 10)', 0 ], [ 'TRUNCATE task', 0 ], [ 'COPY task FROM stdin', 0 ],
	[ 'SELECT cached_hours(1), cached_total(1)', 1 ],
	[ q{SELECT * FROM aggcache.mget('cached_hours(int)', ARRAY[1, 2]) AS r (ordinality bigint, hours bigint)}, 1 ],
	[ q{SELECT * FROM aggcache.explain('cached_hours(int)', 1)}, 1 ], [ 'SELECT * FROM aggcache.health()', 1 ],
	[ q{SELECT aggcache.invalidate('cached_hours(int)', 1)}, undef ],
	[ q{SELECT aggcache.invalidate('cached_hours(int)')}, undef ], [ 'SELECT aggcache.invalidate_all()', undef ],
	[ q{SELECT aggcache.invalidate_table('task')}, 0 ], [ 'SELECT aggcache.refresh()', 0 ],
	[ q{SELECT aggcache.attach('task')}, 0 ], [ q{SELECT aggcache.detach('task')}, 0 ],
	[ q{SELECT aggcache.wrap('plain_hours(int)')}, 0 ], [ 'CREATE TABLE other (x int)', 0 ],
	[ 'ALTER TABLE task ADD x int', 0 ], [ 'DROP FUNCTION cached_hours(int)', 0 ], [ 'CREATE TEMP TABLE x (x int)', 0 ],
	[ q{CREATE FUNCTION f() RETURNS int LANGUAGE cached_sql STABLE AS 'SELECT 1'}, 0 ]);
for my $role ('', 'SET ROLE nobody; ')
{
	for my $tried (@tried)
	{
		my ($rc, $out, $err) = $standby->psql('postgres', $role . $tried->[0], on_error_stop => 1);
		next if $role || !defined $tried->[1];
		is($rc == 0 ? 1 : 0, $tried->[1], "on a standby: $tried->[0]") or diag $err;
	}
}

$node->safe_psql('postgres', 'CREATE TABLE other (x int); INSERT INTO other VALUES (1); INSERT INTO other VALUES (2)');
$node->safe_psql('postgres', "BEGIN; UPDATE task SET hours = 100 WHERE id = 3; PREPARE TRANSACTION 'p'");
$node->safe_psql('postgres', 'INSERT INTO other VALUES (3)') for 1 .. 3;
$node->wait_for_catchup($standby);
$standby->promote;
same($standby, 'cached_hours(1)', 'plain_hours(1)', 18, 'promoted') for 1 .. 2;
$standby->safe_psql('postgres', "COMMIT PREPARED 'p'");
same($standby, 'cached_hours(1)', 'plain_hours(1)', 115, 'committed what was prepared before the promotion') for 1 .. 2;
is_hit($standby, 'SELECT cached_hours(1)', 'and hits');
done_testing();
