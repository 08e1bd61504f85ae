# make installcheck passes on servers as they are: with settings, and next to extensions, that are common.
use strict;
use warnings;
use AggcacheTest;
use File::Basename;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'one store is enough' if $ENV{AGGCACHE_TEST_STORE};

my $root = dirname(__FILE__) . '/../..';
my @tests = sort map { basename($_, '.sql') } glob "$root/sql/*.sql";
cmp_ok(scalar @tests, '>', 10, 'there are tests');

my %servers = (
	watched => q{
		shared_preload_libraries = 'pg_stat_statements, auto_explain, pg_aggcache'
		compute_query_id = on
		auto_explain.log_min_duration = 0
		auto_explain.log_analyze = on
		auto_explain.log_nested_statements = on
		log_statement_stats = on
		log_duration = on
		track_functions = all
		track_io_timing = on
		default_transaction_isolation = 'repeatable read'
		jit = off},
	abroad => q{
		compute_query_id = off
		default_transaction_isolation = 'serializable'
		plan_cache_mode = force_generic_plan
		enable_seqscan = off
		jit = off
		extra_float_digits = 0
		intervalstyle = 'iso_8601'
		datestyle = 'sql, dmy'
		timezone = 'America/Sao_Paulo'
		bytea_output = 'escape'});

for my $name (sort keys %servers)
{
	my $node = new_node($name, conf => $servers{$name});
	my $directory = PostgreSQL::Test::Utils::tempdir();
	my @command = ($ENV{PG_REGRESS}, "--inputdir=$root", "--outputdir=$directory", '--bindir=' . bindir(),
		'--host=' . $node->host, '--port=' . $node->port, '--dbname=regress', '--load-extension=pg_aggcache', @tests);
	my $passed = do { local $ENV{PWD} = $root; chdir $root; system_log(@command) == 0 };
	ok($passed, "$name: all tests pass");
	diag(slurp_file("$directory/regression.diffs")) if !$passed && -e "$directory/regression.diffs";
	$node->stop;
}

# It has isolation and the TAP tests too: they run by themselves here, so this looks at what it would run.
{
	delete local @ENV{qw(MAKEFLAGS MFLAGS)};
	my ($commands) = run_command([ 'make', '-n', '-C', $root, 'installcheck' ]);
	for my $spec (map { basename($_, '.spec') } glob "$root/test/isolation/specs/*.spec")
	{
		like($commands, qr/pg_isolation_regress .* --load-extension=pg_aggcache .*\b$spec\b/s, "isolation: $spec");
	}
	like($commands, qr{-I test/lib .*test/t/\*\.pl}s, 'tap');
	($commands) = run_command([ 'make', '-n', '-C', $root, 'installcheck', 'ISOLATION=', 'TAP_TESTS=' ]);
	like($commands, qr/pg_regress .*\b$tests[0]\b/s, 'regress alone');
	unlike($commands, qr/pg_isolation_regress|prove/, 'and nothing else');
	my ($out) = run_command([ "$root/test/lib/prove_tests.sh", '/no/prove', 'test/t/*.pl' ]);
	is($out, 'TAP tests are not run: there is no /no/prove', 'what is missing for TAP is said');
}

sub bindir
{
	my ($out) = run_command([ $ENV{PG_CONFIG} // 'pg_config', '--bindir' ]);
	return $out;
}

done_testing();
