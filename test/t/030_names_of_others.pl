# Nobody is taken for us, or we for somebody, because of a name: hostile objects of our names in databases without the
# extension, schemas that were there before, renamed ones, triggers of others under the names of ours.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main');
my $super = $node->safe_psql('postgres', 'SELECT current_user');
$node->safe_psql('postgres', q{CREATE ROLE other LOGIN; CREATE ROLE owner_role LOGIN; CREATE ROLE reader LOGIN;
	CREATE DATABASE shop; GRANT CREATE ON DATABASE shop TO other, owner_role;});
$node->safe_psql('shop',
	'CREATE SCHEMA owner_role AUTHORIZATION owner_role; GRANT CREATE ON SCHEMA public TO owner_role');

sub as_role
{
	my ($db, $role, $sql) = @_;
	return $node->safe_psql($db, "SET SESSION AUTHORIZATION $role;\n$sql");
}

# the SQLSTATE that a script as a role ends with, or what it printed
sub outcome
{
	my ($db, $role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql($db, "SET SESSION AUTHORIZATION $role;\n$sql",
		on_error_stop => 1, extra_params => [ '-v', 'VERBOSITY=sqlstate', '-q' ]);
	return $rc == 0 ? $out : ($err =~ /ERROR:\s+(\w{5})/)[0] // $err;
}

# ---- A database without the extension -------------------------------------------------------------------------------

my $track = q{CREATE FUNCTION aggcache.track_row() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN PERFORM mal.note(); RETURN NULL; END';
	CREATE FUNCTION aggcache.track_truncate() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN PERFORM mal.note(); RETURN NULL; END';};
my $tables = q{CREATE TABLE aggcache.dependency (function oid, relation oid,
		CONSTRAINT dependency_pkey PRIMARY KEY (function, relation));
	CREATE INDEX dependency_relation_idx ON aggcache.dependency (relation);
	CREATE TABLE aggcache.watch (relation oid, id bigint, server int, key_columns smallint[], range_column smallint,
		range_width bigint, columns smallint[], predicate pg_node_tree, CONSTRAINT watch_pkey PRIMARY KEY (relation, id));
	CREATE TABLE aggcache.watch_use (function oid, relation oid, watch bigint,
		CONSTRAINT watch_use_pkey PRIMARY KEY (function, relation, watch));
	CREATE INDEX watch_use_relation_idx ON aggcache.watch_use (relation);
	CREATE TABLE aggcache.program (function oid, relation oid, id bigint, program pg_node_tree,
		CONSTRAINT program_pkey PRIMARY KEY (function, relation));
	CREATE INDEX program_relation_idx ON aggcache.program (relation);
	CREATE TABLE aggcache.cell_width (relation regclass, "column" name, width bigint,
		CONSTRAINT cell_width_pkey PRIMARY KEY (relation, "column"));
	INSERT INTO aggcache.dependency SELECT f, oid FROM pg_class, generate_series(1, 2) f
		WHERE relkind IN ('r', 'p') AND relnamespace <> 'aggcache'::regnamespace AND oid >= 16384;
	INSERT INTO aggcache.watch SELECT relation, 1, 15, '{1}', NULL, NULL, NULL, NULL FROM aggcache.dependency
		WHERE function = 1;};
my $hint_indexes = q{CREATE TABLE aggcache.x (a oid, b oid); CREATE INDEX dependency_pkey ON aggcache.x (a);
	CREATE INDEX dependency_relation_idx ON aggcache.x (b); CREATE INDEX watch_pkey ON aggcache.x (a);
	CREATE INDEX watch_use_pkey ON aggcache.x (a); CREATE INDEX watch_use_relation_idx ON aggcache.x (b);
	CREATE INDEX program_pkey ON aggcache.x (a); CREATE INDEX program_relation_idx ON aggcache.x (b);
	CREATE INDEX cell_width_pkey ON aggcache.x (a);};
my @names = qw(dependency watch watch_use program cell_width);
my %traps = (
	'tables and trigger functions' => $tables . $track,
	'views' => join('', map { "CREATE VIEW aggcache.$_ AS SELECT 1::oid AS function, 2::oid AS relation;" } @names)
		. $hint_indexes . $track,
	'materialized views' => join('',
		map { "CREATE MATERIALIZED VIEW aggcache.$_ AS SELECT mal.note() AS function, 2::oid AS relation WITH NO DATA;" }
		@names) . $hint_indexes . $track,
	'sequences' => join('', map { "CREATE SEQUENCE aggcache.$_;" } @names) . $hint_indexes,
	'partitioned tables' => join('',
		map { "CREATE TABLE aggcache.$_ (function oid, relation oid) PARTITION BY LIST (relation);" } @names)
		. $hint_indexes . $track,
	'tables of other columns' => join('', map { "CREATE TABLE aggcache.$_ (a text, b text);" } @names) . $hint_indexes
		. join('', map { "INSERT INTO aggcache.$_ SELECT repeat('x', 100), 'y';" } @names) . $track,
	'tables without columns' => join('', map { "CREATE TABLE aggcache.$_ ();" } @names) . $hint_indexes . $track,
	'columns of a type with code' => q{CREATE DOMAIN mal.trap AS oid CHECK (mal.note() IS NOT NULL);}
		. join('', map { "CREATE TABLE aggcache.$_ (function mal.trap, relation mal.trap);" } @names) . $hint_indexes
		. $track,
	'indexes with code' => join('',
		map { "CREATE TABLE aggcache.$_ (function oid, relation oid);
			INSERT INTO aggcache.$_ SELECT 1, oid FROM pg_class WHERE oid >= 16384;" } @names)
		. q{CREATE FUNCTION mal.code(oid) RETURNS oid LANGUAGE plpgsql IMMUTABLE
			AS 'BEGIN PERFORM mal.note(); RETURN $1; END';
			CREATE INDEX dependency_pkey ON aggcache.dependency (mal.code(function));
			CREATE INDEX dependency_relation_idx ON aggcache.dependency (mal.code(relation));
			TRUNCATE mal.proof;} . $track,
	'trigger functions of other kinds' => $tables . q{
		CREATE FUNCTION aggcache.track_row() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN mal.note(); END';
		CREATE AGGREGATE aggcache.track_truncate(*) (sfunc = int4inc, stype = int, initcond = 0);},
	'a schema alone' => '',
	'temporary objects' => 'temp',
);

# what those do who know nothing of it; the last statements end in what is counted
my $battery = q{
	CREATE TABLE owner_role.parent (a int); CREATE TABLE owner_role.secret (a int PRIMARY KEY);
	CREATE TABLE owner_role.part (a int) PARTITION BY LIST (a);
	CREATE TABLE owner_role.part1 PARTITION OF owner_role.part FOR VALUES IN (1);
	CREATE MATERIALIZED VIEW owner_role.kept AS SELECT a FROM owner_role.secret;
	CREATE UNIQUE INDEX ON owner_role.kept (a);
	HOOK
	CREATE TABLE owner_role.child (b int) INHERITS (owner_role.parent);
	CREATE TABLE owner_role.late (a int, b int); ALTER TABLE owner_role.late INHERIT owner_role.parent;
	INSERT INTO owner_role.child VALUES (1, 1); UPDATE owner_role.child SET b = 2;
	ALTER TABLE owner_role.part DETACH PARTITION owner_role.part1; INSERT INTO owner_role.part1 VALUES (1);
	ALTER TABLE owner_role.part ATTACH PARTITION owner_role.part1 FOR VALUES IN (1); TRUNCATE owner_role.part;
	ALTER TABLE owner_role.secret ENABLE TRIGGER ALL; INSERT INTO owner_role.secret VALUES (1);
	REFRESH MATERIALIZED VIEW owner_role.kept; REFRESH MATERIALIZED VIEW CONCURRENTLY owner_role.kept;
	CREATE FUNCTION owner_role.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
	CREATE OR REPLACE FUNCTION owner_role.f() RETURNS int LANGUAGE sql AS 'SELECT 2'; SELECT owner_role.f();
	ALTER FUNCTION owner_role.f() RENAME TO g; DROP FUNCTION owner_role.g();
	ALTER TABLE owner_role.secret ADD COLUMN b int; COPY owner_role.secret FROM STDIN;
\.
	DROP TABLE owner_role.late; VACUUM owner_role.secret;
	SELECT count(*) FROM pg_trigger;
	DROP TABLE owner_role.child, owner_role.parent, owner_role.part, owner_role.secret CASCADE;};

my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
for my $name (sort keys %traps)
{
	my $trap = $traps{$name};
	as_role('shop', 'other', q{CREATE SCHEMA mal; CREATE TABLE mal.proof (who name);
		GRANT USAGE ON SCHEMA mal TO PUBLIC; GRANT INSERT ON mal.proof TO PUBLIC;
		CREATE FUNCTION mal.note() RETURNS int LANGUAGE plpgsql AS
			'BEGIN INSERT INTO mal.proof VALUES (current_user); RETURN 1; END';
		CREATE SCHEMA aggcache; GRANT USAGE ON SCHEMA aggcache TO PUBLIC;});
	for my $role ('owner_role', $super)
	{
		# the attacker knows the tables by then: his catalogs hold them
		my $hook = "SET SESSION AUTHORIZATION other; $trap SET SESSION AUTHORIZATION $role;";
		$hook = 'CREATE TEMP TABLE dependency (function oid, relation oid); CREATE TEMP VIEW watch AS SELECT 1 AS a;'
			if $trap eq 'temp';
		my $sql = $battery =~ s/HOOK/$hook/r;
		my $who = $role eq $super ? 'a superuser' : $role;
		is(outcome('shop', $role, $sql), "2\n0", "$name: $who works undisturbed, without a trigger");
		is($node->safe_psql('shop', 'SELECT count(*) FROM mal.proof'), 0, "$name: and runs no code of others");
		$node->safe_psql('shop', 'DROP SCHEMA aggcache CASCADE; CREATE SCHEMA aggcache AUTHORIZATION other;
			GRANT USAGE ON SCHEMA aggcache TO PUBLIC; DROP DOMAIN IF EXISTS mal.trap CASCADE;
			DROP FUNCTION IF EXISTS mal.code(oid)');
	}
	$node->safe_psql('shop', 'DROP SCHEMA aggcache, mal CASCADE');
}
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, 'the server has not crashed');

# no cost: the absence is looked up once a session
$node->safe_psql('shop', 'SELECT pg_stat_reset()');
my $pair = q{CREATE FUNCTION c() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION c();};
$node->safe_psql('shop', $pair x 50 . 'SELECT pg_stat_force_next_flush()');
wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'},
	'the session to end');
cmp_ok($node->safe_psql('shop',
	q{SELECT seq_scan + idx_scan FROM pg_stat_sys_tables WHERE relname = 'pg_extension'}), '<=', 2,
	'a hundred statements look for the extension once');

# ---- A schema that was there before ---------------------------------------------------------------------------------

as_role('shop', 'other', 'CREATE SCHEMA aggcache');
is(outcome('shop', $super, 'CREATE EXTENSION pg_aggcache'), '42P06', 'a schema of a role');
$node->safe_psql('shop', 'DROP SCHEMA aggcache; CREATE SCHEMA aggcache; CREATE TABLE aggcache.mine ()');
is(outcome('shop', $super, 'CREATE EXTENSION pg_aggcache'), '42P06', 'a schema that is not empty');
$node->safe_psql('shop', q{DROP TABLE aggcache.mine;
	CREATE FUNCTION aggcache.format(text, bigint, bigint) RETURNS text LANGUAGE sql AS 'SELECT 1'});
is(outcome('shop', $super, 'CREATE EXTENSION pg_aggcache'), '42P06', 'a schema with a function');
$node->safe_psql('shop', 'DROP FUNCTION aggcache.format(text, bigint, bigint); CREATE EXTENSION pg_aggcache');
my $where = q{SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace
	WHERE extname = 'pg_aggcache'};
is($node->safe_psql('shop', $where), 'aggcache', 'an empty one of a superuser is used');
is(outcome('shop', $super, 'DROP SCHEMA aggcache'), '2BP01', 'DROP SCHEMA aggcache is refused');
is(outcome('shop', $super, 'DROP SCHEMA aggcache CASCADE'), '', 'unless it cascades');
is($node->safe_psql('shop', $where), '', 'to the extension');
$node->safe_psql('shop', q{CREATE EXTENSION pg_aggcache; CREATE SCHEMA app; CREATE TABLE app.t (k int, v int);
	INSERT INTO app.t VALUES (1, 1), (2, 2);
	CREATE FUNCTION app.f(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) FROM app.t WHERE k = x';
	DROP SCHEMA public CASCADE; CREATE SCHEMA public;});
is($node->safe_psql('shop', $where), 'aggcache', 'DROP SCHEMA public CASCADE leaves the extension');
is($node->safe_psql('shop', 'SELECT app.f(1); SELECT app.f(1); SELECT result FROM aggcache.last_call()'), "1\n1\nhit",
	'and its functions');

# ---- Renamed schemas, and extensions that come and go under open sessions -------------------------------------------

# cached and plain agree in a new session, for both keys
sub agree
{
	my ($name) = @_;
	is($node->safe_psql('shop', q{SELECT bool_and(app.f(k) IS NOT DISTINCT FROM v) FROM app.t}), 't', $name);
	return;
}

$node->safe_psql('shop', 'ALTER SCHEMA aggcache RENAME TO renamed');
$node->safe_psql('shop', 'UPDATE app.t SET v = 100 WHERE k = 1');
agree('a write while the schema is renamed');
is($node->safe_psql('shop', 'SELECT app.f(2); SELECT app.f(2); SELECT result FROM renamed.last_call();
	SELECT tracked FROM renamed.tables'), "2\n2\nhit\nt", 'and a hit');
$node->safe_psql('shop', q{CREATE TABLE app.u (k int, v int); INSERT INTO app.u VALUES (1, 1);
	CREATE FUNCTION app.g(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) FROM app.u WHERE k = x';
	SELECT app.g(1); UPDATE app.u SET v = 2});
is($node->safe_psql('shop', 'SELECT app.g(1), (SELECT count(*) FROM renamed.watch)'), '2|2',
	'a function made meanwhile');
as_role('shop', 'other', "CREATE SCHEMA aggcache; $tables" . q{
	CREATE FUNCTION aggcache.track_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'});
$node->safe_psql('shop', 'UPDATE app.t SET v = 200 WHERE k = 1');
agree('a schema of the old name by another role');
is($node->safe_psql('shop', 'DROP FUNCTION app.g(int); SELECT (SELECT count(*) FROM renamed.watch),
	(SELECT count(*) FROM aggcache.watch)'), '1|' . $node->safe_psql('shop', 'SELECT count(*) FROM aggcache.watch'),
	'whose catalogs nobody writes');
$node->safe_psql('shop', 'DROP SCHEMA aggcache CASCADE; ALTER SCHEMA renamed RENAME TO aggcache');
$node->safe_psql('shop', 'UPDATE app.t SET v = 300 WHERE k = 1');
agree('renamed back');

my $session = $node->background_psql('shop');
$session->query_safe('SET client_min_messages = warning');
my $define = q{CREATE EXTENSION pg_aggcache;
	CREATE FUNCTION app.f(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) FROM app.t WHERE k = x'};
for my $round (1 .. 2)
{
	$session->query_safe(q{CREATE FUNCTION app.h() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION app.h();
		UPDATE app.t SET v = v + 1 WHERE k = 1});
	agree("round $round: a session that has written before");
	$node->safe_psql('shop', 'DROP EXTENSION pg_aggcache CASCADE');
	is($session->query_safe(q{CREATE FUNCTION app.h() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION app.h();
		UPDATE app.t SET v = v + 1 WHERE k = 1; CREATE TABLE app.w () INHERITS (app.t); DROP TABLE app.w}), '',
		"round $round: the extension has gone");
	$node->safe_psql('shop', $define);
	$node->safe_psql('shop', 'SELECT app.f(1), app.f(2)');
	$session->query_safe('UPDATE app.t SET v = v + 1 WHERE k = 1');
	agree("round $round: it has come again, and an old session wrote");
	is($node->safe_psql('shop', 'SELECT app.f(2); SELECT app.f(1); SELECT result FROM aggcache.last_call()'),
		"2\n" . $node->safe_psql('shop', 'SELECT v FROM app.t WHERE k = 1') . "\nhit", "round $round: and it hits");
}
$session->query_safe(q{DROP EXTENSION pg_aggcache CASCADE; BEGIN; SAVEPOINT s; CREATE EXTENSION pg_aggcache;
	CREATE FUNCTION app.f() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) FROM app.t'; ROLLBACK TO s;
	CREATE FUNCTION app.h() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION app.h(); COMMIT});
$node->safe_psql('shop', $define);
$node->safe_psql('shop', 'SELECT app.f(1)');
$session->query_safe('UPDATE app.t SET v = v + 1 WHERE k = 1');
agree('made and rolled back in a session that then writes');
$session->quit;

# ---- Triggers of others under our names -----------------------------------------------------------------------------

$node->safe_psql('postgres', q{CREATE EXTENSION pg_aggcache; GRANT CREATE ON SCHEMA public TO owner_role, other});
as_role('postgres', 'owner_role', q{CREATE TABLE plain (k int, v int); INSERT INTO plain VALUES (1, 1);
	CREATE TABLE root (k int, v int) PARTITION BY LIST (k); CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1);
	INSERT INTO root VALUES (1, 1); GRANT TRIGGER ON plain, root, leaf TO other;});
as_role('postgres', 'other', q{
	CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE TRIGGER aggcache_track AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION mine();
	CREATE TRIGGER aggcache_track_1 AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION mine();
	CREATE TRIGGER aggcache_track_truncate AFTER TRUNCATE ON plain EXECUTE FUNCTION mine();
	SELECT format('CREATE TRIGGER aggcache_track_%s AFTER INSERT ON leaf EXECUTE FUNCTION mine()',
		'root'::regclass::oid)
	\gexec});
my $functions = q{
	CREATE FUNCTION of_plain(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) FROM plain WHERE k = x';
	CREATE FUNCTION of_root(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) FROM root WHERE k = x';};
is(outcome('postgres', 'owner_role', $functions), '', 'functions on tables where our names are taken');
my $answers = 'SELECT of_plain(1), of_root(1); SELECT of_plain(1), of_root(1); SELECT result FROM aggcache.last_call()';
is($node->safe_psql('postgres', $answers), "1|1\n1|1\nhit", 'are cached');
$node->safe_psql('postgres', 'UPDATE plain SET v = 2; UPDATE root SET v = 3');
is($node->safe_psql('postgres', $answers), "2|3\n2|3\nhit", 'and see writes');
as_role('postgres', 'owner_role', 'TRUNCATE plain');
is($node->safe_psql('postgres', 'SELECT of_plain(1) IS NULL'), 't', 'and TRUNCATE');
my $ours = q{SELECT count(*) FILTER (WHERE tgfoid::regproc::text ~ '^aggcache'), count(*) FROM pg_trigger
	WHERE tgrelid IN ('plain'::regclass, 'root'::regclass, 'leaf'::regclass)};
is($node->safe_psql('postgres', $ours), '4|8', 'ours beside theirs');
as_role('postgres', 'owner_role', 'DROP FUNCTION of_plain(int), of_root(int)');
is($node->safe_psql('postgres', $ours), '0|4', 'ours go, theirs stay');
# a trigger of our name that is none of ours does not count as tracking
is(outcome('postgres', 'other', q{ALTER TABLE plain ENABLE TRIGGER ALL}), '42501', 'theirs');
is($node->safe_psql('postgres', q{SELECT tracked FROM aggcache.tracking_state('plain')}), 'f', 'theirs track nothing');

# the language of the views is ours
is($node->safe_psql('postgres', $functions . q{ALTER LANGUAGE cached_sql RENAME TO cached;
	SELECT count(*) FROM aggcache.functions; SELECT of_plain(1) IS NULL; SELECT state FROM aggcache.functions LIMIT 1;
	ALTER LANGUAGE cached RENAME TO cached_sql; DROP FUNCTION of_plain(int), of_root(int)}), "2\nt\ncached",
	'a renamed language');
done_testing();
