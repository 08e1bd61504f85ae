# Transactions prepared before a restart registered in shared memory that is gone: their commit must still be seen.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main', conf => "max_prepared_transactions = 10\n");
fixture($node);
my @answer = ('cached_hours(1)', 'plain_hours(1)');

same($node, @answer, 18, 'before');
$node->safe_psql('postgres', q{
	BEGIN; UPDATE task SET hours = hours + 100 WHERE id = 3; PREPARE TRANSACTION 'a';
	BEGIN; UPDATE task SET hours = hours + 1000 WHERE id = 6; PREPARE TRANSACTION 'b';
	BEGIN; UPDATE task SET hours = hours + 10000 WHERE id = 9; PREPARE TRANSACTION 'c';});
same($node, @answer, 18, 'prepared, not committed');
$node->safe_psql('postgres', "COMMIT PREPARED 'a'");
same($node, @answer, 118, 'committed without a restart');
same($node, @answer, 118, 'and again');

for my $mode ('fast', 'immediate')
{
	$node->stop($mode);
	$node->start;
	my $value = $mode eq 'fast' ? 118 : 1118;
	same($node, @answer, $value, "after a $mode restart");
	same($node, @answer, $value, 'and again');
	$node->safe_psql('postgres', 'COMMIT PREPARED ' . ($mode eq 'fast' ? q{'b'} : q{'c'}));
	same($node, @answer, $value + ($mode eq 'fast' ? 1000 : 10000), "committed after a $mode restart");
}
$node->safe_psql('postgres', q{BEGIN; UPDATE task SET hours = 0 WHERE dept = 1; PREPARE TRANSACTION 'd';});
same($node, @answer, 11118, 'prepared');
$node->restart;
same($node, @answer, 11118, 'prepared, restarted');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'd'");
same($node, @answer, 11118, 'rolled back after the restart');
# as long as one was prepared before the restart, nothing could be proven
is_hit($node, 'SELECT cached_hours(1)', 'hits again');

# an old snapshot across COMMIT PREPARED
$node->safe_psql('postgres', q{BEGIN; UPDATE task SET hours = 0 WHERE dept = 1; PREPARE TRANSACTION 'e';});
my $gate = background($node, q{SELECT pg_advisory_lock(7); SET application_name = 'gate'; SELECT pg_sleep(1000)});
wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'gate'
	AND wait_event = 'PgSleep'}, 'the gate to close');
my $old = background($node, q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT cached_hours(1);
	SET application_name = 'old'; SELECT pg_advisory_lock(7) IS NULL; SELECT cached_hours(1),
		cached_hours(1) = plain_hours(1); COMMIT;});
wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'old'
	AND wait_event_type = 'Lock'}, 'the old session to wait');
$node->safe_psql('postgres', "COMMIT PREPARED 'e'");
same($node, @answer, 0, 'a new snapshot sees it');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gate'});
wait_background($gate);
like((wait_background($old))[0], qr/11118\|t$/, 'the old one does not');

# a session whose first look at the watches failed registers its later writes all the same
$node->safe_psql('postgres', "SELECT cached_hours(1); BEGIN; LOCK aggcache.watch; PREPARE TRANSACTION 'f'");
my ($rc, $out, $err) = $node->psql('postgres', q{
	SET lock_timeout = '100ms';
	UPDATE task SET hours = 1 WHERE id = 3;
	COMMIT PREPARED 'f';
	UPDATE task SET hours = 2 WHERE id = 3;}, on_error_stop => 0);
like($err, qr/lock timeout/, 'the watches could not be read');
same($node, @answer, $node->safe_psql('postgres', 'SELECT plain_hours(1)'), 'a write after that');

done_testing();
