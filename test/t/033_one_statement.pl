# One statement, one definition: what other sessions change between the rows of a statement does not show in it, and no
# row is taken for one of another type. The next statement shows it.
use strict;
use warnings;
use AggcacheTest;
use PsqlSession;
use Test::More;

my $node = new_node('main', conf => "restart_after_crash = on\n");
my $setup = q{
	SET client_min_messages = warning;
	DROP EXTENSION IF EXISTS pg_aggcache CASCADE;
	DROP SCHEMA IF EXISTS s, other, elsewhere CASCADE;
	CREATE EXTENSION pg_aggcache;
	CREATE SCHEMA s; CREATE SCHEMA other; CREATE SCHEMA elsewhere;
	GRANT USAGE ON SCHEMA s, other TO PUBLIC;
	SET search_path = s;
	CREATE TABLE m (k int, v int); INSERT INTO m VALUES (1, 1);
	CREATE TABLE other.m (k int, v int); INSERT INTO other.m VALUES (1, 77);
	CREATE VIEW mv AS SELECT k, v FROM m;
	-- the second has the bytes of a pointer to a value that is elsewhere, if it is taken for a text
	CREATE TABLE src (k bigint, b bigint, c bigint);
	INSERT INTO src SELECT g, CASE g WHEN 1 THEN 257 ELSE 4702111234474983681 END, g FROM generate_series(1, 3) g;
	CREATE TYPE ct AS (k bigint, b text, c text);
	CREATE FUNCTION body(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) + x * 0 FROM m';
	CREATE FUNCTION of_view(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT sum(v) + x * 0 FROM mv';
	CREATE FUNCTION as_json(x int) RETURNS text LANGUAGE cached_sql STABLE
		AS 'SELECT json_agg(m)::text || left(x::text, 0) FROM m';
	CREATE FUNCTION view_as_json(x int) RETURNS text LANGUAGE cached_sql STABLE
		AS 'SELECT json_agg(mv)::text || left(x::text, 0) FROM mv';
	CREATE FUNCTION outer_of(x int) RETURNS bigint LANGUAGE cached_sql STABLE AS 'SELECT s.body(x) + sum(v) FROM s.m';
	CREATE FUNCTION calling(x int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT s.body(x) + min(b) FROM s.src';
	CREATE FUNCTION rows_of(x bigint) RETURNS SETOF ct LANGUAGE cached_sql STABLE
		AS 'SELECT k, b, c FROM src WHERE k = x';
	CREATE FUNCTION row_of(x bigint) RETURNS ct LANGUAGE cached_sql STABLE AS 'SELECT k, b, c FROM src WHERE k = x';
	CREATE FUNCTION in_table(x bigint) RETURNS TABLE (k bigint, b text, c text) LANGUAGE cached_sql STABLE
		AS 'SELECT k, b::text, c::text FROM src WHERE k = x';
	CREATE FUNCTION of_table(x bigint) RETURNS SETOF src LANGUAGE cached_sql STABLE
		AS 'SELECT * FROM src WHERE k = x';
	GRANT SELECT ON m, mv, src TO reader;
};
$node->safe_psql('postgres', 'CREATE ROLE reader');

sub connect_session
{
	my $session = PsqlSession->new('psql', '-d', $node->connstr('postgres'));
	$session->query("\\set ON_ERROR_STOP 0\n\\set VERBOSITY sqlstate\nSET search_path = s; SET lock_timeout = '180s';");
	return $session;
}

# Rows, or errors with their codes, as text.
sub answer
{
	my ($session, $sql) = @_;
	my @rows = eval { $session->query($sql) };
	return $@ ? "no answer: $@" : join(' ', map { join('|', @$_) } @rows);
}

# Opens a cursor over a query, fetches the first row, changes something in another session (or, with `own`, in this
# one), and fetches what follows. Options: first, then, next: the answers of the first row, of what follows, and of a
# new statement with the same query; texts or patterns. before: SQL before the cursor, in the transaction; warm: the
# query has been run before; fetch: how to take the first row; change: SQL; own: SQL.
sub between
{
	my ($name, $query, %o) = @_;
	# which may be recovering from what the case before has done
	wait_for_query($node, 'SELECT true', 'the server');
	$node->safe_psql('postgres', $setup);
	my $session = connect_session();
	answer($session, "BEGIN; $o{before} $query; COMMIT;") if $o{warm};
	answer($session, "BEGIN; $o{before} DECLARE c CURSOR FOR $query;");
	my $matches = sub {
		my ($got, $expected, $what) = @_;
		return ref $expected ? like($got, $expected, "$name: $what") : is($got, $expected, "$name: $what");
	};
	$matches->(answer($session, $o{fetch} // 'FETCH 1 FROM c;'), $o{first}, 'first row');
	$node->safe_psql('postgres', "SET client_min_messages = warning; SET search_path = s; SET lock_timeout = '180s';
		$o{change}") if $o{change};
	answer($session, $o{own}) if $o{own};
	$matches->(answer($session, 'FETCH ALL FROM c;'), $o{then}, 'rows after the change');
	answer($session, 'COMMIT;');
	$matches->(answer($session, "$query;"), $o{next}, 'a new statement') if defined $o{next};
	$session->finish;
	return;
}

sub both_ways
{
	my ($name, @rest) = @_;
	between($name, @rest, before => '');
	between("$name, results there", @rest, before => '', warm => 1);
	return;
}

# For changes that wait for the lock of a call that computes: a hit has none.
sub when_hit
{
	my ($name, @rest) = @_;
	between("$name, results there", @rest, before => '', warm => 1);
	return;
}

my $series = 'FROM generate_series(1, 3) g';
my $altered = 'ALTER TYPE ct ALTER ATTRIBUTE b TYPE bigint, ALTER ATTRIBUTE c TYPE bigint';
my $big = '4702111234474983681';
# PostgreSQL's own answers about a row whose type was altered within the statement
my $of_types = qr/ERROR:  (22P07|42804|55000)$/;

# the row type
both_ways('rows in FROM', "SELECT g, f.k, f.b, f.c $series, LATERAL rows_of(g) f", change => $altered,
	first => '1|1|257|1', then => "2|2|$big|2 3|3|$big|3", next => "1|1|257|1 2|2|$big|2 3|3|$big|3");
both_ways('rows in FROM, in a sub-select', "SELECT g, ARRAY(SELECT f.b FROM rows_of(g) f) $series", change => $altered,
	first => '1|{257}', then => "2|{$big} 3|{$big}", next => "1|{257} 2|{$big} 3|{$big}");
both_ways('rows in FROM, an attribute is dropped', "SELECT g, f.b $series, LATERAL rows_of(g) f",
	change => 'ALTER TYPE ct DROP ATTRIBUTE c', first => '1|257', then => "2|$big 3|$big");
both_ways('rows in FROM, an attribute is added', "SELECT g, f.b $series, LATERAL rows_of(g) f",
	change => 'ALTER TYPE ct ADD ATTRIBUTE d int', first => '1|257', then => "2|$big 3|$big");
both_ways('rows in FROM, before the first one', "SELECT g, f.b $series, LATERAL rows_of(g) f", change => $altered,
	fetch => 'SELECT 0;', first => '0', then => 'ERROR:  42804', next => "1|257 2|$big 3|$big");
both_ways('rows in the target list', "SELECT g, (rows_of(g)).b $series", change => $altered, first => '1|257',
	then => qr/^2\|$big 3\|$big$|$of_types/, next => "1|257 2|$big 3|$big");
both_ways('rows in the target list, one attribute', "SELECT g, (rows_of(g)).k $series", change => $altered,
	first => '1|1', then => qr/^2\|2 3\|3$|$of_types/, next => '1|1 2|2 3|3');
both_ways('a row in FROM', "SELECT g, f.k, f.b $series, LATERAL row_of(g) f", change => $altered,
	first => '1|1|257', then => qr/^2\|2\|$big 3\|3\|$big$|$of_types/, next => "1|1|257 2|2|$big 3|3|$big");
both_ways('a row in the target list', "SELECT g, (row_of(g)).b $series", change => $altered,
	first => '1|257', then => qr/^2\|$big 3\|$big$|$of_types/, next => "1|257 2|$big 3|$big");
both_ways('a row as it is', "SELECT g, row_of(g) $series", change => $altered,
	first => '1|(1,257,1)', then => qr/^2\|\(2,$big,2\) 3\|\(3,$big,3\)$|$of_types/,
	next => "1|(1,257,1) 2|(2,$big,2) 3|(3,$big,3)");
both_ways('mget', "SELECT g, r.b $series, LATERAL aggcache.mget('rows_of(bigint)', ARRAY[g::bigint])
	AS r(n bigint, k bigint, b text, c text)", change => $altered, first => '1|257',
	then => qr/^2\|$big 3\|$big$|$of_types/, next => qr/$of_types/);
when_hit('mget, the function is dropped', "SELECT g, r.b $series, LATERAL aggcache.mget('rows_of(bigint)',
	ARRAY[g::bigint]) AS r(n bigint, k bigint, b text, c text)", change => 'DROP FUNCTION rows_of(bigint)',
	first => '1|257', then => qr/ERROR:  42883$/, next => qr/ERROR:  42883$/);
both_ways('another function of the name', "SELECT g, f.b $series, LATERAL in_table(g) f",
	change => q{DROP FUNCTION in_table(bigint); CREATE FUNCTION in_table(x bigint) RETURNS TABLE (k bigint, b bigint)
		LANGUAGE cached_sql STABLE AS 'SELECT k, -b FROM src WHERE k = x'},
	first => '1|257', then => "2|$big 3|$big", next => "1|-257 2|-$big 3|-$big");

# the body
my $replaced = q{CREATE OR REPLACE FUNCTION body(x int) RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT 1000 + sum(v) + x * 0 FROM m'};
my $plain = $replaced =~ s/cached_sql/sql/r;
both_ways('replaced', "SELECT body(0) $series", change => $replaced, first => '1', then => '1 1',
	next => '1001 1001 1001');
both_ways('replaced, other arguments', "SELECT g, body(g) $series", change => $replaced, first => '1|1',
	then => '2|1 3|1', next => '1|1001 2|1001 3|1001');
both_ways('replaced by a function of another language', "SELECT g, body(g) $series", change => $plain, first => '1|1',
	then => '2|1 3|1', next => '1|1001 2|1001 3|1001');
both_ways('replaced, and used by others since', "SELECT g, body(g) $series",
	change => "$replaced; SELECT body(g) $series", first => '1|1', then => '2|1 3|1', next => '1|1001 2|1001 3|1001');
both_ways('replaced, and an own write follows', "SELECT g, body(g) $series", change => $replaced,
	own => 'INSERT INTO m VALUES (2, 10);', first => '1|1', then => '2|1 3|1', next => '1|1011 2|1011 3|1011');
both_ways('replaced, and the cache is switched off', "SELECT g, body(g) $series", change => $replaced,
	own => 'SET LOCAL aggcache.enabled = off;', first => '1|1', then => '2|1 3|1', next => '1|1001 2|1001 3|1001');
both_ways('replaced in the own transaction', "SELECT g, body(g) $series", own => "$replaced;", first => '1|1',
	then => '2|1 3|1', next => '1|1001 2|1001 3|1001');
both_ways('dropped', "SELECT g, body(g) $series", change => 'DROP FUNCTION body(int)', first => '1|1',
	then => '2|1 3|1', next => 'ERROR:  42883');
both_ways('renamed', "SELECT g, body(g) $series", change => 'ALTER FUNCTION body(int) RENAME TO renamed',
	first => '1|1', then => '2|1 3|1', next => 'ERROR:  42883');
when_hit('the extension is dropped', "SELECT g, body(g) $series", change => 'DROP EXTENSION pg_aggcache CASCADE',
	first => '1|1', then => qr/^2\|1 3\|1$|ERROR:  55000$/, next => 'ERROR:  42883');
when_hit('the extension is dropped and created', "SELECT g, body(g) $series",
	change => "DROP EXTENSION pg_aggcache CASCADE; CREATE EXTENSION pg_aggcache; $replaced",
	first => '1|1', then => qr/^2\|1 3\|1$|ERROR:  55000$/, next => '1|1001 2|1001 3|1001');
both_ways('search_path', "SELECT g, s.body(g) $series", own => 'SET LOCAL search_path = other;', first => '1|1',
	then => '2|1 3|1');
both_ways('search_path, and an own write follows', "SELECT g, s.body(g) $series",
	own => 'SET LOCAL search_path = other; INSERT INTO s.m VALUES (2, 10);', first => '1|1', then => '2|1 3|1');
# as in plain functions: what a body calls is looked up each time that the body is run
both_ways('the replaced function is called by the body', "SELECT g, outer_of(g) $series", change => $replaced,
	first => '1|2', then => qr/^2\|2 3\|2$|^2\|1002 3\|1002$/, next => '1|1002 2|1002 3|1002');
# so what it reads now is what counts, and if it cannot be analysed any more, its own error comes
when_hit('the called function\'s table is altered', "SELECT g, calling(g) $series",
	change => 'DROP VIEW mv; ALTER TABLE m ALTER v TYPE text', first => '1|258', then => 'ERROR:  42883',
	next => 'ERROR:  42883');
when_hit('the called function\'s table is dropped', "SELECT g, calling(g) $series", change => 'DROP TABLE m CASCADE',
	first => '1|258', then => 'ERROR:  42P01', next => 'ERROR:  42P01');

# what it reads
when_hit('replaced view', "SELECT g, of_view(g) $series",
	change => 'CREATE OR REPLACE VIEW mv AS SELECT k, v + 500 AS v FROM m', first => '1|1', then => '2|1 3|1',
	next => '1|501 2|501 3|501');
when_hit('dropped view', "SELECT g, of_view(g) $series", change => 'DROP VIEW mv', first => '1|1',
	then => qr/^2\|1 3\|1$|ERROR:  (55000|42P01)$/, next => 'ERROR:  42P01');
when_hit('another column', "SELECT g, body(g) $series", change => 'ALTER TABLE m ADD w int DEFAULT 7',
	first => '1|1', then => qr/^2\|1 3\|1$|ERROR:  55000$/, next => '1|1 2|1 3|1');
when_hit('dropped column', "SELECT g, body(g) $series", change => 'ALTER TABLE m DROP v CASCADE', first => '1|1',
	then => qr/^2\|1 3\|1$|^ERROR:  55000$/, next => 'ERROR:  42703');
when_hit('column of another type', "SELECT g, body(g) $series",
	change => 'DROP VIEW mv; ALTER TABLE m ALTER k TYPE text',
	first => '1|1', then => qr/^2\|1 3\|1$|^ERROR:  55000$/, next => '1|1 2|1 3|1');
# names that are part of the answer
when_hit('renamed column', "SELECT g, as_json(g) $series", change => 'ALTER TABLE m RENAME v TO w',
	first => '1|[{"k":1,"v":1}]', then => qr/^2\|\[\{"k":1,"v":1\}\] 3\|\[\{"k":1,"v":1\}\]$|^ERROR:  55000$/,
	next => '1|[{"k":1,"w":1}] 2|[{"k":1,"w":1}] 3|[{"k":1,"w":1}]');
when_hit('renamed column of a view', "SELECT g, view_as_json(g) $series", change => 'ALTER VIEW mv RENAME v TO w',
	first => '1|[{"k":1,"v":1}]', then => qr/^2\|\[\{"k":1,"v":1\}\] 3\|\[\{"k":1,"v":1\}\]$|^ERROR:  55000$/,
	next => '1|[{"k":1,"w":1}] 2|[{"k":1,"w":1}] 3|[{"k":1,"w":1}]');
when_hit('dropped table', "SELECT g, body(g) $series", change => 'DROP TABLE m CASCADE', first => '1|1',
	then => qr/^2\|1 3\|1$|^ERROR:  (55000|42P01)$/, next => 'ERROR:  42P01');
when_hit('another table of the name', "SELECT g, body(g) $series",
	change => 'ALTER TABLE m RENAME TO was; CREATE TABLE m (k text, v int, w int); INSERT INTO m VALUES (1, 5)',
	first => '1|1', then => qr/^2\|1 3\|1$|^ERROR:  55000$/, next => '1|5 2|5 3|5');
between('a lock that a savepoint gives back', "SELECT g, body(g) $series", before => '', warm => 1,
	fetch => 'SAVEPOINT a; FETCH 2 FROM c; ROLLBACK TO a;',
	# the lock may also be kept
	change => q{SET lock_timeout = '10ms'; DO $$BEGIN ALTER TABLE m DROP v CASCADE;
		EXCEPTION WHEN lock_not_available THEN NULL; END$$},
	first => '1|1 2|1', then => qr/^3\|1$|^ERROR:  55000$/);

# the rights
for my $warm (0, 1)
{
	my $results = $warm ? ', results there' : '';
	between("a right that is taken$results", "SELECT g, body(g) $series", before => 'SET LOCAL ROLE reader;',
		warm => $warm, change => 'REVOKE SELECT ON m FROM reader', first => '1|1', then => 'ERROR:  42501');
}
between('a policy', "SELECT g, body(g) $series", before => 'SET LOCAL ROLE reader;', warm => 1,
	change => 'ALTER TABLE m ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON m USING (false)',
	first => '1|1', then => qr/^2\|1 3\|1$|^ERROR:  55000$/);

# From the second row on the relations are locked as by the plain function: what would change them waits.
for my $change ('CREATE OR REPLACE VIEW mv AS SELECT k, v + 500 AS v FROM m', 'ALTER TABLE m ADD w int',
	'DROP TABLE m CASCADE', 'TRUNCATE m')
{
	$node->safe_psql('postgres', $setup);
	my $session = connect_session();
	answer($session, "SELECT of_view(0); BEGIN; DECLARE c CURSOR FOR SELECT of_view(0) $series;");
	is(answer($session, 'FETCH 2 FROM c;'), '1 1', "$change: the first rows");
	my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSET search_path = s;
		SET lock_timeout = '10ms'; $change");
	like($error, qr/55P03/, "$change waits");
	is(answer($session, 'FETCH ALL FROM c; COMMIT;'), '1', "$change: the last row");
	$session->finish;
}

# Rows of a table's own type are read by the caller after the call: the table is locked from the first one on, also by a
# hit, and as long as by the plain function.
for my $call ('q::text FROM generate_series(1, 3) g, LATERAL of_table(1) q',
	'q::text FROM generate_series(1, 3) g, LATERAL of_table(g) q', 'of_table(g)::text FROM generate_series(1, 3) g',
	'q::text FROM generate_series(1, 3) g, LATERAL one_of_table(1) q')
{
	for my $change ('ALTER TABLE src ALTER k TYPE text', 'ALTER TABLE src ADD d text', 'DROP TABLE src CASCADE')
	{
		$node->safe_psql('postgres', $setup . q{
			CREATE FUNCTION one_of_table(x bigint) RETURNS src LANGUAGE cached_sql STABLE
				AS 'SELECT * FROM src WHERE k = x';
			SELECT q FROM generate_series(1, 3) g, LATERAL of_table(g) q;
			SELECT one_of_table(1)});
		my $session = connect_session();
		answer($session, "BEGIN; DECLARE c CURSOR FOR SELECT $call;");
		is(answer($session, 'FETCH 1 FROM c;'), '(1,257,1)', "$call, $change: the first row");
		is(answer($session, 'SELECT result FROM aggcache.last_call();'), 'hit', "$call, $change: by a hit");
		my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSET search_path = s;
			SET lock_timeout = '10ms'; $change");
		like($error, qr/55P03/, "$call, $change: waits");
		like(answer($session, 'FETCH 1 FROM c; COMMIT;'), qr/^\(.,\d+,.\)$/, "$call, $change: the next row");
		$session->finish;
	}
}

# How a query writes a type as text is the query's business, also between two of its rows: what a session knows of the
# type is new as soon as it looks for news, as with each new lock. A cached call looks too. The plain function's query
# shows the same, or fails too.
for my $case (
	[ 'a label', q{same('red'::mood)}, q{ALTER TYPE mood RENAME VALUE 'red' TO 'crimson'}, 'red', 'crimson' ],
	[ 'a column', q{same((1, 'x')::pair)::text}, 'ALTER TYPE pair ADD ATTRIBUTE z int', '(1,x)', '(1,x,)' ],
	[ 'a row type', 'pair_of(1)::text', 'DROP TYPE pair CASCADE', '(1,x)', 'ERROR:  42704' ])
{
	my ($name, $call, $change, $first, $then) = @$case;
	# by which error the plain function's query fails depends on the version
	for my $language ($then =~ /ERROR/ ? 'cached_sql' : ('cached_sql', 'sql'))
	{
		$node->safe_psql('postgres', $setup . qq{
			CREATE TYPE mood AS ENUM ('red', 'green'); CREATE TYPE pair AS (k int, s text);
			CREATE FUNCTION same(x anyelement) RETURNS anyelement LANGUAGE $language STABLE
				AS 'SELECT x FROM m WHERE k = 1';
			CREATE FUNCTION pair_of(x int) RETURNS pair LANGUAGE $language STABLE
				AS 'SELECT k, ''x''::text FROM m WHERE k = x'; });
		my $session = connect_session();
		answer($session, "BEGIN; DECLARE c CURSOR FOR SELECT $call $series;");
		is(answer($session, 'FETCH 1 FROM c;'), $first, "$name of a $language function: first row");
		$node->safe_psql('postgres', "SET client_min_messages = warning; SET search_path = s; $change");
		# a lock that the session does not have yet
		answer($session, 'SELECT FROM src LIMIT 0;');
		is(answer($session, 'FETCH 1 FROM c;'), $then, "$name of a $language function: second row");
		$session->finish;
	}
}

# What a VOLATILE function changes by itself its next query shows, also in one loop.
$node->safe_psql('postgres', $setup . q{
	CREATE FUNCTION looping(new_body bool) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE result text = ''; i int;
	BEGIN
		FOR i IN 1 .. 3 LOOP
			result := result || ' ' || s.body(0) || ' ' || s.of_view(0);
			IF new_body THEN
				EXECUTE format('CREATE OR REPLACE FUNCTION s.body(x int) RETURNS bigint LANGUAGE cached_sql STABLE
					AS ''SELECT %s + sum(v) + x * 0 FROM s.m''', i * 1000);
				EXECUTE format('CREATE OR REPLACE VIEW s.mv AS SELECT k, v + %s AS v FROM s.m', i * 500);
			ELSE
				INSERT INTO s.m VALUES (1, 10);
			END IF;
		END LOOP;
		RETURN result;
	END$$});
is($node->safe_psql('postgres', 'SET search_path = s; SELECT looping(true)'), ' 1 1 1001 501 2001 1001',
	'a loop shows what it has replaced');
is($node->safe_psql('postgres', 'SET search_path = s; SELECT looping(false)'),
	' 3001 1501 3011 3011 3021 4521', 'a loop shows what it has written');

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/was terminated by signal|PANIC|TRAP:|invalid memory alloc|cache lookup failed/, 'nothing has crashed');

done_testing();
