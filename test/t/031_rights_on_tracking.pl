# Who may put tracking on tables, take it off, wrap functions and dump: nobody does with another's rights what he may
# not do with his own.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "max_prepared_transactions = 5\n");
my $super = $node->safe_psql('postgres', 'SELECT current_user');
$node->safe_psql('postgres', q{CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE carol LOGIN;
	CREATE DATABASE shop OWNER alice;});
$node->safe_psql('shop', q{CREATE EXTENSION pg_aggcache;
	CREATE SCHEMA alice AUTHORIZATION alice; CREATE SCHEMA bob AUTHORIZATION bob;
	GRANT USAGE ON SCHEMA alice, bob TO PUBLIC;
	CREATE SCHEMA w; GRANT USAGE, CREATE ON SCHEMA w TO bob, carol;});

sub as_role
{
	my ($role, $sql) = @_;
	return $node->safe_psql('shop', "SET SESSION AUTHORIZATION $role;\n$sql");
}

sub outcome
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('shop', "SET SESSION AUTHORIZATION $role;\n$sql",
		on_error_stop => 1, extra_params => [ '-v', 'VERBOSITY=sqlstate', '-q' ]);
	return $rc == 0 ? $out : ($err =~ /ERROR:\s+(\w{5})/)[0] // $err;
}

# a table's triggers of ours: of rows that were put there by hand, all of them; and watches
sub tracking
{
	my ($table) = @_;
	return $node->safe_psql('shop', qq{SELECT count(*) FILTER (WHERE tgnargs = 1), count(*),
		(SELECT count(*) FROM aggcache.watch WHERE relation = '$table'::regclass)
		FROM pg_trigger WHERE tgrelid = '$table'::regclass AND tgfoid::regproc::text ~ '^aggcache'});
}

# ---- Triggers go with those who may put them on, or by hand ---------------------------------------------------------

as_role('alice', q{CREATE TABLE alice.t (k int, v int); CREATE TABLE alice.u (k int, v int);
	GRANT SELECT ON alice.t, alice.u TO bob; INSERT INTO alice.t VALUES (1, 1)});
sub function_of
{
	my ($name, $table) = @_;
	return "CREATE OR REPLACE FUNCTION $name(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS
		'SELECT sum(v) FROM alice.$table WHERE k = x';";
}
as_role('alice', q{SELECT aggcache.attach('alice.t')});
is(tracking('alice.t'), '2|2|0', 'attached by hand');
like($node->safe_psql('shop', q{SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'aggcache_track'}),
	qr/track_row\('attached'\)/, 'which shows in the trigger');
as_role('bob', function_of('bob.probe', 't') . 'DROP FUNCTION bob.probe(int)');
is(tracking('alice.t'), '2|2|0', 'a function of a role with SELECT that comes and goes');
as_role('bob', function_of('bob.probe', 't') . function_of('bob.probe', 'u') . 'DROP FUNCTION bob.probe(int)');
is(tracking('alice.t'), '2|2|0', 'or is replaced');
as_role('bob', function_of('bob.probe', 't'));
$node->safe_psql('shop', 'DROP OWNED BY bob; CREATE SCHEMA bob AUTHORIZATION bob; GRANT USAGE ON SCHEMA bob TO PUBLIC;
	GRANT USAGE, CREATE ON SCHEMA w TO bob; GRANT SELECT ON alice.t, alice.u TO bob');
is(tracking('alice.t'), '2|2|0', 'or goes with DROP OWNED');
as_role('alice', function_of('alice.f', 't'));
is(tracking('alice.t'), '2|2|1', 'a function of the owner adds its watch');
as_role('alice', q{DROP FUNCTION alice.f(int)});
is(tracking('alice.t'), '2|2|0', 'and takes it away again, but no trigger');
as_role('alice', q{ALTER TABLE alice.t ENABLE TRIGGER ALL});
is(tracking('alice.t'), '2|2|0', 'made anew, they are still by hand');
$node->safe_psql('shop', q{ALTER TABLE alice.t DISABLE TRIGGER ALL; SELECT aggcache.attach('alice.t')});
is(tracking('alice.t'), '2|2|0', 'attached again');
is(outcome('bob', q{SELECT aggcache.detach('alice.t')}), '42501', 'a role with SELECT detaches nothing');
as_role('alice', q{SELECT aggcache.detach('alice.t')});
is(tracking('alice.t'), '0|0|0', 'the owner does');

# those of functions: who may not put them on does not take them off
as_role('alice', function_of('alice.f', 't'));
is(tracking('alice.t'), '0|2|1', 'triggers of a function');
as_role('bob', function_of('bob.probe', 't'));
is(tracking('alice.t'), '0|2|1', 'another function of a role with SELECT makes no watch');
as_role('alice', 'DROP FUNCTION alice.f(int)');
is(tracking('alice.t'), '0|2|0', 'is left by the owner\'s');
as_role('bob', 'DROP FUNCTION bob.probe(int)');
is(tracking('alice.t'), '0|2|0', 'and leaves the triggers');
as_role('alice', function_of('alice.f', 't') . 'DROP FUNCTION alice.f(int)');
is(tracking('alice.t'), '0|0|0', 'until a function of the owner goes');
# a watch of a role without functions left goes with no function of others
as_role('alice', function_of('alice.f', 't') . 'GRANT TRIGGER ON alice.t TO bob');
as_role('bob', q{CREATE FUNCTION bob.total() RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT sum(v) FROM alice.t'});
is(tracking('alice.t'), '0|2|2', 'a role with TRIGGER adds a watch');
as_role('alice', 'REVOKE TRIGGER ON alice.t FROM bob');
as_role('bob', 'DROP FUNCTION bob.total()');
is(tracking('alice.t'), '0|2|1', 'which goes with its function, the owner\'s stays');
as_role('alice', 'GRANT TRIGGER ON alice.t TO bob');
as_role('bob', function_of('bob.probe', 't'));
$node->safe_psql('shop', 'ALTER FUNCTION bob.probe(int) OWNER TO carol');
is(tracking('alice.t'), '0|2|1', 'a new owner changes nothing');
as_role('carol', 'DROP FUNCTION bob.probe(int)');
is(tracking('alice.t'), '0|2|1', 'nor does his dropping it');
as_role('alice', 'DROP FUNCTION alice.f(int)');
is(tracking('alice.t'), '0|0|0', 'the owner\'s last function takes all');

# attached when functions had put them there: from then on by hand; partitions too
as_role('alice', q{CREATE TABLE alice.root (k int, v int) PARTITION BY LIST (k);
	CREATE TABLE alice.leaf PARTITION OF alice.root FOR VALUES IN (1); CREATE TABLE alice.late (k int, v int);}
	. function_of('alice.f', 't') . function_of('alice.g', 'root')
	. q{SELECT aggcache.attach('alice.t'); SELECT aggcache.attach('alice.leaf');
		DROP FUNCTION alice.f(int), alice.g(int)});
is(tracking('alice.t'), '2|2|0', 'attached when it was tracked already');
is(tracking('alice.leaf'), '2|2|0', 'a partition of a tracked table, when the function on it has gone');
as_role('alice', q{SELECT aggcache.detach('alice.leaf'); SELECT aggcache.attach('alice.root');
	ALTER TABLE alice.root ATTACH PARTITION alice.late FOR VALUES IN (2);} . function_of('alice.g', 'root')
	. 'DROP FUNCTION alice.g(int)');
is(join(' ', map { tracking("alice.$_") } qw(root leaf late)), '1|1|0 1|1|0 1|1|0',
	'a partitioned table and its partitions');
as_role('alice', q{SELECT aggcache.detach('alice.root')});
is(join(' ', map { tracking("alice.$_") } qw(root leaf late)), '0|0|0 0|0|0 0|0|0', 'detached as a whole');

# TRIGGER on the partitioned table alone
as_role('alice', 'GRANT SELECT, TRIGGER ON alice.root TO bob');
is(outcome('bob', function_of('bob.of_root', 'root')), '', 'TRIGGER on some partitions only: the function is made');
is(join(' ', map { tracking("alice.$_") } qw(root leaf)), '0|0|0 0|0|0', 'and tracks nothing');
as_role('bob', 'DROP FUNCTION bob.of_root(int)');

# ---- An administrator's action gives no role more -------------------------------------------------------------------

as_role('bob', function_of('bob.borrowed', 'u'));
my ($rc, $out, $err) = $node->psql('shop', 'SELECT aggcache.refresh()');
like($err, qr/WARNING:  function borrowed\(integer\) will not be cached\n.*alice\.u has no tracking triggers/,
	'refresh() by a superuser says why');
is(tracking('alice.u'), '0|0|0', 'and tracks nothing that the owner may not');
$node->psql('shop', q{SELECT aggcache.refresh('bob.borrowed(int)')});
is(tracking('alice.u'), '0|0|0', 'nor does refresh() of the function');
$node->psql('shop', function_of('bob.borrowed', 'u'));
is(tracking('alice.u'), '0|0|0', 'nor replacing it');
as_role('alice', 'GRANT TRIGGER ON alice.u TO bob');
$node->safe_psql('shop', 'SELECT aggcache.refresh()');
is(tracking('alice.u'), '0|2|1', 'with the owner\'s TRIGGER it does');
as_role('bob', 'DROP FUNCTION bob.borrowed(int)');

# ---- Locks ----------------------------------------------------------------------------------------------------------

sub locks
{
	my ($sql) = @_;
	return $node->safe_psql('shop', qq{BEGIN; $sql; SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid()
		AND relation IN ('alice.t'::regclass, 'alice.root'::regclass, 'alice.leaf'::regclass)
		AND mode = 'AccessExclusiveLock'; ROLLBACK});
}
as_role('alice', q{SELECT aggcache.detach('alice.t');} . function_of('alice.f', 't') . function_of('alice.g', 'root')
	. q{COMMENT ON TRIGGER aggcache_track ON alice.t IS 'remark'});
is(locks('DROP FUNCTION alice.f(int), alice.g(int)'), '', 'DROP FUNCTION locks no reader out');
is(locks(function_of('alice.f', 'u') . function_of('alice.g', 'u')), '', 'nor does replacing');
is(locks(q{DO $$ BEGIN PERFORM aggcache.detach('alice.t'); PERFORM aggcache.detach('alice.root'); END $$}), '',
	'nor does detach()');
is(locks(q{ALTER TABLE alice.t ENABLE TRIGGER ALL; DO $$ BEGIN PERFORM aggcache.attach('alice.root'); END $$}), '',
	'nor do triggers that are put right');
my $reader = $node->background_psql('shop');
$reader->query_safe('BEGIN; SELECT count(*) FROM alice.t; SELECT count(*) FROM alice.root');
is(outcome('alice', q{SET lock_timeout = '60s'; DROP FUNCTION alice.f(int), alice.g(int)}), '', 'beside a reader');
is($reader->query_safe('SELECT count(*) FROM alice.t; SELECT count(*) FROM alice.root; COMMIT'), "1\n0",
	'who reads on');
$reader->quit;
is($node->safe_psql('shop', q{SELECT (SELECT count(*) FROM pg_trigger WHERE tgfoid::regproc::text ~ '^aggcache'),
	(SELECT count(*) FROM pg_depend WHERE classid = 'pg_trigger'::regclass AND objid NOT IN (SELECT oid FROM pg_trigger)),
	(SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_trigger'::regclass
		AND refobjid NOT IN (SELECT oid FROM pg_trigger)),
	(SELECT count(*) FROM pg_description WHERE classoid = 'pg_trigger'::regclass)}), '0|0|0|0', 'nothing is left of them');
# dropped by a statement that is writing the table, whose triggers have yet to fire
as_role('alice', function_of('alice.f', 't') . q{
	CREATE FUNCTION alice.drops() RETURNS int LANGUAGE plpgsql AS 'BEGIN DROP FUNCTION alice.f(int); RETURN 5; END';
	INSERT INTO alice.t SELECT 1, CASE i WHEN 3 THEN alice.drops() ELSE i END FROM generate_series(1, 5) i});
is($node->safe_psql('shop', 'SELECT count(*) FROM alice.t'), 6, 'dropped within a writing statement');
is(outcome('alice', q{INSERT INTO alice.t SELECT 1, 1 FROM generate_series(1, 2) i
	WHERE (SELECT aggcache.detach('alice.t')) IS NOT NULL}), '', 'detached before a statement writes');
is(tracking('alice.t'), '0|0|0', 'which takes them off');

# ---- Wrapping -------------------------------------------------------------------------------------------------------

as_role('bob', q{CREATE TABLE w.proof (who name, how text); GRANT INSERT ON w.proof TO PUBLIC;
	CREATE FUNCTION w.note(how text) RETURNS int LANGUAGE plpgsql AS
		'BEGIN INSERT INTO w.proof VALUES (current_user, how); RETURN 1; END';
	CREATE FUNCTION w.stable_note() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN w.note(''call''); END';
	CREATE FUNCTION w.folded(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN w.note(''folded''); END';
	CREATE DOMAIN w.trap AS int CHECK (w.note('domain') > 0);
	CREATE FUNCTION w.definer() RETURNS int LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT w.stable_note()';
	CREATE FUNCTION w.invoker() RETURNS int LANGUAGE sql STABLE AS 'SELECT w.folded(1)';
	CREATE FUNCTION w.literal() RETURNS int LANGUAGE sql STABLE AS $$SELECT ('{1}'::w.trap[])[1]::int$$;
	CREATE FUNCTION w.standard() RETURNS int LANGUAGE sql STABLE RETURN (SELECT ('{1}'::w.trap[])[1]::int + w.folded(2));
	CREATE FUNCTION w.defaults(x w.trap[] DEFAULT '{1}') RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
	CREATE FUNCTION w.number(x int DEFAULT 7) RETURNS int LANGUAGE sql STABLE AS 'SELECT x';
	CREATE FUNCTION w.private() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
	REVOKE EXECUTE ON FUNCTION w.private() FROM PUBLIC; TRUNCATE w.proof;});
my @wrapped = qw(definer invoker literal standard defaults(w.trap[]) number(int) private);
$_ .= '()' for grep { !/\(/ } @wrapped;
my $copies = q{SELECT string_agg(proname || ' ' || proowner::regrole || ' ' || prosecdef, ', ' ORDER BY proname)
	FROM pg_proc WHERE pronamespace = 'w'::regnamespace AND proname ~ '^cached_'};

is(outcome('carol', "SELECT aggcache.wrap('w.$_')"), '42501', "a role wraps no $_ of another")
	for ('definer()', 'defaults(w.trap[])', 'private()');
as_role('carol', "SELECT aggcache.wrap('w.$_')") for ('invoker()', 'literal()', 'standard()', 'number(int)');
is($node->safe_psql('shop', $copies), join(', ', map { "cached_$_ carol false" } qw(invoker literal number standard)),
	'but what runs with his own rights, as his own');
is($node->safe_psql('shop', 'SELECT count(*) FROM w.proof'), 0, 'and nothing of the other runs');
is(outcome('carol', 'SELECT w.cached_number(), w.cached_invoker()'), '7|1', 'before it is called');
as_role('carol', 'DROP FUNCTION w.cached_invoker(), w.cached_literal(), w.cached_standard(), w.cached_number(int)');
$node->safe_psql('shop', 'TRUNCATE w.proof');

$node->safe_psql('shop', "SELECT aggcache.wrap('w.$_')") for @wrapped;
is($node->safe_psql('shop', $copies),
	join(', ', map { "cached_$_ bob " . ($_ eq 'definer' ? 'true' : 'false') }
		qw(defaults definer invoker literal number private standard)),
	'what a superuser wraps belongs to the owner');
is($node->safe_psql('shop', q{SELECT count(*) FROM w.proof WHERE who <> 'bob'}), 0, 'and is checked as him');
$node->safe_psql('shop', 'SELECT w.cached_definer()');
is($node->safe_psql('shop', q{SELECT count(*) FROM w.proof WHERE who <> 'bob'}), 0, 'and runs as him');
is(outcome('carol', 'SELECT w.cached_private()'), '42501', 'with the grants of the original');
$node->safe_psql('shop', 'REVOKE CREATE ON SCHEMA w FROM bob');
is(outcome($super, q{SELECT aggcache.wrap('w.number(int)', 'w.other_name')}), '42501',
	'in a schema where the owner may create functions');
is(outcome($super, q{SELECT aggcache.wrap('w.number(int)', 'bob.elsewhere'); SELECT bob.elsewhere()}),
	"bob.elsewhere(integer)\n7", 'his own, say');

# names as long as names may be
my $long = 'n' x 63;
my $wide = 'ü' x 31;
as_role('bob', qq{CREATE FUNCTION bob."$_"() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'}) for ($long, $wide);
is(outcome('bob', qq{SELECT aggcache.wrap('bob."$long"()')}), 'cached_' . 'n' x 56 . '()', 'a name of 63 letters');
is(outcome('bob', qq{SELECT aggcache.wrap('bob."$wide"()')}), '"cached_' . 'ü' x 28 . '"()',
	'a name of 62 bytes in letters of two');
is(outcome('bob', qq{SELECT aggcache.wrap('bob."$long"()')}), '42723', 'twice');

# ---- Dumps by an owner who is not superuser -------------------------------------------------------------------------

as_role('alice', function_of('alice.f', 't') . q{SELECT aggcache.attach('alice.u');
	CREATE TABLE alice.at (d date); SELECT aggcache.set_cell_width('alice.at', 'd', '7 days')});
$node->safe_psql('shop', 'DROP SCHEMA w, bob CASCADE');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-U', 'alice', '-Fc', '-d', $node->connstr('shop'), '-f', $dump ],
	'pg_dump by the owner');
for my $role ($super, 'alice')
{
	$node->safe_psql('postgres', 'CREATE DATABASE copy OWNER alice');
	my @options = ('--exit-on-error');
	if ($role eq 'alice')
	{
		# the extension is the administrator's, and what the dump has to say about it too
		$node->safe_psql('copy', 'CREATE EXTENSION pg_aggcache; CREATE SCHEMA alice AUTHORIZATION alice');
		@options = ('-n', 'alice');
	}
	$node->command_ok([ 'pg_restore', '-U', $role, @options, '-d', $node->connstr('copy'), $dump ], "restored by $role");
	is($node->safe_psql('copy', q{SELECT count(*) FILTER (WHERE tgnargs = 1), count(*) FROM pg_trigger}), '2|4',
		"$role: with its triggers, by hand and of functions");
	is($node->safe_psql('copy', q{SELECT alice.f(1) = (SELECT sum(v) FROM alice.t WHERE k = 1);
		SELECT result FROM aggcache.last_call() WHERE NOT result = 'uncached'}), "t\nmiss", "$role: cached");
	is($node->safe_psql('copy', 'SELECT width FROM aggcache.cell_width'), $role eq 'alice' ? '' : 7, "$role: widths");
	$node->safe_psql('postgres', 'DROP DATABASE copy');
}
done_testing();
