# A commit can be seen before what it says about definitions: in between, a session may plan by what was. What it
# computes then is not kept.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use AggcacheTest;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::system_or_bail('cp', (map { "$FindBin::Bin/../hooks/$_" } 'Makefile', 'pausing.c'),
	$directory);
my $config = $ENV{PG_CONFIG} // 'pg_config';
PostgreSQL::Test::Utils::system_or_bail('make', '-s', '-C', $directory, "PG_CONFIG=$config", 'pausing.so');

my $node = new_node('main');
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_aggcache;
	CREATE TABLE part (k int, n int) PARTITION BY LIST (k);
	CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
	INSERT INTO part VALUES (1, 1);
	CREATE TABLE part2 (k int, n int, CHECK (k = 2));
	INSERT INTO part2 VALUES (2, 10);
	CREATE TABLE nested (k int, n int) PARTITION BY LIST (k);
	CREATE TABLE nested1 PARTITION OF nested FOR VALUES IN (1) PARTITION BY LIST (n);
	CREATE TABLE nested11 PARTITION OF nested1 FOR VALUES IN (1);
	INSERT INTO nested VALUES (1, 1);
	CREATE TABLE nested12 (k int, n int, CHECK (n = 2 AND k = 1));
	INSERT INTO nested12 VALUES (1, 2);
	CREATE FUNCTION cached_part(x int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(n) + 0 * x FROM public.part';
	CREATE FUNCTION cached_nested(x int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(n) + 0 * x FROM public.nested';
	-- a role's privileges by membership, and a function that runs as that role
	CREATE TABLE secret (n int);
	INSERT INTO secret VALUES (5);
	CREATE ROLE grp;
	CREATE ROLE owner IN ROLE grp;
	GRANT SELECT ON secret TO grp;
	CREATE FUNCTION unit(i int) RETURNS int LANGUAGE sql STABLE AS 'SELECT max(n) + 0 * i FROM public.secret';
	CREATE FUNCTION as_owner(k int) RETURNS int LANGUAGE sql STABLE SECURITY DEFINER
		AS 'SELECT k * max(public.unit(n)) FROM public.secret';
	ALTER FUNCTION as_owner(int) OWNER TO owner;
	CREATE FUNCTION cached_roles(x int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(public.as_owner(k)) + 0 * x FROM public.part WHERE k = 1';
	CREATE FUNCTION cached_names(x int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(public.as_owner(k)) + 1 + 0 * x FROM public.part WHERE k = 1';
	-- what is printed of an enum
	CREATE TYPE mood AS ENUM ('good');
	CREATE TABLE felt (m mood);
	INSERT INTO felt VALUES ('good');
	CREATE FUNCTION cached_mood(x int) RETURNS text LANGUAGE cached_sql STABLE
		AS 'SELECT max(m::text) || left(x::text, 0) FROM public.felt';
	SELECT cached_part(0), cached_nested(0), cached_roles(0), cached_names(0);
});

# What a session answers that knows the tables already, while a change of theirs is committed and not told, and after.
sub between
{
	my ($name, $change, $seen, $before, $after) = @_;
	my $reader = PsqlSession->new('psql', '-d', $node->connstr('postgres'));
	$reader->query('\set ON_ERROR_STOP 0');
	my $ask = sub { my ($call) = @_; return ($reader->query("SELECT $call;"))[0][0]; };
	is($ask->("cached_$name(1)"), $before, "$name: before the change");
	my $file = "$directory/go_$name";
	my $writer = background($node, "SET application_name = 'paused'; LOAD '$directory/pausing.so';"
		. " BEGIN; SET LOCAL pausing.until = '$file'; $change; COMMIT");
	# its rows in the catalog are seen: it has committed
	wait_for_query($node, "SELECT $seen", 'the change to be seen');
	is($ask->("cached_$name(2)"), $before, "$name: planned by what was");
	append_to_file($file, 'go');
	my ($out, $err) = wait_background($writer);
	is($err, '', "$name: the change is made");
	like($ask->("cached_$name(2)"), $after, "$name: that was not kept");
	$reader->finish;
	return;
}

between('part', 'ALTER TABLE part ATTACH PARTITION part2 FOR VALUES IN (2)',
	q{count(*) = 2 FROM pg_inherits WHERE inhparent = 'part'::regclass}, 1, qr/^11$/);
between('nested', 'ALTER TABLE nested1 ATTACH PARTITION nested12 FOR VALUES IN (2)',
	q{count(*) = 2 FROM pg_inherits WHERE inhparent = 'nested1'::regclass}, 1, qr/^3$/);
between('mood', q{ALTER TYPE mood RENAME VALUE 'good' TO 'fine'}, q{enumlabel = 'fine' FROM pg_enum
	WHERE enumtypid = 'mood'::regtype}, 'good', qr/^fine$/);
between('names', 'REVOKE EXECUTE ON FUNCTION unit(int) FROM PUBLIC',
	q{NOT has_function_privilege('owner', 'unit(int)', 'EXECUTE')}, 6, qr/permission denied for function unit/);
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION unit(int) TO owner');
between('roles', 'REVOKE grp FROM owner', q{NOT pg_has_role('owner', 'grp', 'MEMBER')}, 5,
	qr/permission denied for table secret/);
done_testing();
