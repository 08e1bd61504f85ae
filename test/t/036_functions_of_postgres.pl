# What PostgreSQL's own functions read besides their arguments is known of all of them: each IMMUTABLE and STABLE
# one is
# run under changed settings, and those whose results change are compared, cached and plain, under each.
use strict;
use warnings;
use AggcacheTest;
use File::Basename;
use PostgreSQL::Test::Utils;
use Test::More;

# plans of hundreds of small expressions
my $node = new_node('main', conf => "jit = off\n");
$node->safe_psql('postgres', 'CREATE DATABASE probe TEMPLATE template0 ENCODING UTF8');
my $psql = sub { return $node->safe_psql('probe', 'SET client_min_messages = warning;' . join("\n", @_)) };

# The first surrounding, and others in which results may differ.
my $first = q{SET timezone = 'UTC'; SET extra_float_digits = 1; SET datestyle = 'ISO, MDY';};
my %surroundings = (
	output => q{SET timezone = 'America/New_York'; SET datestyle = 'German, DMY'; SET intervalstyle = iso_8601;
		SET extra_float_digits = -9; SET bytea_output = escape; SET xmlbinary = hex; SET array_nulls = off;
		SET quote_all_identifiers = on; SET standard_conforming_strings = off; SET backslash_quote = off;
		SET timezone_abbreviations = 'India'; SET default_text_search_config = 'pg_catalog.simple';
		SET gin_fuzzy_search_limit = 3; SET transform_null_equals = on;},
	money => q{SET timezone = 'Asia/Kolkata'; SET datestyle = 'SQL, YMD'; SET intervalstyle = sql_standard;
		SET extra_float_digits = 3; SET xmloption = document;
		DO $$ DECLARE l text; BEGIN
		  FOREACH l IN ARRAY ARRAY['de_DE.UTF-8', 'en_US.UTF-8', 'C.UTF-8'] LOOP
		    BEGIN
		      PERFORM set_config('lc_monetary', l, false), set_config('lc_numeric', l, false), set_config('lc_time',
		      	l, false);
		      EXIT;
		    EXCEPTION WHEN OTHERS THEN NULL;
		    END;
		  END LOOP; END $$;},
	encoding => q{SET client_encoding = 'LATIN1';},
	path => q{SET search_path = probe; SET ROLE regress_probe; SET row_security = off;},
);
# Changed catalogs, under the first settings.
my $change = q{ALTER TYPE probe.mood RENAME VALUE 'good' TO 'fine';
	ALTER TEXT SEARCH CONFIGURATION probe.words ALTER MAPPING FOR asciiword WITH simple;
	ALTER TABLE probe.parted DETACH PARTITION probe.part;};

$psql->('CREATE EXTENSION pg_aggcache; CREATE ROLE regress_probe SUPERUSER;',
  slurp_file(dirname(__FILE__) . '/../lib/every_function.sql'));
$psql->($first, q{INSERT INTO probe.wanted SELECT oid FROM pg_proc
	WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile IN ('i', 's') AND oid < 16384
	AND NOT 'internal'::regtype = ANY (proargtypes)
	-- which prints the views of statistics too, and these change with each call
	AND proname NOT LIKE 'database\_to\_xml%';}, 'CALL probe.make_values();');
# one that takes too long is left out
$node->psql('probe', "$first SET statement_timeout = '5s';\nSELECT statement FROM probe.preparation \\gexec\n",
  on_error_stop => 0);
my ($wanted, $run) = split /\|/, $psql->('SELECT (SELECT count(*) FROM probe.wanted), (SELECT count(DISTINCT f) FROM
  probe.call)');
note "$run of $wanted functions run";
note 'not run: ', $psql->(q{SELECT string_agg(p.oid::regprocedure::text,
  ' ' ORDER BY 1) FROM probe.wanted w JOIN pg_proc p ON p.oid = w.f
	WHERE NOT EXISTS (SELECT FROM probe.call c WHERE c.f = w.f)});
cmp_ok($run, '>', 0.85 * $wanted, 'nearly all functions can be run');

foreach my $name (sort keys %surroundings)
{
	note "$name: ", $psql->($surroundings{$name}, 'SELECT probe.look();'), ' differ';
}
# what differs where catalogs are changed; the twins must have answered before they are
my $differ = $psql->($first, "BEGIN; $change", q{DO 'BEGIN PERFORM probe.look(); END';
	SELECT string_agg(id::text, ',') FROM probe.call WHERE differs; ROLLBACK;});
$psql->("UPDATE probe.call SET differs = true WHERE id IN ($differ);");
# what runs by the clock, as the second run of the same shows
$psql->($first, 'SELECT probe.look();');
$psql->($first, 'CALL probe.make_twins();');
my $twins = $psql->('SELECT count(DISTINCT f) FROM probe.twin');
cmp_ok($twins, '>', 50, "functions that differ are tried ($twins)");

my $compare = 'SELECT f, cached, plain FROM probe.compare();';
is($psql->($first, $compare), '', 'the same');
foreach my $name (sort keys %surroundings)
{
	is($psql->($surroundings{$name}, $compare), '', "$name: cached and plain answers");
}
$psql->($change);
is($psql->($first, $compare), '', 'changed catalogs: cached and plain answers');
done_testing();
