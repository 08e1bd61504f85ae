# On the demo's data: while today's tasks come in, the reports of past months and the workloads of departments that get
# no task stay valid. The writer is paced by the readers, not by a clock.
use strict;
use warnings;
use AggcacheTest;
use FindBin;
use PsqlSession;
use Test::More;

my $demo = "$FindBin::Bin/../../demo";
# More slots than by default: two tags that share one would make a result miss for as long as the writer goes on.
my $node = new_node('main', conf => "aggcache.stamp_slots = 1048576\n");

# Calls all of them before and after each commit of the writer; returns the ratios of hits.
sub measure
{
	my ($database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'tasks=20000', '-o', '/dev/null', '-d',
		$node->connstr($database), '-f', "$demo/schema.sql", '-f', "$demo/functions.sql" ], "the demo's data, smaller");
	my ($reader, $writer) = map { PsqlSession->new('psql', '-d', $node->connstr($database)) } 1 .. 2;
	$reader->query('SELECT * FROM demo.read_reports(); SELECT * FROM cached_month_report(\'2026-01-01\');');
	my ($again) = $reader->query('SELECT report_hits, department_hits FROM demo.read_reports();');
	is("@$again", '24 30', 'all are cached');

	my @sum = (0) x 4;
	my $read = sub {
		my ($row) = $reader->query(
			'SELECT report_calls, report_hits, department_calls, department_hits FROM demo.read_reports();');
		$sum[$_] += $row->[$_] for 0 .. 3;
	};
	my $today_misses = 0;
	for my $batch (1 .. 40)
	{
		$writer->query("BEGIN; SELECT demo.insert_today(25) \\g /dev/null\n");
		$read->();
		$writer->query('COMMIT;');
		$read->();
		# what the writer does change is noticed
		my ($outcome) = $reader->query(q{SELECT count(*) FROM cached_month_report('2026-01-01') \g /dev/null
			SELECT result FROM aggcache.last_call();});
		$today_misses++ if $outcome->[0] eq 'miss';
	}
	is($today_misses, 40, 'the report of this month misses after every batch');
	my ($differences) = $reader->query('SELECT count(*) FROM demo.differences();');
	is($differences->[0], '0', 'the answers are those of the plain queries');
	$_->finish for $reader, $writer;
	return ($sum[1] / $sum[0], $sum[3] / $sum[2]);
}

# Which tags share a slot depends on the database's number, so one that was unlucky gets another chance.
my ($reports, $departments);
for my $attempt (1 .. 3)
{
	($reports, $departments) = measure("attempt_$attempt");
	note(sprintf 'ratio of hits: month reports %.4f, workloads of other departments %.4f', $reports, $departments);
	last if $reports >= 0.99 && $departments >= 0.99;
}
cmp_ok($reports, '>=', 0.99, 'reports of past months stay valid');
cmp_ok($departments, '>=', 0.99, 'workloads of other departments stay valid');
done_testing();
