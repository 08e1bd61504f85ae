# A transaction that sits without a snapshot outlives any number of transaction ids. What it sees afterwards is compared
# with what the server holds now, not with what it has read before.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use AggcacheTest;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::system_or_bail('cp', glob("$FindBin::Bin/../hooks/*"), $directory);
my $config = $ENV{PG_CONFIG} // 'pg_config';
PostgreSQL::Test::Utils::system_or_bail('make', '-s', '-C', $directory, "PG_CONFIG=$config");

my $node = new_node('main');
fixture($node);
$node->safe_psql('postgres', qq{CREATE FUNCTION advance_epoch() RETURNS void LANGUAGE c AS '$directory/aging'});
my @sitting = map { PsqlSession->new('psql', '-d', $node->connstr('postgres')) } 1 .. 3;
my $writer = PsqlSession->new('psql', '-d', $node->connstr('postgres'));

sub look
{
	my ($session, $expected, $name) = @_;
	my ($row) = $session->query('SELECT cached_hours(1), plain_hours(1);');
	is("@$row", "$expected $expected", $name);
	return;
}

my $value = 18;
for my $round (1 .. 3)
{
	$_->query('BEGIN;') for @sitting;
	look($_, $value, "round $round: before") for @sitting[0, 1];
	$node->safe_psql('postgres', 'SELECT advance_epoch()');
	# one that runs, and one that has committed
	$writer->query('BEGIN; UPDATE task SET hours = hours + 1 WHERE id = 3;');
	look($_, $value, "round $round: a writer runs") for @sitting;
	$writer->query('COMMIT;');
	$value++;
	look($_, $value, "round $round: and has committed") for @sitting, $sitting[0];
	$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 6');
	$value++;
	look($_, $value, "round $round: another") for $sitting[2], @sitting;
	same($node, 'cached_hours(1)', 'plain_hours(1)', $value, "round $round: who comes later");
	$sitting[1]->query('UPDATE task SET hours = hours + 1 WHERE id = 9;');
	look($sitting[1], $value + 1, "round $round: own write");
	look($_, $value, "round $round: which others do not see") for @sitting[0, 2];
	$sitting[1]->query('ROLLBACK;');
	$_->query('COMMIT;') for @sitting[0, 2];
	look($_, $value, "round $round: after") for @sitting;
}
$_->finish for @sitting, $writer;
is_hit($node, 'SELECT cached_hours(1)', 'and hits');
done_testing();
