# Every way in which rows change is seen: what a writer changes is computed anew, what it does not change stays valid,
# and a session whose snapshot is from before the write goes on seeing what the plain query shows it.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "max_prepared_transactions = 10\nautovacuum = off\n");
fixture($node);

# ---- The old reader: one session that takes a snapshot before each write and looks again after it -------------------

my $old = $node->background_psql('postgres', on_error_stop => 0);
# the time that is allowed is a query's, not the session's
$old->set_query_timer_restart();

sub old_session { return $old->query_safe($_[0]); }

# The call of a key and its plain twin; %s is the key.
my %task = (cached => 'cached_hours(%s)', plain => 'plain_hours(%s)');

sub call
{
	my ($text, $key) = @_;
	return sprintf($text, $key);
}

# Runs SQL and checks what it does to the results of each key.
#   changed, kept  keys whose results it must, and must not, invalidate
#   fails          the SQL raises an error that matches
#   shape          other functions than those of the fixture
#   run            a sub to call in place of running the SQL
sub writer
{
	my ($name, $sql, %options) = @_;
	my %shape = %{ $options{shape} // \%task };
	my @changed = @{ $options{changed} // [] };
	my @kept = @{ $options{kept} // [] };
	my @keys = (@changed, @kept);
	my $all_equal = 'SELECT ' . join(' AND ',
		map { '(' . call($shape{cached}, $_) . ') IS NOT DISTINCT FROM (' . call($shape{plain}, $_) . ')' } @keys);
	my $calls = join('', map { 'SELECT ' . call($shape{cached}, $_) . ";\n" } @keys);

	# Anew for each case: whoever stores first after a rollback forgets the writer that rolled back, which costs the
	# older results under the same stamp. And no snapshot older than the latest write keeps these from being stored.
	$node->safe_psql('postgres', "SELECT aggcache.invalidate_all();\n$calls");
	my $warm = join('',
		map { 'SELECT ' . call($shape{cached}, $_) . ' IS NULL; SELECT result FROM aggcache.last_call();' } @keys);
	my $found = join(' ', grep { !/^[tf]$/ } split(/\n/, $node->safe_psql('postgres', $warm)));
	is($found, join(' ', ('hit') x @keys), "$name: cached before");

	old_session('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) > 0 FROM pg_class;');
	if ($options{run})
	{
		$options{run}->();
	}
	else
	{
		# the writer compares its own view before it commits
		my ($rc, $out, $err) = $node->psql('postgres', $sql =~ s/\bOWN_VIEW\b/$all_equal/gr,
			on_error_stop => $options{fails} ? 0 : 1);
		if ($options{fails})
		{
			like($err, $options{fails}, "$name: error");
		}
		else
		{
			is($err, '', "$name: no error");
		}
		is(join(' ', grep { $_ ne 't' } split(/\n/, $out)), '', "$name: own view") if $sql =~ /\bOWN_VIEW\b/;
	}
	is(old_session("$all_equal;"), 't', "$name: old snapshot");
	# What it may have stored is nothing for others.
	for my $key (@keys)
	{
		my ($cached, $plain) = (call($shape{cached}, $key), call($shape{plain}, $key));
		my $out = $node->safe_psql('postgres',
			"SELECT ($cached) IS NOT DISTINCT FROM ($plain); SELECT result, reason FROM aggcache.last_call();");
		my $reason = $out =~ s/\|(.*)// ? $1 : '';
		my $expected = (grep { $_ eq $key } @kept) ? 'hit' : 'miss';
		is($out, "t\n$expected", "$name: $key is a $expected, and right") or diag($reason);
	}
	is(old_session("$all_equal; COMMIT;"), 't', "$name: old snapshot, later");
	is($node->safe_psql('postgres', $all_equal), 't', "$name: right in the end");
	return;
}

# ---- COPY -----------------------------------------------------------------------------------------------------------

writer('COPY', "COPY task FROM stdin;\n101\t1\t10\n102\t1\t11\n\\.\n", changed => [1], kept => [ 2, 3 ]);
writer('COPY, own view', "BEGIN;\nCOPY task FROM stdin;\n103\t1\t10\n\\.\nOWN_VIEW;\nCOMMIT;", changed => [1],
	kept => [ 2, 3 ]);
writer('COPY that fails', "COPY task FROM stdin;\n104\t1\t10\n104\t1\t11\n\\.\n", kept => [ 1, 2 ],
	fails => qr/duplicate key/);
writer('COPY WHERE', "COPY task FROM stdin WHERE dept = 2;\n105\t1\t10\n106\t2\t11\n\\.\n", changed => [2],
	kept => [ 1, 3 ]);
writer('COPY FREEZE after TRUNCATE',
	"BEGIN;\nTRUNCATE task;\nCOPY task FROM stdin WITH (FREEZE);\n1\t1\t10\n2\t2\t20\n3\t3\t30\n\\.\nOWN_VIEW;\nCOMMIT;",
	changed => [ 1, 2, 3 ]);
writer('COPY FREEZE in a savepoint that is rolled back',
	"BEGIN;\nSAVEPOINT s;\nTRUNCATE task;\nCOPY task FROM stdin WITH (FREEZE);\n5\t1\t10\n\\.\nOWN_VIEW;\nROLLBACK TO s;\n"
	  . "OWN_VIEW;\nCOMMIT;",
	changed => [ 1, 2, 3 ]);

# A table that is created, cached and loaded frozen by one transaction: whoever has an older snapshot sees the rows.
old_session('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) > 0 FROM pg_class;');
$node->safe_psql('postgres', "BEGIN;
	CREATE TABLE fresh (id int, dept int, hours int);
	CREATE FUNCTION cached_fresh(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours) FROM public.fresh WHERE dept = d';
	SELECT cached_fresh(1);
	COPY fresh FROM stdin WITH (FREEZE);
1	1	7
2	2	8
\\.
	SELECT cached_fresh(1);
	COMMIT;");
my $fresh =
  'SELECT cached_fresh(1) IS NOT DISTINCT FROM (SELECT sum(hours) FROM fresh WHERE dept = 1), cached_fresh(1)';
is(old_session("$fresh;"), 't|7', 'COPY FREEZE into a new table: old snapshot');
is($node->safe_psql('postgres', $fresh), 't|7', 'COPY FREEZE into a new table: new snapshot');
is(old_session("$fresh; COMMIT;"), 't|7', 'COPY FREEZE into a new table: old snapshot, later');

# ---- INSERT, UPDATE, DELETE and MERGE in their variants -------------------------------------------------------------

$node->safe_psql('postgres', q{
	TRUNCATE task;
	INSERT INTO task SELECT i, 1 + i % 4, i FROM generate_series(1, 40) i;
	CREATE TABLE change (id int, dept int, hours int, action text);
	INSERT INTO change VALUES (4, 1, 100, 'update'), (8, 1, 0, 'delete'), (900, 1, 9, 'insert'), (5, 2, 1, 'nothing'),
		(901, 3, 1, 'nothing');
});
writer('MERGE', q{
	BEGIN;
	MERGE INTO task t USING change c ON t.id = c.id
		WHEN MATCHED AND c.action = 'delete' THEN DELETE
		WHEN MATCHED AND c.action = 'update' THEN UPDATE SET hours = c.hours
		WHEN MATCHED THEN DO NOTHING
		WHEN NOT MATCHED AND c.action = 'insert' THEN INSERT VALUES (c.id, c.dept, c.hours)
		WHEN NOT MATCHED THEN DO NOTHING;
	OWN_VIEW;
	COMMIT}, changed => [1], kept => [ 2, 3, 4 ]);
writer('MERGE that moves a row', q{
	MERGE INTO task t USING (VALUES (4, 2)) c (id, dept) ON t.id = c.id WHEN MATCHED THEN UPDATE SET dept = c.dept},
	changed => [ 1, 2 ], kept => [ 3, 4 ]);
writer('MERGE that does nothing', q{
	MERGE INTO task t USING change c ON t.id = c.id AND c.action = 'nothing' WHEN MATCHED THEN DO NOTHING},
	kept => [ 1, 2, 3, 4 ]);
writer('ON CONFLICT DO UPDATE', q{
	INSERT INTO task VALUES (4, 3, 50) ON CONFLICT (id) DO UPDATE SET hours = excluded.hours}, changed => [2],
	kept => [ 1, 3, 4 ]);
writer('ON CONFLICT DO UPDATE that moves a row', q{
	INSERT INTO task VALUES (4, 3, 50) ON CONFLICT (id) DO UPDATE SET dept = excluded.dept}, changed => [ 2, 3 ],
	kept => [ 1, 4 ]);
writer('ON CONFLICT DO UPDATE WHERE false', q{
	INSERT INTO task VALUES (4, 3, 50) ON CONFLICT (id) DO UPDATE SET dept = excluded.dept WHERE task.hours < 0},
	kept => [ 1, 2, 3, 4 ]);
writer('ON CONFLICT DO NOTHING', q{
	INSERT INTO task VALUES (4, 1, 50), (902, 4, 1) ON CONFLICT DO NOTHING}, changed => [4], kept => [ 1, 2, 3 ]);
writer('UPDATE FROM', q{UPDATE task SET hours = task.hours + c.hours FROM change c WHERE c.id = task.id AND c.id = 5},
	changed => [2], kept => [ 1, 3, 4 ]);
writer('DELETE USING', q{DELETE FROM task USING change c WHERE c.id = task.id AND c.id = 900}, changed => [1],
	kept => [ 2, 3, 4 ]);
writer('data-modifying CTEs', q{
	BEGIN;
	WITH gone AS (DELETE FROM task WHERE id = 6 RETURNING *), moved AS (UPDATE task SET hours = 0 WHERE id = 10)
	INSERT INTO task SELECT id + 1000, 1, hours FROM gone;
	OWN_VIEW;
	COMMIT}, changed => [ 1, 3 ], kept => [ 2, 4 ]);
writer('a data-modifying CTE below a SELECT', q{
	WITH gone AS (DELETE FROM task WHERE id = 1006 RETURNING *) SELECT count(*) < 0 FROM gone}, changed => [1],
	kept => [ 2, 3, 4 ]);
writer('WHERE CURRENT OF', q{
	BEGIN;
	DECLARE c CURSOR FOR SELECT * FROM task WHERE id IN (9, 14) ORDER BY id FOR UPDATE;
	MOVE 1 FROM c;
	UPDATE task SET hours = hours + 1 WHERE CURRENT OF c;
	OWN_VIEW;
	MOVE 1 FROM c;
	DELETE FROM task WHERE CURRENT OF c;
	OWN_VIEW;
	COMMIT}, changed => [ 2, 3 ], kept => [ 1, 4 ]);
writer('EXPLAIN ANALYZE', q{
	DO $$ BEGIN EXECUTE 'EXPLAIN (ANALYZE) UPDATE task SET hours = hours + 1 WHERE id = 9'; END $$}, changed => [2],
	kept => [ 1, 3, 4 ]);
writer('EXPLAIN without ANALYZE', q{
	DO $$ BEGIN EXECUTE 'EXPLAIN UPDATE task SET hours = hours + 1 WHERE id = 9'; END $$}, kept => [ 1, 2, 3, 4 ]);
writer('PREPARE and EXECUTE', q{
	PREPARE add(int, int) AS UPDATE task SET hours = hours + $2 WHERE id = $1; EXECUTE add(9, 3); EXECUTE add(13, 1)},
	changed => [2], kept => [ 1, 3, 4 ]);
writer('TRUNCATE that is rolled back', q{BEGIN; TRUNCATE task; OWN_VIEW; ROLLBACK}, kept => [ 1, 2, 3, 4 ]);
writer('a statement that fails half way', q{UPDATE task SET hours = 1 / (id - 12)}, kept => [ 1, 2, 3, 4 ],
	fails => qr/division by zero/);

# ---- PL/pgSQL: exception blocks, procedures that commit -------------------------------------------------------------

writer('an exception block that rolls back', q{
	DO $$
	BEGIN
		BEGIN
			UPDATE task SET hours = hours + 1 WHERE dept = 1;
			ASSERT cached_hours(1) = plain_hours(1);
			RAISE EXCEPTION 'undo';
		EXCEPTION WHEN raise_exception THEN
			ASSERT cached_hours(1) = plain_hours(1);
		END;
		UPDATE task SET hours = hours + 1 WHERE id = 9;
		ASSERT cached_hours(1) = plain_hours(1) AND cached_hours(2) = plain_hours(2);
	END $$}, changed => [ 1, 2 ], kept => [ 3, 4 ]);
writer('an exception block that is left in peace', q{
	DO $$
	BEGIN
		FOR i IN 1 .. 3 LOOP
			BEGIN
				UPDATE task SET hours = hours + i WHERE id = 9;
				IF i = 2 THEN RAISE EXCEPTION 'undo'; END IF;
			EXCEPTION WHEN raise_exception THEN NULL;
			END;
			ASSERT cached_hours(2) = plain_hours(2);
		END LOOP;
	END $$}, changed => [2], kept => [ 1, 3, 4 ]);
$node->safe_psql('postgres', q{
	CREATE PROCEDURE steps() LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 3 LOOP
			UPDATE task SET hours = hours + i WHERE id = 9;
			ASSERT cached_hours(2) = plain_hours(2);
			IF i = 2 THEN ROLLBACK; ELSE COMMIT; END IF;
			ASSERT cached_hours(2) = plain_hours(2);
			ASSERT cached_hours(2) = plain_hours(2);
		END LOOP;
	END $$;
	CREATE FUNCTION bump(which int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
	BEGIN UPDATE task SET hours = hours + 1 WHERE id = which; RETURN which; END $$;
});
writer('a procedure that commits and rolls back', 'CALL steps()', kept => [ 1, 3, 4 ]);
is($node->safe_psql('postgres', 'SELECT cached_hours(2) = plain_hours(2)'), 't', 'after the procedure');
writer('a function called by CREATE TABLE AS', 'BEGIN; CREATE TABLE made AS SELECT bump(9); OWN_VIEW; COMMIT',
	changed => [2], kept => [ 1, 3, 4 ]);
writer('a function called by SELECT INTO', 'SELECT bump(9) INTO TABLE made_too', changed => [2], kept => [ 1, 3, 4 ]);
writer('a function called by COPY TO', 'COPY (SELECT bump(9) < 0 WHERE bump(13) < 0) TO stdout', changed => [2],
	kept => [ 1, 3, 4 ]);

# ---- Foreign keys ---------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE TABLE dept (id int PRIMARY KEY);
	INSERT INTO dept SELECT generate_series(1, 9);
	CREATE TABLE member (id int PRIMARY KEY, dept int DEFAULT 9 REFERENCES dept ON DELETE CASCADE ON UPDATE CASCADE);
	CREATE FUNCTION cached_members(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT count(*) FROM public.member WHERE dept IS NOT DISTINCT FROM d AND dept = d';
	CREATE FUNCTION plain_members(d int) RETURNS bigint LANGUAGE sql STABLE
		AS 'SELECT count(*) FROM public.member WHERE dept = d';
	INSERT INTO member SELECT i, 1 + i % 8 FROM generate_series(1, 40) i;
});
my %member = (shape => { cached => 'cached_members(%s)', plain => 'plain_members(%s)' });
writer('ON DELETE CASCADE', 'BEGIN; DELETE FROM dept WHERE id = 1; OWN_VIEW; COMMIT', %member, changed => [1],
	kept => [ 2, 9 ]);
writer('ON UPDATE CASCADE', 'BEGIN; UPDATE dept SET id = 12 WHERE id = 2; OWN_VIEW; COMMIT', %member,
	changed => [ 2, 12 ], kept => [ 3, 9 ]);
my $constraint = 'ALTER TABLE member DROP CONSTRAINT member_dept_fkey,
	ADD CONSTRAINT member_dept_fkey FOREIGN KEY (dept) REFERENCES dept';
$node->safe_psql('postgres', "$constraint ON DELETE SET NULL ON UPDATE SET NULL");
writer('ON DELETE SET NULL', 'BEGIN; DELETE FROM dept WHERE id = 3; OWN_VIEW; COMMIT', %member, changed => [3],
	kept => [ 4, 9 ]);
writer('ON UPDATE SET NULL', 'UPDATE dept SET id = 14 WHERE id = 4', %member, changed => [4], kept => [ 5, 9, 14 ]);
$node->safe_psql('postgres', "$constraint ON DELETE SET DEFAULT ON UPDATE SET DEFAULT");
writer('ON DELETE SET DEFAULT', 'BEGIN; DELETE FROM dept WHERE id = 5; OWN_VIEW; COMMIT', %member, changed => [ 5, 9 ],
	kept => [ 6, 7 ]);
writer('ON UPDATE SET DEFAULT', 'UPDATE dept SET id = 16 WHERE id = 6', %member, changed => [ 6, 9 ],
	kept => [ 7, 16 ]);
writer('TRUNCATE CASCADE', 'SET client_min_messages = warning; BEGIN; TRUNCATE dept CASCADE; OWN_VIEW; COMMIT',
	%member, changed => [ 7, 9 ]);

# ---- User triggers, rules, views ------------------------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE TABLE log (id int, dept int);
	CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN UPDATE task SET hours = hours + 1 WHERE dept = NEW.dept AND id < 20; RETURN NULL; END $$;
	CREATE TRIGGER follow AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION follow();
});
writer('a trigger of another table', 'BEGIN; INSERT INTO log VALUES (1, 3); OWN_VIEW; COMMIT', changed => [3],
	kept => [ 1, 2, 4 ]);
$node->safe_psql('postgres', q{
	DROP TRIGGER follow ON log;
	CREATE CONSTRAINT TRIGGER follow AFTER INSERT ON log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
		EXECUTE FUNCTION follow()});
writer('a deferred trigger of another table', 'BEGIN; INSERT INTO log VALUES (2, 3); OWN_VIEW; COMMIT', changed => [3],
	kept => [ 1, 2, 4 ]);

$node->safe_psql('postgres', q{
	CREATE FUNCTION redirect() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF TG_OP = 'DELETE' OR NEW.hours < 0 THEN RETURN NULL; END IF;
		NEW.dept := 4;
		RETURN NEW;
	END $$;
	CREATE TRIGGER redirect BEFORE INSERT OR UPDATE OR DELETE ON task FOR EACH ROW EXECUTE FUNCTION redirect()});
writer('a BEFORE INSERT trigger that changes the key', 'INSERT INTO task VALUES (2001, 1, 1)', changed => [4],
	kept => [ 1, 2, 3 ]);
writer('a BEFORE UPDATE trigger that changes the key', 'UPDATE task SET hours = 7 WHERE id = 9', changed => [ 2, 4 ],
	kept => [ 1, 3 ]);
writer('a BEFORE trigger that suppresses the row',
	'INSERT INTO task VALUES (2002, 1, -1); UPDATE task SET hours = -1 WHERE id = 13; DELETE FROM task WHERE dept = 3',
	kept => [ 1, 2, 3, 4 ]);
writer('COPY with such a trigger', "COPY task FROM stdin;\n2003\t1\t10\n2004\t1\t-11\n\\.\n", changed => [4],
	kept => [ 1, 2, 3 ]);
$node->safe_psql('postgres', 'DROP TRIGGER redirect ON task');

$node->safe_psql('postgres', q{
	CREATE VIEW first AS SELECT id, dept, hours FROM task WHERE dept < 3 WITH CASCADED CHECK OPTION;
	CREATE VIEW joined AS SELECT t.id, t.dept, c.action FROM task t JOIN change c ON c.id = t.id;
	CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN UPDATE task SET dept = NEW.dept WHERE id = OLD.id; RETURN NEW; END $$;
	CREATE TRIGGER instead INSTEAD OF UPDATE ON joined FOR EACH ROW EXECUTE FUNCTION instead();
	CREATE TABLE ruled (id int, dept int);
	INSERT INTO ruled SELECT id, dept FROM task;
	CREATE RULE also AS ON DELETE TO ruled DO ALSO DELETE FROM task WHERE id = OLD.id;
	CREATE RULE other AS ON UPDATE TO ruled DO INSTEAD UPDATE task SET dept = NEW.dept WHERE id = OLD.id;
	CREATE RULE own AS ON INSERT TO ruled DO INSTEAD (INSERT INTO task VALUES (NEW.id, NEW.dept, 1); NOTIFY ruled)});
writer('an updatable view', 'BEGIN; UPDATE first SET hours = 3 WHERE id = 17; OWN_VIEW; COMMIT', changed => [2],
	kept => [ 1, 3, 4 ]);
writer('an updatable view that moves a row', 'UPDATE first SET dept = 1 WHERE id = 17', changed => [ 1, 2 ],
	kept => [ 3, 4 ]);
writer('a check option', 'UPDATE first SET dept = 4 WHERE id = 17', kept => [ 1, 2, 3, 4 ],
	fails => qr/violates check option/);
writer('INSERT and DELETE by an updatable view',
	'INSERT INTO first VALUES (3000, 2, 2); DELETE FROM first WHERE id = 17',
	changed => [ 1, 2 ], kept => [ 3, 4 ]);
writer('an INSTEAD OF trigger', 'BEGIN; UPDATE joined SET dept = 3 WHERE id = 5; OWN_VIEW; COMMIT', changed => [ 2, 3 ],
	kept => [ 1, 4 ]);
writer('a rule that does more', 'BEGIN; DELETE FROM ruled WHERE id = 18; OWN_VIEW; COMMIT', changed => [3],
	kept => [ 1, 2, 4 ]);
writer('a rule that does something else', 'BEGIN; UPDATE ruled SET dept = 1 WHERE id = 22; OWN_VIEW; COMMIT',
	changed => [ 1, 3 ], kept => [ 2, 4 ]);
writer('a rule in place of an INSERT', 'INSERT INTO ruled VALUES (3001, 4)', changed => [4], kept => [ 1, 2, 3 ]);

# ---- Keys that the server computes ----------------------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE TABLE computed (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n int,
		class int GENERATED ALWAYS AS (n % 3) STORED);
	INSERT INTO computed (n) SELECT generate_series(1, 30);
	CREATE FUNCTION cached_class(c int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(n) FROM public.computed WHERE class = c';
	CREATE FUNCTION plain_class(c int) RETURNS bigint LANGUAGE sql STABLE
		AS 'SELECT sum(n) FROM public.computed WHERE class = c';
	CREATE FUNCTION cached_row(i int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT n::bigint FROM public.computed WHERE id = i';
	CREATE FUNCTION plain_row(i int) RETURNS bigint LANGUAGE sql STABLE
		AS 'SELECT n::bigint FROM public.computed WHERE id = i'});
my %class = (shape => { cached => 'cached_class(%s)', plain => 'plain_class(%s)' });
my %row = (shape => { cached => 'cached_row(%s)', plain => 'plain_row(%s)' });
writer('a generated key of a new row', 'INSERT INTO computed (n) VALUES (100)', %class, changed => [1],
	kept => [ 0, 2 ]);
writer('a generated key that moves', 'BEGIN; UPDATE computed SET n = n + 1 WHERE n = 3; OWN_VIEW; COMMIT', %class,
	changed => [ 0, 1 ], kept => [2]);
writer('a generated key, by COPY', "COPY computed (n) FROM stdin;\n5\n\\.\n", %class, changed => [2], kept => [ 0, 1 ]);
my $next = $node->safe_psql('postgres', 'SELECT max(id) + 1 FROM computed');
writer('an identity key', 'INSERT INTO computed (n) VALUES (1)', %row, changed => [$next], kept => [ 1, 2 ]);
writer('an identity key that is overridden', 'INSERT INTO computed (id, n) OVERRIDING SYSTEM VALUE VALUES (777, 1)',
	%row, changed => [777], kept => [ 1, 2 ]);

# ---- Two phases -----------------------------------------------------------------------------------------------------

writer('PREPARE TRANSACTION', q{BEGIN; UPDATE task SET hours = hours + 1 WHERE id = 21; PREPARE TRANSACTION 'one'},
	kept => [ 1, 2, 3, 4 ]);
writer('COMMIT PREPARED', q{COMMIT PREPARED 'one'}, changed => [2], kept => [ 1, 3, 4 ]);
writer('ROLLBACK PREPARED', q{
	BEGIN; UPDATE task SET hours = hours + 1 WHERE id = 21; PREPARE TRANSACTION 'two'; ROLLBACK PREPARED 'two'},
	kept => [ 1, 2, 3, 4 ]);
writer('a prepared TRUNCATE that is rolled back', q{
	BEGIN; TRUNCATE task; PREPARE TRANSACTION 'three'; ROLLBACK PREPARED 'three'}, kept => [ 1, 2, 3, 4 ]);

# ---- Much at once ---------------------------------------------------------------------------------------------------

writer('a load below the threshold', 'INSERT INTO task SELECT i, i, i FROM generate_series(10001, 11000) i',
	kept => [ 1, 2, 3, 4 ]);
writer('a load beyond the threshold', 'BEGIN; SET LOCAL aggcache.bulk_threshold = 100;
	INSERT INTO task SELECT i, i, i FROM generate_series(11001, 12000) i; OWN_VIEW; COMMIT', changed => [ 1, 2, 3, 4 ]);
writer('a load that turns bulky late', 'SET aggcache.bulk_threshold = 100;
	INSERT INTO task SELECT i, CASE WHEN i < 12600 THEN i ELSE 1 END, i FROM generate_series(12001, 13000) i',
	changed => [ 1, 2 ]);

# ---- Triggers that are off ------------------------------------------------------------------------------------------

writer('session_replication_role', q{SET session_replication_role = replica; UPDATE task SET hours = 1 WHERE id = 21},
	changed => [2], kept => [ 1, 3, 4 ]);
writer('triggers disabled, written, enabled', q{
	BEGIN;
	ALTER TABLE task DISABLE TRIGGER aggcache_track;
	UPDATE task SET hours = 2 WHERE id = 21;
	OWN_VIEW;
	ALTER TABLE task ENABLE ALWAYS TRIGGER aggcache_track;
	OWN_VIEW;
	COMMIT}, changed => [ 1, 2, 3, 4 ]);

# pg_dump's restore of data alone turns all triggers off and on again; 'on again' is not how ours were.
my $dump = $node->basedir . '/task.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-a', '-t', 'public.task', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'DELETE FROM task WHERE id < 100');
writer('pg_restore --disable-triggers', '', changed => [ 1, 2, 3, 4 ], run => sub {
		$node->safe_psql('postgres', 'TRUNCATE task');
		$node->command_ok(
			[ 'pg_restore', '--data-only', '--disable-triggers', '-d', $node->connstr('postgres'), $dump ], 'pg_restore');
	});
writer('a write after pg_restore', 'UPDATE task SET hours = 77 WHERE id = 21', changed => [2], kept => [ 1, 3, 4 ]);

$old->quit;
done_testing();
