# SERIALIZABLE: in every interleaving cached functions give the answers, and the failures, that plain ones give.
use strict;
use warnings;
use AggcacheTest;
use File::Basename;
use PostgreSQL::Test::Utils;
use Test::More;

my $tester = dirname($ENV{PG_REGRESS}) . '/../isolation/isolationtester';
plan skip_all => 'no isolationtester' unless -x $tester;

my $node = new_node('main', conf => "max_prepared_transactions = 10\n");
$node->safe_psql('postgres', 'CREATE EXTENSION pg_aggcache; CREATE TABLE hits (hits bigint)');

# Runs a spec in which F_ stands for the functions' prefix and LANG for their language. (Prefixes are of equal length:
# columns are as wide as their names.) Without permutations of its own
# it is run in all interleavings.
sub run_spec
{
	my ($spec, $prefix, $language, $options) = @_;
	$spec =~ s/F_/${prefix}_/g;
	$spec =~ s/\bLANG\b/$language/g;
	my ($out, $err) = ('', '');
	local $ENV{PGOPTIONS} = $options // '';
	IPC::Run::run([ $tester, $node->connstr('postgres') ], '<', \$spec, '>', \$out, '2>', \$err)
	  or die "isolationtester failed: $err";
	$out =~ s/${prefix}_/F_/g;
	return $out;
}

sub hits { return $node->safe_psql('postgres', 'SELECT coalesce(sum(hits), 0) FROM hits'); }

sub permutations { return scalar(() = $_[0] =~ /^starting permutation/mg); }
sub failures { return scalar(() = $_[0] =~ /could not serialize/g); }

my %plain;

sub same_as_plain
{
	my ($name, $spec, $options) = @_;
	$plain{$name} = run_spec($spec, 'direct', 'sql', $options);
	my $before = hits();
	my $cached = run_spec($spec, 'cached', 'cached_sql', $options);
	my ($permutations, $failures, $hits) = (permutations($cached), failures($cached), hits() - $before);
	note("$name: $permutations permutations, $failures failures, $hits hits");
	ok($cached eq $plain{$name}, "$name: as the plain functions in $permutations permutations")
	  or show_difference($plain{$name}, $cached);
	cmp_ok($failures, '>', 0, "$name: some fail");
	cmp_ok($hits, '>=', $permutations, "$name: with hits");
	return;
}

my $is_debug = $node->safe_psql('postgres',
	q{SELECT count(*) FROM pg_settings WHERE name = 'aggcache.debug_skip_serializable'});

# Leaving a step out must show.
sub differs
{
	my ($name, $spec, $step) = @_;
	SKIP:
	{
		skip 'not a debug build', 1 unless $is_debug;
		shows_less($name, $spec, $step);
	}
	return;
}

sub shows_less
{
	my ($name, $spec, $step) = @_;
	my $cached = run_spec($spec, 'cached', 'cached_sql', "-c aggcache.debug_skip_serializable=$step");
	$plain{$name} //= run_spec($spec, 'direct', 'sql');
	cmp_ok(failures($cached), '<', failures($plain{$name}), "$name: without $step there are fewer failures");
	return;
}

sub show_difference
{
	my @plain = split /^(?=starting)/m, $_[0];
	my @cached = split /^(?=starting)/m, $_[1];
	my $shown = 0;
	for my $i (0 .. $#plain)
	{
		next if $plain[$i] eq ($cached[$i] // '');
		diag("plain:\n$plain[$i]\ncached:\n" . ($cached[$i] // ''));
		last if ++$shown == 2;
	}
	return;
}

# ---- Write skew -----------------------------------------------------------------------------------------------------

my $classes = q{
setup
{
  CREATE TABLE mytab (class int, value int);
  INSERT INTO mytab VALUES (1, 10), (1, 20), (2, 100), (2, 200);
}
setup
{
  CREATE FUNCTION F_sum(c int) RETURNS int LANGUAGE LANG STABLE
    AS 'SELECT sum(value)::int FROM mytab WHERE class = c';
}
setup { SELECT F_sum(1), F_sum(2); }
teardown
{
  INSERT INTO hits SELECT hits FROM aggcache.stats;
  DROP FUNCTION F_sum(int); DROP TABLE mytab;
}
};

my $skew = $classes . q{
session s1
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r1 { SELECT F_sum(1); }
step w1 { INSERT INTO mytab VALUES (2, 1); }
step c1 { COMMIT; }
session s2
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r2 { SELECT F_sum(2); }
step w2 { INSERT INTO mytab VALUES (1, 2); }
step x2 { SELECT F_sum(1), F_sum(2); }
step c2 { COMMIT; }
};
same_as_plain('write skew', $skew);

# hits in parallel workers
my $setting = $node->safe_psql('postgres', 'SHOW server_version_num') >= 160000 ? 'debug_parallel_query'
  : 'force_parallel_mode';
(my $parallel = $skew) =~ s/STABLE/STABLE PARALLEL SAFE/;
$parallel =~ s/^setup \{ SELECT/setup { SET $setting = off; SELECT/m;
same_as_plain('write skew read by parallel workers', $parallel, "-c $setting=on");

same_as_plain('write skew by UPDATE, DELETE and savepoints', $classes . q{
session s1
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r1 { SELECT F_sum(1); }
step w1 { SAVEPOINT a; UPDATE mytab SET value = value + 1 WHERE value = 100; RELEASE a; }
step c1 { COMMIT; }
session s2
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r2 { SAVEPOINT a; SELECT F_sum(2); ROLLBACK TO a; }
step w2 { DELETE FROM mytab WHERE value = 10; }
step c2 { COMMIT; }
});

same_as_plain('write skew by prepared transactions', $classes . q{
session s1
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r1 { SELECT F_sum(1); }
step w1 { INSERT INTO mytab VALUES (2, 1); }
step p1 { PREPARE TRANSACTION 's1'; }
step c1 { COMMIT PREPARED 's1'; }
session s2
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r2 { SELECT F_sum(2); }
step w2 { INSERT INTO mytab VALUES (1, 2); }
step c2 { COMMIT; }
});

# through a foreign key
same_as_plain('write skew by a cascade', q{
setup
{
  CREATE TABLE department (id int PRIMARY KEY);
  CREATE TABLE task (dept int REFERENCES department ON UPDATE CASCADE ON DELETE CASCADE, hours int);
  CREATE TABLE note (hours int);
  INSERT INTO department VALUES (1), (2);
  INSERT INTO task VALUES (1, 10), (2, 20);
}
setup
{
  CREATE FUNCTION F_hours() RETURNS bigint LANGUAGE LANG STABLE AS 'SELECT sum(hours) FROM task WHERE dept < 3';
  CREATE FUNCTION F_notes() RETURNS bigint LANGUAGE LANG STABLE AS 'SELECT count(*) FROM note';
}
setup { SELECT F_hours(), F_notes(); }
teardown
{
  INSERT INTO hits SELECT hits FROM aggcache.stats;
  DROP FUNCTION F_hours(), F_notes(); DROP TABLE task, department, note;
}
session s1
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r1 { SELECT F_notes(); }
step w1 { UPDATE department SET id = 3 WHERE id = 1; }
step c1 { COMMIT; }
session s2
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r2 { SELECT F_hours(); }
step w2 { INSERT INTO note VALUES (30); }
step c2 { COMMIT; }
});

# ---- Three transactions ---------------------------------------------------------------------------------------------

# A report of a closed day's receipts, to which one is added later: src/test/isolation/specs/receipt-report.spec of
# PostgreSQL. The report only reads, and is part of the anomaly.
for my $mode ('READ WRITE', 'READ ONLY')
{
	same_as_plain("receipt report, $mode", qq{
setup
{
  CREATE TABLE ctl (deposit_no int NOT NULL);
  INSERT INTO ctl VALUES (1);
  CREATE TABLE receipt (receipt_no int NOT NULL, deposit_no int NOT NULL, amount int NOT NULL);
  INSERT INTO receipt VALUES (1, 1, 10), (2, 1, 20);
}
setup
{
  CREATE FUNCTION F_deposit() RETURNS int LANGUAGE LANG STABLE AS 'SELECT max(deposit_no) FROM ctl';
  CREATE FUNCTION F_receipts(d int) RETURNS SETOF receipt LANGUAGE LANG STABLE
    AS 'SELECT * FROM receipt WHERE deposit_no = d ORDER BY receipt_no';
}
setup { SELECT F_deposit(); SELECT * FROM F_receipts(1); }
teardown
{
  INSERT INTO hits SELECT hits FROM aggcache.stats;
  DROP FUNCTION F_deposit(), F_receipts(int); DROP TABLE ctl, receipt;
}
session s1
setup     { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step rxwy { INSERT INTO receipt VALUES (3, (SELECT F_deposit()), 40); }
step c1   { COMMIT; }
session s2
setup     { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step wx   { UPDATE ctl SET deposit_no = 2; }
step c2   { COMMIT; }
session s3
setup     { BEGIN ISOLATION LEVEL SERIALIZABLE $mode; }
step rx   { SELECT F_deposit(); }
step ry   { SELECT * FROM F_receipts(1); }
step c3   { COMMIT; }
});
}

# ---- Every step is needed -------------------------------------------------------------------------------------------

differs('write skew', $skew, $_) for 'read_lock', 'conflict_out', 'intent';

# The second one reads and commits after the first has changed a row, before the tracking trigger fires.
my $gate = $classes;
$gate =~ s{DROP TABLE mytab;}{DROP TABLE mytab; DROP FUNCTION gate();};
$gate =~ s{^teardown}{setup
{
  CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
  CREATE TRIGGER aaa AFTER INSERT ON mytab FOR EACH ROW WHEN (NEW.class = 2) EXECUTE FUNCTION gate();
}
teardown}m;
$gate .= q{
session g
step warm  { SELECT F_sum(1), F_sum(2); }
step close { SELECT pg_advisory_lock(1); }
step open  { SELECT pg_advisory_unlock(1); }
session s1
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r1 { SELECT F_sum(1); }
step w1 { INSERT INTO mytab VALUES (2, 1); }
step c1 { COMMIT; }
session s2
setup   { BEGIN ISOLATION LEVEL SERIALIZABLE; }
step r2 { SELECT F_sum(2); }
step w2 { INSERT INTO mytab VALUES (1, 2); }
step c2 { COMMIT; }
permutation warm close r1 w1 r2 w2 c2 open(w1) c1
permutation warm close r1 w1 r2 open(w1) w2 c1 c2
};
# as many fail, though not at the same statement
$plain{gate} = run_spec($gate, 'direct', 'sql');
is(failures(run_spec($gate, 'cached', 'cached_sql')), failures($plain{gate}), 'between a change and its trigger');
is(failures($plain{gate}), 2, 'where plain functions fail');
differs('gate', $gate, 'conflict_in');

done_testing();
