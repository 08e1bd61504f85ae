# Opaque functions, and cached ones in their bodies, across sessions: dumps, prepared transactions, roles, parallelism.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "max_prepared_transactions = 10\n");
$node->safe_psql('postgres', q{
	CREATE EXTENSION IF NOT EXISTS pg_aggcache;
	CREATE TABLE task (id int PRIMARY KEY, dept int, hours int);
	INSERT INTO task SELECT i, 1 + i % 3, i FROM generate_series(1, 30) i;
	CREATE TABLE rate (dept int PRIMARY KEY, factor int);
	INSERT INTO rate VALUES (1, 10), (2, 20), (3, 30);
	CREATE FUNCTION factor(d int) RETURNS int LANGUAGE plpgsql STABLE PARALLEL SAFE AS
	  'BEGIN RETURN (SELECT r.factor FROM public.rate r WHERE r.dept = d); END';
	CREATE FUNCTION cost(d int) RETURNS bigint LANGUAGE cached_sql STABLE PARALLEL SAFE
	  SET aggcache.depends_on = 'public.rate'
	  AS 'SELECT sum(hours * public.factor(dept)) FROM public.task WHERE dept = d';
	CREATE FUNCTION plain_cost(d int) RETURNS bigint LANGUAGE sql STABLE
	  AS 'SELECT sum(hours * public.factor(dept)) FROM public.task WHERE dept = d';
	CREATE FUNCTION costs() RETURNS bigint LANGUAGE cached_sql STABLE PARALLEL SAFE
	  AS 'SELECT sum(public.cost(dept)) FROM public.rate';
	CREATE FUNCTION plain_costs() RETURNS bigint LANGUAGE sql STABLE
	  AS 'SELECT sum(public.plain_cost(dept)) FROM public.rate';
});

# told CALL: the answer is the plain one; what the call did
sub told
{
	my ($call, %options) = @_;
	return $node->safe_psql($options{db} // 'postgres', ($options{before} // '') . qq{
		SELECT CASE WHEN plain_$call = $call THEN 'same' ELSE 'DIFFERS' END AS same \\gset
		SELECT concat_ws(' ', :'same', result, not_stored) FROM aggcache.last_call()}, %{ $options{psql} // {} });
}

# ---- dump and restore
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'dumps');
like(slurp_file($dump), qr/SET "?aggcache\.depends_on"? TO 'public\.rate'/, 'the statement is dumped');
my ($rc, $out, $err) = $node->psql('copy', undef, on_error_stop => 1, extra_params => [ '-q', '-f', $dump ]);
is($err, '', 'restores');
$node->safe_psql('copy', 'SELECT aggcache.refresh()');
told('costs()', db => 'copy');
is(told('costs()', db => 'copy'), 'same hit', 'cached after refresh()');
$node->safe_psql('copy', 'UPDATE rate SET factor = 11 WHERE dept = 1');
like(told('costs()', db => 'copy'), qr/^same /, 'exact after a write');

# ---- DDL that is prepared: between its commit and its messages nobody may store what rests on functions
told('cost(1)');
is(told('cost(1)'), 'same hit', 'cached');
$node->safe_psql('postgres', q{BEGIN; CREATE OR REPLACE FUNCTION factor(d int) RETURNS int LANGUAGE plpgsql STABLE
	PARALLEL SAFE AS 'BEGIN RETURN (SELECT 2 * r.factor FROM public.rate r WHERE r.dept = d); END';
	PREPARE TRANSACTION 'ddl'});
is($node->safe_psql('postgres', q{SELECT cost(2); SELECT not_stored FROM aggcache.last_call()}) =~ s/^\d+\n//r,
	'functions or privileges were being changed', 'not stored while DDL is prepared');
$node->safe_psql('postgres', q{COMMIT PREPARED 'ddl'});
like(told('cost(1)'), qr/^same /, 'exact after it');
is(told('cost(1)'), 'same hit', 'and cached again');

# ---- another session changes what only the opaque function needs
$node->safe_psql('postgres', q{CREATE ROLE reader LOGIN; CREATE ROLE readers;
	GRANT SELECT ON task TO reader; GRANT SELECT ON rate TO readers; GRANT readers TO reader;});
my %reader = (psql => { extra_params => [ '-U', 'reader' ] });
told('cost(1)', %reader);
is(told('cost(1)', %reader), 'same hit', 'a member hits');
$node->safe_psql('postgres', 'REVOKE readers FROM reader');
($rc, $out, $err) = $node->psql('postgres', 'SELECT cost(1)', extra_params => [ '-U', 'reader' ]);
like($err, qr/permission denied for table rate/, 'a former member gets the error');
($rc, $out, $err) = $node->psql('postgres', 'SELECT costs()', extra_params => [ '-U', 'reader' ]);
like($err, qr/permission denied for table rate/, 'also through another cached function');

# ---- parallel workers cannot report what they rest on
my $force = $node->safe_psql('postgres', q{SELECT name FROM pg_settings
	WHERE name IN ('force_parallel_mode', 'debug_parallel_query') ORDER BY 1 LIMIT 1});
my $before = "SET $force = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0; ";
$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 7');
like(told('costs()', before => $before), qr/^same /, 'exact in parallel mode') for 1 .. 3;
$node->safe_psql('postgres', 'UPDATE rate SET factor = factor + 1');
like(told('costs()', before => $before), qr/^same /, 'exact in parallel mode after a write') for 1 .. 3;
# a SQL function that is not inlined may run cached ones in workers; an earlier result must not get through it
$node->safe_psql('postgres', q{
	CREATE FUNCTION all_costs(top int) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
	  AS 'SELECT sum(public.cost(dept)) FROM public.rate WHERE dept <= top';
	CREATE FUNCTION tops() RETURNS bigint LANGUAGE cached_sql STABLE
	  AS 'SELECT sum(public.all_costs(dept)) FROM public.rate';
	CREATE FUNCTION plain_tops() RETURNS bigint LANGUAGE sql STABLE
	  AS 'SELECT sum(public.all_costs(dept)) FROM public.rate'});
told('tops()', before => $before);
$node->safe_psql('postgres', 'UPDATE rate SET factor = factor + 1');
$node->safe_psql('postgres',
	"$before SET aggcache.max_staleness = '1h'; SELECT aggcache.invalidate('tops()'); SELECT tops()");
is($node->safe_psql('postgres', 'SET aggcache.enabled = off; SELECT tops()'),
	$node->safe_psql('postgres', 'SELECT tops()'), 'an earlier result that one session accepts is not passed on');

done_testing();
