# Whatever the query means may change: the next answer is that of the new meaning, in sessions that live on too.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main');
fixture($node);
$node->safe_psql('postgres', q{
	CREATE VIEW v AS SELECT dept, hours FROM task;
	CREATE FUNCTION nested(d int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(hours) FROM v WHERE dept = d';
	CREATE FUNCTION constant() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7::bigint';
	CREATE FUNCTION f_view(d int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(hours) FROM v WHERE dept = d';
	CREATE FUNCTION p_view(d int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(hours) FROM v WHERE dept = d';
	CREATE FUNCTION f_nested(d int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT nested(d) + constant()';
	CREATE FUNCTION p_nested(d int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT nested(d) + constant()';
});

# Runs statements in one session that lives on, each with an answer before it and after it.
sub through
{
	my ($name, $setup, $cached, $plain, @steps) = @_;
	my $sql = "$setup\n";
	my $compare = "SELECT ($cached) IS NOT DISTINCT FROM ($plain) AND ($cached) IS NOT DISTINCT FROM ($plain), ($cached);";
	my @expected;
	while (my ($step, $value) = splice @steps, 0, 2)
	{
		$sql .= "$step;\n$compare\n";
		push @expected, "t|$value";
	}
	my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => ['-q']);
	is($out . $err, join("\n", @expected), $name);
	return;
}

# The same, with each change made by another session.
sub across
{
	my ($name, $cached, $plain, @steps) = @_;
	while (my ($step, $value) = splice @steps, 0, 2)
	{
		$node->safe_psql('postgres', $step);
		same($node, $cached, $plain, $value, "$name: $step");
		same($node, $cached, $plain, $value, "$name: again");
	}
	return;
}

my @view = ('SET client_min_messages = warning', 18, 'CREATE OR REPLACE VIEW v AS SELECT dept,
	hours + 1 AS hours FROM task', 21,
	'CREATE OR REPLACE VIEW v AS SELECT dept, hours FROM task WHERE hours > 3', 15,
	'CREATE OR REPLACE VIEW v AS SELECT dept, hours FROM task', 18);
through('replaced view', '', 'f_view(1)', 'p_view(1)', @view);
across('replaced view', 'f_view(1)', 'p_view(1)', @view);

my @nested = ('SET client_min_messages = warning', 25,
	q{CREATE OR REPLACE FUNCTION constant() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 8::bigint'}, 26,
	q{CREATE OR REPLACE FUNCTION nested(d int) RETURNS bigint LANGUAGE sql STABLE
		AS 'SELECT -sum(hours) FROM v WHERE dept = d'}, -10,
	q{CREATE OR REPLACE FUNCTION nested(d int) RETURNS bigint LANGUAGE sql STABLE
		AS 'SELECT sum(hours) FROM v WHERE dept = d'}, 26,
	q{CREATE OR REPLACE FUNCTION constant() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7::bigint'}, 25);
through('replaced nested functions', '', 'f_nested(1)', 'p_nested(1)', @nested);
across('replaced nested functions', 'f_nested(1)', 'p_nested(1)', @nested);

# search_path: the same text, other tables; a table created later in a schema that comes first
$node->safe_psql('postgres', q{
	CREATE SCHEMA a; CREATE SCHEMA b; CREATE SCHEMA empty;
	CREATE TABLE a.thing AS SELECT 1 AS hours; CREATE TABLE b.thing AS SELECT 2 AS hours;
	SET search_path = a, public;
	CREATE FUNCTION public.f_path() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(hours)::bigint FROM thing';});
# not with a plain function: since PostgreSQL 18 those keep plans, and overlook what comes to shadow a name
my @path = ('public.f_path()', 'SELECT sum(hours)::bigint FROM thing');
through('search_path', '', @path, 'SET search_path = a', 1, 'SET search_path = b', 2, 'SET search_path = a, b', 1,
	'SET search_path = b, a', 2, 'UPDATE b.thing SET hours = 3', 3, 'SET search_path = a', 1, 'SET search_path = empty,
		a', 1,
	'CREATE TABLE empty.thing AS SELECT 10 AS hours', 10, 'DROP TABLE empty.thing', 1,
	'CREATE VIEW empty.thing AS SELECT 11 AS hours FROM b.thing', 11, 'DROP VIEW empty.thing', 1,
	'CREATE TEMP TABLE thing AS SELECT 100 AS hours', 100, 'UPDATE thing SET hours = 101', 101, 'DROP TABLE thing', 1,
	'BEGIN; CREATE TABLE empty.thing AS SELECT 10 AS hours', 10, 'ROLLBACK', 1);

# an operator or function that comes to shadow one of the body
$node->safe_psql('postgres', q{CREATE FUNCTION twice(x bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 2 * x';
	CREATE FUNCTION f_twice() RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT twice(sum(hours)) FROM public.task';});
through('shadowing function', 'SET search_path = empty, public;', 'f_twice()',
	'SELECT twice(sum(hours)) FROM public.task',
	'SET client_min_messages = warning', 90,
	q{CREATE FUNCTION empty.twice(x bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 3 * x'}, 135,
	'DROP FUNCTION empty.twice(bigint)', 90);

# the table
my @hours = ('cached_hours(1)', 'plain_hours(1)');
my @table = ('SET client_min_messages = warning', 18, 'ALTER TABLE task ALTER hours TYPE smallint', 18,
	'ALTER TABLE task ALTER hours TYPE int USING hours * 2', 36,
		'ALTER TABLE task ALTER hours TYPE int USING hours / 2', 18,
	'ALTER TABLE task ALTER dept TYPE bigint', 18, 'UPDATE task SET hours = 13 WHERE id = 3', 28,
	'UPDATE task SET hours = 3 WHERE id = 3', 18, 'ALTER TABLE task ALTER dept TYPE int', 18,
	'ALTER TABLE task RENAME dept TO old_dept; ALTER TABLE task ADD dept int NOT NULL DEFAULT 1', 45,
	'UPDATE task SET dept = 2 WHERE id = 9', 36, 'ALTER TABLE task DROP dept; ALTER TABLE task RENAME old_dept TO dept',
		18,
	'UPDATE task SET hours = 4 WHERE id = 3', 19, 'UPDATE task SET hours = 3 WHERE id = 3', 18);
$node->safe_psql('postgres', 'DROP FUNCTION f_view(int), f_nested(int), p_view(int), p_nested(int), nested(int);
	DROP VIEW v');
through('changed table', '', @hours, @table);
across('changed table', @hours, @table);
my $new = q{DROP TABLE task; CREATE TABLE task (id int PRIMARY KEY, dept int NOT NULL, hours int NOT NULL);
	INSERT INTO task VALUES (1, 1, 70)};
through('dropped and recreated table', '', @hours, 'SET client_min_messages = warning', 18, $new, 70,
	'INSERT INTO task VALUES (2, 1, 1)', 71);
across('dropped and recreated table', @hours, $new, 70, 'INSERT INTO task VALUES (2, 1, 1)', 71,
	'SET client_min_messages = warning', 71);
$node->safe_psql('postgres', 'DROP TABLE task');
my ($rc, $out, $err) = $node->psql('postgres', 'SELECT cached_hours(1)');
like($err, qr/relation "public.task" does not exist/, 'dropped table: the query\'s own error');
$node->safe_psql('postgres', $new =~ s/DROP TABLE task;//r);

# ALTER FUNCTION
across('ALTER FUNCTION', 'renamed_hours(1)', 'plain_hours(1)',
	'ALTER FUNCTION cached_hours(int) RENAME TO renamed_hours', 70,
	'ALTER FUNCTION renamed_hours(int) STRICT', 70, 'ALTER FUNCTION renamed_hours(int) SET search_path = empty', 70,
	'UPDATE task SET hours = 71', 71, 'ALTER FUNCTION renamed_hours(int) RESET ALL', 71,
	'ALTER FUNCTION renamed_hours(int) SECURITY DEFINER', 71, 'UPDATE task SET hours = 72', 72);
same($node, 'renamed_hours(NULL)', 'NULL::bigint', '', 'STRICT');
$node->safe_psql('postgres', 'ALTER FUNCTION renamed_hours(int) SET SCHEMA a');
same($node, 'a.renamed_hours(1)', 'plain_hours(1)', 72, 'SET SCHEMA');
$node->safe_psql('postgres',
	q{CREATE OR REPLACE FUNCTION a.renamed_hours(d int) RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT 1000 + sum(hours) FROM public.task WHERE dept = d'});
same($node, 'a.renamed_hours(1)', '1000 + plain_hours(1)', 1072, 'replaced');
$node->safe_psql('postgres', 'UPDATE task SET hours = 73');
same($node, 'a.renamed_hours(1)', '1000 + plain_hours(1)', 1073, 'replaced, then written');

done_testing();
