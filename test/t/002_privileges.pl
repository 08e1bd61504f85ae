# A hit needs what the query needs: privileges, row security, the role. Nothing that the plain query would not show.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main');
fixture($node);
$node->safe_psql('postgres', q{
	CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE owner_role;
	GRANT CREATE, USAGE ON SCHEMA public TO owner_role;
	GRANT SELECT ON task TO alice;});
my @answer = ('cached_hours(1)', 'plain_hours(1)');

# the outcome of a query as a role: its value or its SQLSTATE
sub outcome
{
	my ($sql, $role, $before) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', ($before // '') . "SET ROLE $role;\n$sql",
		extra_params => [ '-v', 'VERBOSITY=sqlstate', '-q' ]);
	$out = (split /\n/, $out // '')[-1] // '';
	return $rc == 0 ? $out : ($err =~ /ERROR:\s+(\w{5})/)[0];
}

sub agree
{
	my ($role, $value, $name, $before) = @_;
	is(outcome('SELECT plain_hours(1)', $role, $before), $value, "$name: plain");
	is(outcome('SELECT cached_hours(1)', $role, $before), $value, "$name: cached") for 1 .. 2;
	return;
}

same($node, @answer, 18, 'superuser fills the cache');
agree('alice', 18, 'granted');
agree('bob', '42501', 'never granted');
$node->safe_psql('postgres', 'REVOKE SELECT ON task FROM alice');
agree('alice', '42501', 'revoked');
$node->safe_psql('postgres', 'GRANT SELECT (hours) ON task TO alice');
agree('alice', '42501', 'one of two columns');
$node->safe_psql('postgres', 'GRANT SELECT (dept) ON task TO alice');
agree('alice', 18, 'both columns');
$node->safe_psql('postgres', 'GRANT alice TO bob');
agree('bob', 18, 'as a member');
$node->safe_psql('postgres', 'REVOKE alice FROM bob');
agree('bob', '42501', 'no longer a member');
$node->safe_psql('postgres', q{GRANT SELECT ON task TO bob;
	CREATE FUNCTION twice(x bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 2 * x';
	CREATE FUNCTION cached_twice() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT twice(sum(hours)) FROM task';
	SELECT cached_twice(); REVOKE EXECUTE ON FUNCTION twice(bigint) FROM PUBLIC});
is(outcome('SELECT cached_twice()', 'bob'), '42501', 'a function of the body may not be executed');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION twice(bigint) TO PUBLIC');

# one session that changes its role
is($node->safe_psql('postgres', q{SELECT cached_hours(1); SET ROLE alice; SELECT cached_hours(1); RESET ROLE;
	SELECT cached_hours(1)}), "18\n18\n18", 'SET ROLE within a session');
my ($rc, $out, $err) = $node->psql('postgres', q{REVOKE ALL ON task FROM bob; SELECT cached_hours(1); SET ROLE bob;
	SELECT cached_hours(1)});
like($err, qr/permission denied for table task/, 'SET ROLE to one who may not');

# row security by role
$node->safe_psql('postgres', q{GRANT SELECT ON task TO alice, bob; ALTER TABLE task ENABLE ROW LEVEL SECURITY;
	CREATE POLICY p ON task FOR SELECT USING (current_user = 'alice' OR hours > 5)});
agree('alice', 18, 'policy: alice sees all');
agree('bob', 15, 'policy: bob sees some');
same($node, @answer, 18, 'policy: superuser');
$node->safe_psql('postgres', q{ALTER POLICY p ON task USING (hours < 5)});
agree('alice', 3, 'changed policy: alice');
agree('bob', 3, 'changed policy: bob');
$node->safe_psql('postgres', q{DROP POLICY p ON task});
agree('alice', '', 'dropped policy');
$node->safe_psql('postgres', q{CREATE POLICY t ON task USING (dept = 1 AND hours = current_setting('app.tenant',
	true)::int)});
agree('alice', 3, 'tenant 3', "SET app.tenant = '3';");
agree('alice', 6, 'tenant 6', "SET app.tenant = '6';");
agree('alice', '', 'no such tenant', "SET app.tenant = '77';");
is_computed($node, q{SET app.tenant = '3'; SET ROLE alice; SELECT cached_hours(1); SET app.tenant = '6';
	SELECT cached_hours(1)}, 0, 'two tenants have two entries');
($rc, $out, $err) = $node->psql('postgres', q{SET app.tenant = '3'; SET ROLE alice; SELECT cached_hours(1);
	SET row_security = off; SELECT cached_hours(1)});
like($err, qr/would be affected by row-level security/, 'row_security = off is an error as for the query');
$node->safe_psql('postgres', 'ALTER ROLE bob BYPASSRLS');
agree('bob', 18, 'BYPASSRLS');
$node->safe_psql('postgres', 'ALTER ROLE bob NOBYPASSRLS');
agree('bob', '', 'NOBYPASSRLS again');
$node->safe_psql('postgres', 'ALTER TABLE task DISABLE ROW LEVEL SECURITY');
agree('bob', 18, 'row security disabled');

# security definer functions
$node->safe_psql('postgres', q{REVOKE ALL ON task FROM alice, bob;
	CREATE FUNCTION plain_definer() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
		AS 'SELECT sum(hours) FROM task WHERE dept = 1';
	CREATE FUNCTION cached_definer() RETURNS bigint LANGUAGE cached_sql STABLE SECURITY DEFINER
		AS 'SELECT sum(hours) FROM task WHERE dept = 1';});
for my $f ('plain_definer()', 'cached_definer()') { is(outcome("SELECT $f", 'alice'), 18, "security definer: $f"); }
$node->safe_psql('postgres', 'ALTER FUNCTION cached_definer() OWNER TO owner_role');
is(outcome('SELECT cached_definer()', 'alice'), '42501', 'a new owner who may not');
$node->safe_psql('postgres', 'ALTER FUNCTION cached_definer() OWNER TO CURRENT_USER;
	ALTER FUNCTION cached_definer() SECURITY INVOKER');
is(outcome('SELECT cached_definer()', 'alice'), '42501', 'security invoker now');

# views: the owner's rights, or with security_invoker the caller's
$node->safe_psql('postgres', q{CREATE VIEW v AS SELECT * FROM task; GRANT SELECT ON v TO alice;
	CREATE FUNCTION plain_view() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(hours) FROM v WHERE dept = 1';
	CREATE FUNCTION cached_view() RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours) FROM v WHERE dept = 1';});
sub agree_view
{
	my ($role, $value, $name) = @_;
	is(outcome('SELECT plain_view()', $role), $value, "$name: plain");
	is(outcome('SELECT cached_view()', $role), $value, "$name: cached") for 1 .. 2;
	return;
}
agree_view('alice', 18, 'view with its owner\'s rights');
agree_view('bob', '42501', 'view not granted');
$node->safe_psql('postgres', 'ALTER VIEW v SET (security_invoker = true)');
agree_view('alice', '42501', 'security_invoker view');
$node->safe_psql('postgres', 'GRANT SELECT ON task TO alice');
agree_view('alice', 18, 'security_invoker view, table granted');
$node->safe_psql('postgres', 'REVOKE SELECT ON v FROM alice');
agree_view('alice', '42501', 'view revoked');
$node->safe_psql('postgres', q{GRANT SELECT ON v TO alice, bob; REVOKE ALL ON task FROM alice;
	ALTER VIEW v RESET (security_invoker); ALTER VIEW v OWNER TO owner_role;});
agree_view('alice', '42501', 'the view\'s new owner may not read the table');
$node->safe_psql('postgres', q{GRANT SELECT ON task TO owner_role; ALTER TABLE task ENABLE ROW LEVEL SECURITY;
	DROP POLICY t ON task; CREATE POLICY o ON task TO owner_role USING (hours = 9);});
agree_view('alice', 9, 'row security of the view\'s owner');
is(outcome('SELECT cached_view()', 'NONE'), 9, 'of the view\'s owner for a superuser too');

# a schema that may no longer be used
$node->safe_psql('postgres', q{CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS a; GRANT SELECT ON s.t TO alice;
	GRANT USAGE ON SCHEMA s TO alice;
	CREATE FUNCTION cached_s() RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(a) FROM s.t';
	CREATE FUNCTION plain_s() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(a) FROM s.t';});
is(outcome('SELECT cached_s()', 'alice'), 1, 'schema granted') for 1 .. 2;
$node->safe_psql('postgres', 'REVOKE USAGE ON SCHEMA s FROM alice');
is(outcome("SELECT $_", 'alice'), '42501', "schema revoked: $_") for ('plain_s()', 'cached_s()');

done_testing();
