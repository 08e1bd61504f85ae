# What is evaluated before the body runs, for the key, costs no more than the plain function: an error is raised once,
# recursion ends as that of plain functions does, memory is that of the plain function, and parallel workers hit.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use AggcacheTest;
use Test::More;

my $node = new_node('early');
fixture($node);

# ---- Errors -----------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE SEQUENCE calls;
	CREATE TABLE nothing (k int);
	CREATE FUNCTION fails(int) RETURNS int LANGUAGE plpgsql STABLE
		AS $$ BEGIN EXECUTE 'SELECT nextval(''public.calls'')'; RAISE EXCEPTION 'bottom' USING ERRCODE = 'ZZ001'; END $$;
	CREATE FUNCTION g0(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT public.fails($1)';
	DO $do$ BEGIN FOR i IN 1..12 LOOP
		EXECUTE format('CREATE FUNCTION f%s(a int) RETURNS int LANGUAGE cached_sql STABLE '
			'AS $q$ SELECT public.g%s(a) $q$', i, i - 1);
		EXECUTE format('CREATE FUNCTION g%s(a int) RETURNS int LANGUAGE plpgsql STABLE '
			'AS $q$ BEGIN RETURN public.f%s(a); END $q$', i, i);
	END LOOP; END $do$;
	CREATE FUNCTION unreached(a int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT count(*) FROM public.nothing WHERE k = public.fails(a)';
	CREATE FUNCTION rows_f(a int) RETURNS TABLE (id int) LANGUAGE cached_sql STABLE
		AS 'SELECT id FROM public.task WHERE dept = public.fails(a)';
	CREATE FUNCTION counted(int) RETURNS int LANGUAGE plpgsql STABLE
		AS $$ BEGIN EXECUTE 'SELECT nextval(''public.calls'')'; RETURN $1; END $$;
	CREATE FUNCTION either(a int) RETURNS int LANGUAGE cached_sql STABLE
		AS 'SELECT hours FROM public.task WHERE id = 1 AND (public.counted(a) = 0 OR hours = public.fails(a))';
});

# How often the bottom was reached by a statement, and how it ended.
sub reached
{
	my ($sql) = @_;
	$node->safe_psql('postgres', q{SELECT setval('calls', 1, false)});
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	my $state = ($err // '') =~ /ERROR:\s+(\w{5})/ ? $1 : 'none';
	my $times = $node->safe_psql('postgres', q{SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM calls});
	return "$state $times $out";
}
is(reached("SELECT f$_(1)"), 'ZZ001 1 ', "an error below $_ nested functions is raised once") for 1, 4, 12;
is(reached('SELECT * FROM rows_f(1)'), 'ZZ001 1 ', 'an error in a function that returns rows');
is(reached('SELECT unreached(1)'), 'none 1 0', 'an error that the body does not come to is none');
is(reached('SELECT either(0)'), 'none 2 1',
	'nor is one that a condition keeps away; what is known is not evaluated again');
is(reached('SELECT either(1)'), 'ZZ001 2 ', 'and one that is reached is, without doing anything twice');
is(reached(q{DO $$ BEGIN PERFORM f12(1); EXCEPTION WHEN SQLSTATE 'ZZ001' THEN NULL; END $$}), 'none 1 ',
	'an error can be caught');
like((($node->psql('postgres', 'SELECT f3(1)'))[2]),
	qr/CONTEXT:.*PL\/pgSQL function fails\(integer\).*PL\/pgSQL function g2/s,
	'its context is that of where it happened');

# ---- Recursion --------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q{
	SET check_function_bodies = off;
	CREATE FUNCTION plain_endless(a int) RETURNS int LANGUAGE sql STABLE
		AS 'SELECT public.plain_endless(a + 1) FROM (SELECT 1 OFFSET 0) x';
	CREATE FUNCTION endless(a int) RETURNS int LANGUAGE cached_sql STABLE
		AS 'SELECT public.endless(a + 1) FROM (SELECT 1 OFFSET 0) x';
	CREATE FUNCTION bare(a int) RETURNS int LANGUAGE cached_sql STABLE AS 'SELECT public.bare(a + 1)';
	CREATE FUNCTION in_turns(a int) RETURNS int LANGUAGE cached_sql STABLE AS 'SELECT public.other(a) FROM public.dual';
	CREATE FUNCTION other(a int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN public.in_turns(a + 1); END';
	CREATE TABLE dual (x int);
	INSERT INTO dual VALUES (1);
	CREATE FUNCTION rows_endless(a int) RETURNS SETOF int LANGUAGE cached_sql STABLE
		AS 'SELECT x FROM public.dual WHERE x = (SELECT count(*) FROM public.rows_endless(a + 1))';
	CREATE FUNCTION guarded(a int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT count(*) FROM public.nothing WHERE k = public.guarded(a + 1)';
	CREATE FUNCTION factorial_of(a int) RETURNS numeric LANGUAGE cached_sql STABLE
		AS 'SELECT CASE WHEN a <= 1 THEN 1 ELSE a * public.factorial_of(a - 1) END';
	CREATE TABLE person (id int, parent int, own numeric);
	INSERT INTO person SELECT i, nullif(i - 1, 0), i FROM generate_series(1, 60) i;
	CREATE FUNCTION heritage(p int) RETURNS numeric LANGUAGE cached_sql STABLE AS
		'SELECT own + coalesce((SELECT public.heritage(parent) WHERE parent IS NOT NULL), 0) FROM public.person WHERE id = p';
	CREATE TABLE guarded_rows (k int);
	INSERT INTO guarded_rows VALUES (1);
	CREATE FUNCTION policy_of(a int) RETURNS boolean LANGUAGE cached_sql STABLE
		AS 'SELECT count(*) > 0 FROM public.guarded_rows WHERE k = a';
	CREATE ROLE limited;
	ALTER TABLE guarded_rows ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON guarded_rows USING (public.policy_of(1));
	GRANT SELECT ON guarded_rows, person, dual, nothing TO limited;
});
for my $call ('endless(1)', 'bare(1)', 'in_turns(1)', 'count(*) FROM rows_endless(1)')
{
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT $call");
	like($err, qr/ERROR:\s+54001/, "endless recursion ends at the depth of the stack: $call");
}
my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE limited; SELECT policy_of(1)");
like($err, qr/ERROR:\s+54001/, 'also that of a policy on its own table');
($rc, $out, $err) = $node->psql('postgres',
	"\\set VERBOSITY verbose\nSET max_stack_depth = '7MB'; SET statement_timeout = '20ms'; SELECT bare(1)");
like($err, qr/ERROR:\s+(57014|54001)/, 'and a timeout ends it');
is($node->safe_psql('postgres', 'SELECT guarded(1), factorial_of(30), heritage(60)'),
	'0|265252859812191058636308480000000|1830', 'recursion that ends, ends');

# ---- Memory -----------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE FUNCTION plain_large(t text) RETURNS text LANGUAGE sql STABLE AS 'SELECT t || count(*) FROM public.dual';
	CREATE FUNCTION large(t text) RETURNS text LANGUAGE cached_sql STABLE AS 'SELECT t || count(*) FROM public.dual';
	CREATE FUNCTION measured(t text) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT length(t) + count(*) FROM public.dual';
	CREATE FUNCTION plain_rows(n int) RETURNS SETOF text LANGUAGE sql STABLE
		AS $$ SELECT repeat('x', 1000) FROM public.dual, generate_series(1, n) $$;
	CREATE FUNCTION many_rows(n int) RETURNS SETOF text LANGUAGE cached_sql STABLE
		AS $$ SELECT repeat('x', 1000) FROM public.dual, generate_series(1, n) $$;
	CREATE FUNCTION copied(t text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN t || 'x'; END $$;
	CREATE FUNCTION plain_hidden(t text) RETURNS bigint LANGUAGE sql STABLE
		AS 'SELECT length(public.copied(t)) + count(*) FROM public.dual';
	CREATE FUNCTION hidden(t text) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT length(public.copied(t)) + count(*) FROM public.dual';
});
# The most memory that a session has had, in kB, after a statement that may fail.
sub most_memory
{
	my ($sql) = @_;
	my (undef, $out) = $node->psql('postgres', "\\o /dev/null\n$sql;\n\\o\n"
		. q{SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s*(\d+)')});
	return (split /\n/, $out)[-1];
}
for my $pair (
	[ 'plain_endless(1)', 'endless(1)' ],
	[ q{length(plain_large(repeat('x', 30000000)))}, q{length(large(repeat('x', 30000000)))} ],
	[ q{plain_hidden(repeat('x', 30000000))}, q{hidden(repeat('x', 30000000))} ],
	[ 'count(*) FROM plain_rows(30000)', 'count(*) FROM many_rows(30000)' ])
{
	my ($plain, $cached) = map { most_memory("SELECT $_; SELECT $_") } @$pair;
	cmp_ok($cached, '<=', 1.2 * $plain + 4096, "memory of $pair->[1]: $cached kB, of the plain function: $plain kB");
}
is($node->safe_psql('postgres', q{SELECT measured(repeat('x', 540000000))}), '540000001',
	'an argument of which two copies are too large');
is($node->safe_psql('postgres', q{
	SET aggcache.max_entry_size = '64MB';
	SELECT length(large(repeat('x', 30000000))), length(large(repeat('x', 30000000)));
	SELECT sum(total_bytes) < 2000000 FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext'}),
	"30000001|30000001\nt", 'nothing of a large argument or result stays');
is($node->safe_psql('postgres', q{
	SELECT large(repeat('x', 9000000)) IS NOT NULL;
	SELECT result, reason FROM aggcache.last_call()}),
	"t\nuncached|the arguments are larger than aggcache.max_entry_size", 'and it is said why such a call is not cached');

# ---- Definitions of functions that are gone ----------------------------------------------------------------------

is($node->safe_psql('postgres', q{
	CREATE PROCEDURE churn(n int) LANGUAGE plpgsql AS $p$
	DECLARE r bigint;
	BEGIN
		FOR i IN 1..n LOOP
			EXECUTE 'CREATE FUNCTION throwaway(x int) RETURNS bigint LANGUAGE cached_sql STABLE
				AS ''SELECT sum(hours) FROM public.task WHERE dept = x''';
			EXECUTE 'SELECT throwaway(1)' INTO r;
			EXECUTE 'DROP FUNCTION throwaway(int)';
			COMMIT;
		END LOOP;
	END $p$;
	CALL churn(60);
	SELECT count(*) < 5 FROM pg_backend_memory_contexts WHERE name = 'aggcache definition'}), 't',
	'a session forgets the functions that were dropped');

# ---- Parallel plans ---------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE TABLE wide AS SELECT i % 3 + 1 AS k FROM generate_series(1, 20000) i;
	ANALYZE wide;
	ALTER TABLE wide SET (parallel_workers = 2);
	CREATE FUNCTION tenant(x int) RETURNS bigint LANGUAGE cached_sql STABLE PARALLEL SAFE
		AS $$ SELECT sum(hours) FROM public.task WHERE dept = x AND hours > current_setting('app.least')::int $$;
	CREATE FUNCTION named(x int) RETURNS bigint LANGUAGE cached_sql STABLE PARALLEL SAFE
		AS $$ SELECT sum(hours) FROM public.task WHERE dept = x
			AND id::text = ANY (string_to_array(current_setting('app.ids'), ',')) $$;
	CREATE FUNCTION unread(x int) RETURNS bigint LANGUAGE cached_sql STABLE PARALLEL SAFE
		AS $$ SELECT count(*) FROM public.nothing WHERE k = current_setting('app.broken')::int $$;
	SELECT aggcache.reset_stats();
});
my $plain = $node->safe_psql('postgres', 'SELECT sum(plain_hours(k)) FROM wide');
is($node->safe_psql('postgres', q{
	SET app.least = '0';
	SET app.ids = '1,2,3,4,5,6,7,8,9';
	SET app.broken = 'x';
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0;
	SELECT count(tenant(k)) + count(named(k)) FROM generate_series(1, 3) k;
	SELECT sum(tenant(k)), sum(named(k)), sum(unread(k)) FROM wide;
	SELECT function, uncached FROM aggcache.stats WHERE function::text ~ 'tenant|named' ORDER BY function::text}),
	"6\n$plain|$plain|0\nnamed(integer)|0\ntenant(integer)|0",
	'in a parallel plan, leader and workers hit although a hidden parameter could fail');
like($node->safe_psql('postgres', q{
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0;
	EXPLAIN (COSTS OFF) SELECT sum(tenant(k)) FROM wide}), qr/Parallel Seq Scan/, 'the plan is parallel');

# ---- Errors in the body -----------------------------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE FUNCTION broken(x int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT count(*) FROM public.dual WHERE x = dual.x AND broken.x > 0';
	ALTER TABLE dual RENAME x TO y});
($rc, $out, $err) = $node->psql('postgres', 'SELECT 1, 2, 3, broken(1)');
like($err, qr/ERROR:  column dual\.x does not exist\nLINE 1: SELECT count\(\*\) FROM public\.dual WHERE x = dual\.x/,
	'a broken body is shown, not the statement that calls it');
like($err, qr/QUERY:  SELECT count.*\nCONTEXT:  cached function broken\(integer\) during startup/,
	'with query and context');

done_testing();
