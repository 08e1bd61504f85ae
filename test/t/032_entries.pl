# The table of entries in docs/internals.md names every function of the extension, every hook and every callback, each
# with tests that exist.
use strict;
use warnings;
use AggcacheTest;
use File::Basename;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = dirname(__FILE__) . '/../..';
my $document = slurp_file("$root/docs/internals.md");
my ($section) = $document =~ /^## Whose code runs as whom\n(.*?)^## /ms or die 'no section';
my @rows = map { [ split /\s*\|\s*/, s/^\|\s*//r ] } grep { /^\| `/ } split /\n/, $section;
cmp_ok(scalar @rows, '>', 20, 'the table is there');
my %entries = map { $_ => 1 } map { $_->[0] =~ /`([^`]+)`/g } @rows;

# ---- Functions of the extension --------------------------------------------------------------------------------------

my $node = new_node('main');
my @functions = split /\n/, $node->safe_psql('postgres', q{
	CREATE EXTENSION pg_aggcache; SET search_path = '';
	SELECT objid::regprocedure FROM pg_depend JOIN pg_extension e ON e.oid = refobjid AND extname = 'pg_aggcache'
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND classid = 'pg_proc'::regclass ORDER BY 1::text});
cmp_ok(scalar @functions, '>', 30, 'the extension has functions');
is(join("\n", grep { !$entries{$_} } @functions), '', 'every function of the extension is in the table');
my %functions = map { $_ => 1 } @functions;
is(join("\n", grep { /^aggcache\./ && !$functions{$_} } sort keys %entries), '', 'and no other');

# ---- Hooks and callbacks ---------------------------------------------------------------------------------------------

my (%hooks, %callbacks);
for my $file (glob "$root/src/pg/*.cc $root/src/pg/*/*.cc")
{
	my $source = slurp_file($file);
	$hooks{"$1: $2"} = basename($file) while $source =~ /^\s*(\w+_hook) = ([A-Z]\w*);/mg;
	for my $pattern (
		qr/Register(?:Sub)?XactCallback\((\w+)/, qr/Register(?:ResourceRelease|ExprContext)Callback\([^,;]*?(\w+)[,)]/,
		qr/CacheRegister\w+Callback\((?:\w+, )?(\w+), Datum/, qr/(?:before_shmem|on_shmem|on_proc)_exit\((\w+)/,
		qr/RegisterTimeout\(\w+, (\w+)\)/, qr/\.callback = (\w+);/)
	{
		$callbacks{$1} = basename($file) while $source =~ /$pattern/g;
	}
	while ($source =~ /DefineCustom\w+Variable\((.*?)\);/gs)
	{
		$callbacks{$_} = basename($file) for $1 =~ /\b((?:Check|Assign|Show)[A-Z]\w*)/g;
	}
}
cmp_ok(scalar keys %hooks, '>', 5, 'the source has hooks');
cmp_ok(scalar keys %callbacks, '>', 8, 'and callbacks');
for my $hook (sort keys %hooks)
{
	my ($name, $handler) = split /: /, $hook;
	like($section, qr/`\Q$name\E`: `\Q$handler\E`/, "$hook, of $hooks{$hook}, is in the table");
}
is(join("\n", map { "$_, of $callbacks{$_}" } grep { !$entries{$_} } sort keys %callbacks), '',
	'every callback is in the table');

# ---- Tests -----------------------------------------------------------------------------------------------------------

for my $row (@rows)
{
	is(scalar @$row, 5, "the row of $row->[0] is complete");
	my @tests = ($row->[4] // '') =~ /`([^`]+)`/g;
	my @missing = grep { !-e "$root/$_" && !-e "$root/test/t/$_" } @tests;
	ok(@tests && !@missing, "and has tests that exist") or diag(join ', ', @missing);
}

done_testing();
