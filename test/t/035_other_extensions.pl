# Other extensions are asked of a hit as of a computation: those that audit what is executed, and those that refuse.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use AggcacheTest;
use Cwd;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::system_or_bail('cp', glob("$FindBin::Bin/../hooks/*"), $directory);
my $config = $ENV{PG_CONFIG} // 'pg_config';
PostgreSQL::Test::Utils::system_or_bail('make', '-s', '-C', $directory, "PG_CONFIG=$config", 'MODULES=asking');

my $node = new_node('asked');
fixture($node);
$node->safe_psql('postgres', q{
	CREATE TABLE dept (id int PRIMARY KEY, name text);
	INSERT INTO dept VALUES (1, 'one'), (2, 'two'), (3, 'three');
	CREATE VIEW named AS SELECT d.id, d.name, t.hours FROM dept d JOIN task t ON t.dept = d.id;
	CREATE FUNCTION doubled(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 2 * $1; END';
	CREATE FUNCTION halved(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 / 2;
});
my %bodies = (
	table => 'SELECT sum(hours) FROM public.task WHERE dept = d',
	view => 'SELECT sum(hours) FROM public.named WHERE id = d',
	subquery => 'SELECT count(*) FROM public.dept WHERE id IN (SELECT dept FROM public.task WHERE dept = d)',
	function => 'SELECT sum(public.doubled(hours)) FROM public.task WHERE dept = d',
	# what vanishes in planning is asked of by nobody
	inlined => 'SELECT sum(public.halved(hours)) FROM public.task WHERE dept = d');
for my $name (sort keys %bodies)
{
	$node->safe_psql('postgres', qq{
		CREATE FUNCTION plain_$name(d int) RETURNS bigint LANGUAGE sql STABLE AS '$bodies{$name}';
		CREATE FUNCTION cached_$name(d int) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = ''
			AS '$bodies{$name}'});
}
$node->safe_psql('postgres', q{
	CREATE ROLE reader;
	GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
	CREATE FUNCTION inner_hours(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours) FROM public.task WHERE dept = d';
	CREATE FUNCTION plain_nested() RETURNS numeric LANGUAGE sql STABLE
		AS 'SELECT sum(public.plain_table(id)) FROM public.dept';
	CREATE FUNCTION cached_nested() RETURNS numeric LANGUAGE cached_sql STABLE
		AS 'SELECT sum(public.inner_hours(id)) FROM public.dept'});

# What the extension was told in one session that runs the statements: a list for each, and the errors.
sub asked
{
	my (@statements) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', join(";\n\\warn --\n", "LOAD '$directory/asking.so'", @statements));
	my @parts = split /--\n/, $err, -1;
	shift @parts;
	return map { my $part = $_; join(', ', sort($part =~ /(asking: .*)/g)) } @parts;
}

for my $name (sort keys %bodies)
{
	my ($plain, $miss, $hit) = asked("SELECT plain_$name(2)", "SELECT cached_$name(2)", "SELECT cached_$name(2)");
	like($plain, qr/asking: task as /, "$name: the extension is asked of the plain function");
	is($miss, $plain, "$name: and the same of a miss");
	is($hit, $plain, "$name: and of a hit");
	my $call = "SELECT cached_$name(2) > 0";
	is($node->safe_psql('postgres', "$call; $call; $call; SELECT result FROM aggcache.last_call()"), "t\nt\nt\nhit",
		"$name: which was one");
	my ($as_role) = (asked('SET ROLE reader', "SELECT cached_$name(2)", "SELECT cached_$name(2)"))[2];
	is($as_role, $plain =~ s/as \w+/as reader/gr, "$name: with the role that calls");
}

my ($plain, $miss, $hit) = asked('SELECT plain_nested()', 'SELECT cached_nested()', 'SELECT cached_nested()');
my %once = map { $_ => 1 } split /, /, $plain;
is($hit, join(', ', sort keys %once), 'a hit tells of the tables of nested functions, once each');

# the same statements with something refused
for my $name (qw(table view subquery))
{
	my ($set, $refused) = asked("SET asking.refused_relation = 'task'", "SELECT cached_$name(2)");
	like($refused, qr/asking: task is refused/, "$name: a hit is refused as the query is");
}
my ($set, $refused) = asked("SET asking.refused_function = 'doubled'", 'SELECT cached_function(2)');
like($refused, qr/asking: doubled is refused/, 'a hit is refused for a function that it would execute');
($set, $refused) = asked("SET asking.refused_function = 'cached_table'", 'SELECT cached_table(2)');
like($refused, qr/asking: cached_table is refused/, 'and for the function itself');
($set, $refused) = asked("SET asking.refused_function = 'other'", 'SELECT cached_function(2)');
unlike($refused, qr/is refused/, 'others are not');

# and without such an extension nothing is lost
is_hit($node, 'SELECT cached_table(2)', 'a hit without the extension');

SKIP:
{
	my $library = `$config --pkglibdir`;
	chomp $library;
	skip 'pgaudit is not installed', 2 unless -e "$library/pgaudit.so";
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'pg_aggcache, pgaudit'\npgaudit.log = 'read'\npgaudit.log_relation = on\n"
			. "pgaudit.log_catalog = off\n");
	$node->restart;
	my $lines = sub {
		my $offset = -s $node->logfile;
		$node->safe_psql('postgres', $_[0]);
		my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset);
		return join "\n", $log =~ /AUDIT: SESSION,\d+,\d+,(READ,SELECT,TABLE,.*)/g;
	};
	my $plain = $lines->('SELECT plain_view(2)');
	my ($first, $second) = map { $lines->('SELECT cached_view(2)') } 1 .. 2;
	s/plain_view|cached_view/f/g for $plain, $first, $second;
	is($first, $plain, 'pgaudit logs a miss as the plain function');
	is($second, $plain, 'and a hit');
}

done_testing();
