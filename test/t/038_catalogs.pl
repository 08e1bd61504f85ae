# Whatever a catalog holds that a body depends on: when it changes, the next call of a session that has used the
# function before answers as the body's text does now. docs/internals.md says of every catalog what depends on it and
# which test shows it: those named "here" are scenarios of this file.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use AggcacheTest;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;

my $root = "$FindBin::Bin/../..";
my $directory = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::system_or_bail('cp', glob("$FindBin::Bin/../hooks/*"), $directory);
my $config = $ENV{PG_CONFIG} // 'pg_config';
PostgreSQL::Test::Utils::system_or_bail('make', '-s', '-C', $directory, "PG_CONFIG=$config");

my $node = new_node('main');
my $path = 'front, public';
$node->safe_psql('postgres', qq{
	CREATE EXTENSION pg_aggcache; CREATE SCHEMA front; CREATE SCHEMA away;
	CREATE TABLE word (t text, b bytea, m money, k int);
	INSERT INTO word VALUES ('a', 'abc', 1, 1), ('B', 'abd', 2, 2);
	CREATE TABLE named (t regtype, c regcollation, f regconfig, r regrole, s regclass, n int);
	CREATE FUNCTION convert_capitals(int, int, cstring, internal, int, bool) RETURNS int LANGUAGE c STRICT
		AS '$directory/converting';
});

# What is not cached is not here: since PostgreSQL 18 plain functions keep plans, and overlook what hides a name.
# Scenarios: catalogs; what is there before; body; statements, after each of which the answers are compared.
my %scenarios = (
	'pg_collation' => [
		q{CREATE COLLATION coll (provider = icu, locale = 'en')},
		q{SELECT string_agg(t, ',' ORDER BY t COLLATE coll) FROM word},
		q{DROP COLLATION coll; CREATE COLLATION public.coll (provider = libc, locale = 'C')},
		q{CREATE COLLATION front.coll (provider = icu, locale = 'en')}, 'ALTER COLLATION front.coll RENAME TO other',
		'ALTER COLLATION front.other RENAME TO coll', 'ALTER COLLATION front.coll SET SCHEMA away',
		'ALTER COLLATION away.coll SET SCHEMA front', 'DROP COLLATION front.coll' ],
	'pg_collation, by a literal' => [
		q{CREATE COLLATION lit (provider = icu, locale = 'en'); INSERT INTO named (c, n) VALUES ('lit', 1)},
		q{SELECT sum(n) FROM named WHERE c = 'lit'::regcollation},
		q{CREATE COLLATION front.lit (provider = icu, locale = 'en')}, q{INSERT INTO named (c, n) VALUES ('front.lit', 10)},
		'DROP COLLATION front.lit' ],
	'pg_type' => [
		q{CREATE DOMAIN dom AS int; INSERT INTO named (t, n) VALUES ('dom', 1)},
		q{SELECT sum(n) FROM named WHERE t = 'dom'::regtype},
		q{CREATE DOMAIN front.dom AS text}, q{INSERT INTO named (t, n) VALUES ('front.dom', 10)},
		'ALTER DOMAIN front.dom RENAME TO other', 'ALTER DOMAIN front.other RENAME TO dom',
		'ALTER DOMAIN front.dom SET SCHEMA away', 'ALTER DOMAIN away.dom SET SCHEMA front', 'DROP DOMAIN front.dom',
		'CREATE TYPE front.dom AS (x int)', 'DROP TYPE front.dom', q{CREATE TYPE front.dom AS ENUM ('a')},
		'DROP TYPE front.dom', 'CREATE TABLE front.dom (x int)', 'DROP TABLE front.dom',
		'CREATE VIEW front.dom AS SELECT 1 AS x', 'DROP VIEW front.dom',
		'ALTER DOMAIN public.dom RENAME TO former; CREATE DOMAIN public.dom AS text',
		'DROP DOMAIN public.dom; ALTER DOMAIN public.former RENAME TO dom' ],
	'pg_type, in other spellings' => [
		q{CREATE DOMAIN "My ""dom""" AS int; CREATE DOMAIN "Two words" AS int; CREATE DOMAIN away.far AS int;
		INSERT INTO named (t, n) VALUES ('"My ""dom"""', 1), ('"Two words"', 2), ('away.far', 4), ('"Two words"[]', 8)},
		q{SELECT sum(n) FROM named WHERE t = ANY ('{"\"My \"\"dom\"\"\"","\"Two words\""}'::regtype[])
			OR t IN (E'\x61way.far'::regtype, U&'\0022Two words\0022[]'::regtype)},
		q{CREATE DOMAIN front."My ""dom""" AS int}, 'DROP DOMAIN front."My ""dom"""',
		q{CREATE DOMAIN front."Two words" AS int}, 'DROP DOMAIN front."Two words"',
		q{DROP DOMAIN away.far; CREATE DOMAIN away.far AS int}, q{INSERT INTO named (t, n) VALUES ('away.far', 100)} ],
	'pg_type, called like a function' => [
		q{CREATE FUNCTION shape(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'},
		q{SELECT max(pg_typeof(shape('{1,2}'))::text) FROM word},
		q{CREATE DOMAIN front.shape AS int[]}, 'DROP DOMAIN front.shape' ],
	'pg_type, in a function that is inlined' => [
		q{CREATE DOMAIN deep AS int; INSERT INTO named (t, n) VALUES ('deep', 1);
		CREATE FUNCTION deepest(t regtype) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT t = 'deep'::regtype $$;
		CREATE FUNCTION deeper(t regtype) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT deepest(t)'},
		q{SELECT sum(n) FROM named WHERE deeper(t)},
		q{CREATE DOMAIN front.deep AS text}, q{INSERT INTO named (t, n) VALUES ('front.deep', 10)},
		'DROP DOMAIN front.deep' ],
	'pg_type, in a function that is called' => [
		q{CREATE DOMAIN called AS int; INSERT INTO named (t, n) VALUES ('called', 1);
		CREATE FUNCTION calls(i int) RETURNS bigint LANGUAGE cached_sql STABLE SET search_path = away, public
			AS $$ SELECT sum(n) FROM named WHERE t = 'called'::regtype AND i IS NOT NULL $$},
		q{SELECT sum(calls(k)) FROM word},
		q{CREATE DOMAIN away.called AS text}, q{INSERT INTO named (t, n) VALUES ('away.called', 10)},
		'DROP DOMAIN away.called' ],
	'pg_class' => [
		q{CREATE TABLE thing (n int); INSERT INTO thing VALUES (1)}, 'SELECT sum(n) FROM thing',
		'CREATE TABLE front.thing AS SELECT 2 AS n', 'ALTER TABLE front.thing RENAME TO other',
		'ALTER TABLE front.other RENAME TO thing', 'ALTER TABLE front.thing SET SCHEMA away',
		'ALTER TABLE away.thing SET SCHEMA front', 'DROP TABLE front.thing',
		'CREATE MATERIALIZED VIEW front.thing AS SELECT 3 AS n', 'DROP MATERIALIZED VIEW front.thing' ],
	'pg_class, by a literal' => [
		q{CREATE TABLE counter (x int); INSERT INTO named (s, n) VALUES ('counter', 1)},
		q{SELECT sum(n) FROM named WHERE s = 'counter'::regclass}, 'CREATE TABLE front.counter (x int)',
		q{INSERT INTO named (s, n) VALUES ('front.counter', 10)}, 'DROP TABLE front.counter',
		'CREATE SEQUENCE front.counter', q{INSERT INTO named (s, n) VALUES ('front.counter', 100)},
		'DROP SEQUENCE front.counter' ],
	'pg_ts_config' => [
		q{CREATE TEXT SEARCH CONFIGURATION conf (COPY = pg_catalog.english)},
		q{SELECT count(*) FROM word WHERE to_tsvector('simple', 'running') @@ to_tsquery('conf', 'running') OR k = 1},
		'CREATE TEXT SEARCH CONFIGURATION front.conf (COPY = pg_catalog.simple)',
		'ALTER TEXT SEARCH CONFIGURATION front.conf RENAME TO other',
		'ALTER TEXT SEARCH CONFIGURATION front.other RENAME TO conf',
		'ALTER TEXT SEARCH CONFIGURATION front.conf SET SCHEMA away',
		'ALTER TEXT SEARCH CONFIGURATION away.conf SET SCHEMA front', 'DROP TEXT SEARCH CONFIGURATION front.conf' ],
	'pg_ts_config, by a literal' => [
		q{CREATE TEXT SEARCH CONFIGURATION kept (COPY = pg_catalog.english); INSERT INTO named (f, n) VALUES ('kept', 1)},
		q{SELECT sum(n) FROM named WHERE f = 'kept'::regconfig},
		'CREATE TEXT SEARCH CONFIGURATION front.kept (COPY = pg_catalog.simple)',
		q{INSERT INTO named (f, n) VALUES ('front.kept', 10)}, 'DROP TEXT SEARCH CONFIGURATION front.kept' ],
	'pg_ts_config_map' => [
		q{CREATE TEXT SEARCH CONFIGURATION mapped (COPY = pg_catalog.english)},
		q{SELECT count(*) FROM word WHERE to_tsvector('simple', 'running') @@ to_tsquery('mapped', 'running') OR k = 1},
		'ALTER TEXT SEARCH CONFIGURATION mapped ALTER MAPPING REPLACE english_stem WITH simple',
		'ALTER TEXT SEARCH CONFIGURATION mapped ALTER MAPPING REPLACE simple WITH english_stem' ],
	'pg_ts_dict' => [
		q{CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = snowball, Language = english);
		CREATE TEXT SEARCH DICTIONARY away.dict (TEMPLATE = simple)},
		q{SELECT count(*) FROM word WHERE ts_lexize('dict', 'running') = '{running}' OR k = 1},
		'ALTER TEXT SEARCH DICTIONARY away.dict SET SCHEMA front', 'ALTER TEXT SEARCH DICTIONARY front.dict SET SCHEMA away',
		'ALTER TEXT SEARCH DICTIONARY dict (Language = german)', 'ALTER TEXT SEARCH DICTIONARY dict (Language = english)',
		'ALTER TEXT SEARCH DICTIONARY dict RENAME TO former; ALTER TEXT SEARCH DICTIONARY away.dict SET SCHEMA public' ],
	'pg_ts_parser, pg_ts_template' => [
		q{CREATE TEXT SEARCH PARSER parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
			LEXTYPES = prsd_lextype);
		CREATE TEXT SEARCH CONFIGURATION parsed (PARSER = parser)},
		q{SELECT count(*) + length(to_tsvector('parsed', 'running')) FROM word},
		'ALTER TEXT SEARCH CONFIGURATION parsed ADD MAPPING FOR asciiword WITH simple',
		'ALTER TEXT SEARCH PARSER parser RENAME TO other' ],
	'pg_conversion' => [
		q{SET client_min_messages = warning}, q{SELECT count(*) || convert_from('abc'::bytea, 'LATIN1') FROM word},
		q{CREATE DEFAULT CONVERSION front.conv FOR 'LATIN1' TO 'UTF8' FROM convert_capitals},
		'ALTER CONVERSION front.conv SET SCHEMA away', 'ALTER CONVERSION away.conv SET SCHEMA front',
		'DROP CONVERSION front.conv' ],
	'pg_cast' => [
		q{CREATE FUNCTION money_one(money) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
		CREATE FUNCTION money_two(money) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2';
		CREATE CAST (money AS int) WITH FUNCTION money_one(money)}, 'SELECT sum(m::int) FROM word',
		'DROP CAST (money AS int); CREATE CAST (money AS int) WITH FUNCTION money_two(money)',
		'DROP CAST (money AS int); CREATE CAST (money AS int) WITH FUNCTION money_one(money)' ],
	'pg_proc' => [
		q{CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1'}, 'SELECT sum(twice(k)) FROM word',
		q{CREATE FUNCTION front.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 3 * $1'},
		'ALTER FUNCTION front.twice(int) RENAME TO other', 'ALTER FUNCTION front.other(int) RENAME TO twice',
		'ALTER FUNCTION front.twice(int) SET SCHEMA away', 'DROP FUNCTION away.twice(int)',
		q{CREATE OR REPLACE FUNCTION public.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 5 * $1'} ],
	'pg_aggregate' => [
		q{CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')}, 'SELECT total(k) FROM word',
		q{CREATE AGGREGATE front.total(int) (SFUNC = int4mul, STYPE = int, INITCOND = '10')},
		'DROP AGGREGATE front.total(int)',
		q{CREATE OR REPLACE AGGREGATE public.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '100')} ],
	'pg_operator' => [
		q{CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 OPERATOR(pg_catalog.+) $2';
		CREATE OPERATOR +# (LEFTARG = int, RIGHTARG = int, FUNCTION = plus)}, 'SELECT sum(k +# 10) FROM word',
		'CREATE OPERATOR front.+# (LEFTARG = int, RIGHTARG = int, FUNCTION = int4mul)',
		'ALTER OPERATOR front.+# (int, int) SET SCHEMA away', 'ALTER OPERATOR away.+# (int, int) SET SCHEMA front',
		'DROP OPERATOR front.+# (int, int)',
		'DROP OPERATOR +# (int, int); CREATE OPERATOR public.+# (LEFTARG = int, RIGHTARG = int, FUNCTION = int4mi)' ],
	'pg_opclass, pg_opfamily, pg_amop, pg_amproc' => [
		q{CREATE TYPE color AS ENUM ('red', 'blue'); CREATE TABLE painted (c color, n int);
		INSERT INTO painted VALUES ('red', 1), ('blue', 2);
		CREATE FUNCTION color_cmp(color, color) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.enum_cmp($2, $1)';
		CREATE FUNCTION color_lt(color, color) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.enum_gt($1, $2)';
		CREATE FUNCTION color_gt(color, color) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.enum_lt($1, $2)';
		CREATE FUNCTION color_eq(color, color) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.enum_eq($1, $2)';
		CREATE OPERATOR === (LEFTARG = color, RIGHTARG = color, FUNCTION = color_eq, COMMUTATOR = ===);
		CREATE OPERATOR <<< (LEFTARG = color, RIGHTARG = color, FUNCTION = color_lt, COMMUTATOR = >>>);
		CREATE OPERATOR >>> (LEFTARG = color, RIGHTARG = color, FUNCTION = color_gt, COMMUTATOR = <<<)},
		q{SELECT string_agg(n::text, ',' ORDER BY c) FROM painted},
		'CREATE OPERATOR CLASS color_back DEFAULT FOR TYPE color USING btree AS OPERATOR 1 <<<, OPERATOR 3 ===,
			OPERATOR 5 >>>, FUNCTION 1 color_cmp(color, color)',
		'DROP OPERATOR CLASS color_back USING btree' ],
	'pg_enum' => [
		q{CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE felt (m mood, n int);
		INSERT INTO felt VALUES ('sad', 1), ('glad', 2)}, q{SELECT sum(n) FROM felt WHERE m = 'sad'},
		q{ALTER TYPE mood RENAME VALUE 'sad' TO 'x'; ALTER TYPE mood RENAME VALUE 'glad' TO 'sad'},
		q{ALTER TYPE mood ADD VALUE 'mad' BEFORE 'sad'} ],
	'pg_namespace' => [
		'CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.in_schema AS SELECT 1 AS n;
		CREATE TABLE two.in_schema AS SELECT 2 AS n', 'SELECT sum(n) FROM one.in_schema',
		'ALTER SCHEMA one RENAME TO three; ALTER SCHEMA two RENAME TO one',
		'ALTER SCHEMA one RENAME TO two; ALTER SCHEMA three RENAME TO one' ],
	'pg_auth_members' => [
		q{CREATE ROLE team; CREATE ROLE member}, q{SELECT count(*) FROM word WHERE pg_has_role('member', 'team', 'USAGE')},
		'GRANT team TO member', 'REVOKE team FROM member', 'DROP ROLE member; CREATE ROLE member IN ROLE team' ],
	'pg_authid' => [
		q{CREATE ROLE somebody; CREATE ROLE other; INSERT INTO named (r, n) VALUES ('somebody', 1), ('other', 10)},
		q{SELECT sum(n) FROM named WHERE r = 'somebody'::regrole},
		'ALTER ROLE somebody RENAME TO third; ALTER ROLE other RENAME TO somebody' ],
	'pg_range' => [
		q{CREATE TYPE span AS RANGE (SUBTYPE = int); INSERT INTO named (t, n) VALUES ('span', 1)},
		q{SELECT sum(n) FROM named WHERE t = pg_typeof(span(1, 2))},
		'CREATE TYPE front.span AS RANGE (SUBTYPE = int)', q{INSERT INTO named (t, n) VALUES ('front.span', 10)},
		'DROP TYPE front.span' ],
	'pg_attribute, pg_rewrite' => [
		'CREATE TABLE inner_table (a int); INSERT INTO inner_table VALUES (1), (2);
		CREATE VIEW seen AS SELECT a FROM inner_table',
		'SELECT sum((SELECT count(*) FROM seen WHERE a = k)) FROM word',
		'CREATE OR REPLACE VIEW public.seen AS SELECT a, 7 AS k FROM inner_table',
		'ALTER TABLE inner_table ADD extra int', 'ALTER TABLE inner_table RENAME a TO b',
		'ALTER VIEW seen RENAME a TO c; ALTER VIEW seen RENAME k TO a' ]);

my $directly = 'SET search_path = ' . $path;
my $number = 0;
for my $name (sort keys %scenarios)
{
	my ($setup, $body, @steps) = @{ $scenarios{$name} };
	my $function = 'cached_' . $number++;
	$node->safe_psql('postgres', "$directly; SET client_min_messages = warning; SET search_path = public; $setup");
	$node->safe_psql('postgres', "$directly; CREATE FUNCTION public.$function() RETURNS text LANGUAGE cached_sql STABLE
		AS \$body\$SELECT ($body)::text\$body\$");
	# one that is told of the change, and one that makes it
	my @sessions = map { PsqlSession->new('psql', '-d', $node->connstr('postgres')) } 1 .. 2;
	$_->query("SET client_min_messages = warning; $directly, pg_catalog;") for @sessions;
	my $call = "SELECT coalesce($function(), 'null'), coalesce(($body)::text, 'null');";
	for my $step ('', @steps)
	{
		my $title = "$name: $step" =~ s/\s+/ /gr;
		if ($step && !eval { $sessions[1]->query("$step;"); 1 })
		{
			fail("$title: $@");
			last;
		}
		for my $session (@sessions, @sessions)
		{
			my ($row) = $session->query($call);
			is($row->[0], $row->[1], $title);
		}
		next if $step;
		my ($last) = $sessions[0]->query('SELECT result FROM aggcache.last_call();');
		is($last->[0], 'hit', "$name: is cached");
	}
	$_->finish for @sessions;
}

# ---- The table ------------------------------------------------------------------------------------------------------

my $document = slurp_file("$root/docs/internals.md");
my ($section) = $document =~ /^### What tells of a change of each catalog\n(.*?)^##/ms or die 'no section';
my (%rows, %here);
for my $line (grep { /^\| `pg_/ } split /\n/, $section)
{
	my (undef, $catalogs, $depends, $told, $shown) = split /\s*\|\s*/, $line;
	for my $catalog ($catalogs =~ /`(pg_\w+)`/g)
	{
		$rows{$catalog} = $line;
		$here{$catalog} = 1 if $shown =~ /\bhere\b/;
		isnt($shown // '', '', "$catalog: what shows it");
		ok(-e "$root/$_" || -e "$root/test/t/$_", "$catalog: $_ exists") for $shown =~ /`([^`]+\.(?:pl|sql|spec))`/g;
	}
}
my @catalogs = split /\n/, $node->safe_psql('postgres', q{
	SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' ORDER BY 1});
cmp_ok(scalar @catalogs, '>', 60, 'there are catalogs');
is(join(', ', grep { !$rows{$_} } @catalogs), '', 'every catalog of this version is in the table');
my %tried = map { $_ => 1 } map { /(pg_\w+)/g } keys %scenarios;
is(join(', ', grep { !$tried{$_} } sort keys %here), '', 'those that are shown here are scenarios');
is(join(', ', grep { !$here{$_} } sort keys %tried), '', 'and the other way round');
my $source = slurp_file("$root/src/pg/body/definition_cache.cc") . slurp_file("$root/src/pg/base/extension.cc");
my %listened = map { $_ => 1 } $section =~ /`([A-Z]{4,})`/g;
is(join(', ', grep { $source !~ /\b$_\b/ } sort keys %listened), '', 'what is said to be listened to is');

done_testing();
