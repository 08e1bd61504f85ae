# How old a result is that was computed under an imported snapshot, and what aggcache.max_staleness accepts of it: from
# shared memory and from Redis.
use strict;
use warnings;
use AggcacheTest;
use PsqlSession;
use RedisServer;
use Test::More;

my @stores = ('shared');
my $redis;
if (RedisServer::lacks())
{
	note 'only in shared memory: ' . RedisServer::lacks();
}
else
{
	$redis = RedisServer->start('unix');
	push @stores, 'redis', 'tiered';
}
my $node = new_node('main', conf => "max_prepared_transactions = 10\n" . ($redis ? $redis->conf : ''));
fixture($node);

sub session
{
	my ($store) = @_;
	my $session = PsqlSession->new('psql', '-d', $node->connstr('postgres'));
	$session->query("SET aggcache.store = $store; SET aggcache.max_staleness = '1h';");
	return $session;
}

# The value and what the call was. What it sends to Redis alone has arrived when another call has its answer from there.
sub call
{
	my ($session) = @_;
	my $got = join ' ', map { $_->[0] }
		$session->query('SELECT cached_hours(1); SELECT result FROM aggcache.last_call();');
	$session->query(q{SELECT cached_hours(2) WHERE current_setting('aggcache.store') = 'redis';});
	return $got;
}

my $hours = 18;
for my $store (@stores)
{
	# what another store has left in Redis
	$node->safe_psql('postgres', "SELECT aggcache.invalidate('cached_hours(int)')");
	my ($exporter, $importer, $writer, $other) = map { session($store) } 1 .. 4;

	# the snapshot is older than the importing transaction
	$exporter->query('BEGIN ISOLATION LEVEL REPEATABLE READ;');
	my ($id) = map { $_->[0] } $exporter->query('SELECT pg_export_snapshot();');
	my ($exported_at) = map { $_->[0] } $exporter->query('SELECT clock_timestamp();');
	$writer->query('UPDATE task SET hours = hours + 100 WHERE id = 3;');
	$importer->query("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$id';");
	is(call($importer), "$hours miss", "$store: computed under an imported snapshot");
	if ($store ne 'redis')
	{
		is($node->safe_psql('postgres', "SELECT stored_at <= '$exported_at' FROM aggcache.entries
			WHERE function = 'cached_hours(int)'::regprocedure"), 't', "$store: and as old as that");
	}
	is(call($other), "$hours stale hit", "$store: accepted by who has written nothing");
	$importer->query('COMMIT;');
	is(call($writer), $hours + 100 . ' miss', "$store: not by who has written what it lacks");
	$exporter->query('COMMIT;');
	$hours += 100;

	# what is newer than the snapshot
	$importer->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
	$writer->query('UPDATE task SET hours = hours + 100 WHERE id = 3;');
	is(call($other), "$hours stale hit", "$store: an earlier result is accepted");
	$node->safe_psql('postgres', "SELECT aggcache.invalidate('cached_hours(int)')");
	is(call($other), $hours + 100 . ' miss', "$store: a newer one is stored");
	is(call($importer), "$hours miss", "$store: and not accepted under an older snapshot");
	$importer->query('COMMIT;');
	$hours += 100;

	# prepared by one session, committed by another
	$node->safe_psql('postgres', "SELECT aggcache.invalidate('cached_hours(int)')");
	$writer->query("BEGIN; UPDATE task SET hours = hours + 100 WHERE id = 3; PREPARE TRANSACTION 'p';");
	is(call($other), "$hours miss", "$store: prepared");
	$importer->query("COMMIT PREPARED 'p';");
	is(call($other), "$hours stale hit", "$store: committed, and accepted by a third");
	is(call($importer), $hours + 100 . ' miss', "$store: not by who has committed it");
	$hours += 100;
	$writer->query("BEGIN; UPDATE task SET hours = hours + 100 WHERE id = 3; PREPARE TRANSACTION 'p';");
	$importer->query("COMMIT PREPARED 'p';");
	is(call($writer), $hours + 100 . ' miss', "$store: nor by who has prepared it");
	$hours += 100;
	$_->finish for $exporter, $importer, $writer, $other;
}
$redis->stop if $redis;
$node->stop;
done_testing();
