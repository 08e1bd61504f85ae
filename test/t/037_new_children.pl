# Tables that are made for the rows that are inserted, as children of a tracked one: by an extension's own calls, by a
# trigger's statements, as partitions. They are tracked as their parent is from the moment on that they are there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use AggcacheTest;
use Cwd;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::system_or_bail('cp', (map { "$FindBin::Bin/../hooks/$_" } 'Makefile', 'growing.c'),
	$directory);
my $config = $ENV{PG_CONFIG} // 'pg_config';
PostgreSQL::Test::Utils::system_or_bail('make', '-s', '-C', $directory, "PG_CONFIG=$config", 'MODULES=growing');

my $node = new_node('growing');
$node->safe_psql('postgres', qq{
	CREATE EXTENSION pg_aggcache;
	CREATE ROLE writer;
	CREATE FUNCTION by_extension() RETURNS trigger LANGUAGE c AS '$directory/growing', 'grow';
	CREATE FUNCTION by_statement() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \$\$ BEGIN
		EXECUTE format('CREATE TABLE IF NOT EXISTS public.%I () INHERITS (public.%I)', TG_TABLE_NAME || '_' || NEW.part,
			TG_TABLE_NAME);
		EXECUTE format('INSERT INTO public.%I SELECT (\$1).*', TG_TABLE_NAME || '_' || NEW.part) USING NEW;
		RETURN NULL; END \$\$;
	CREATE FUNCTION by_statement_inherit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \$\$
		DECLARE child text = TG_TABLE_NAME || '_' || NEW.part; BEGIN
		IF to_regclass('public.' || child) IS NULL THEN
			EXECUTE format('CREATE TABLE public.%I (LIKE public.%I)', child, TG_TABLE_NAME);
			EXECUTE format('CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON public.%I FOR EACH ROW '
				'EXECUTE FUNCTION aggcache.track_row()', child);
			EXECUTE format('INSERT INTO public.%I SELECT (\$1).*', child) USING NEW;
			EXECUTE format('ALTER TABLE public.%I INHERIT public.%I', child, TG_TABLE_NAME);
		ELSE
			EXECUTE format('INSERT INTO public.%I SELECT (\$1).*', child) USING NEW;
		END IF;
		RETURN NULL; END \$\$;
	CREATE FUNCTION make_partition(p int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS \$\$ BEGIN
		EXECUTE format('CREATE TABLE public.partitioned_%s PARTITION OF public.partitioned FOR VALUES IN (%s)', p, p);
		END \$\$;
	GRANT CREATE ON SCHEMA public TO PUBLIC;
	CREATE TABLE partitioned (part int, k int, v int) PARTITION BY LIST (part);
});
for my $kind (qw(by_extension by_statement by_statement_inherit))
{
	$node->safe_psql('postgres', qq{
		CREATE TABLE $kind (part int, k int, v int);
		CREATE TRIGGER route BEFORE INSERT ON $kind FOR EACH ROW EXECUTE FUNCTION $kind()});
}
for my $kind (qw(by_extension by_statement by_statement_inherit partitioned))
{
	my $new = sub { $kind eq 'partitioned' ? "SELECT make_partition($_[0]);" : '' };
	$node->safe_psql('postgres', $new->(1) . qq{
		GRANT INSERT, UPDATE, SELECT ON $kind TO writer;
		INSERT INTO $kind SELECT 1, i % 3, i FROM generate_series(1, 9) i;
		CREATE FUNCTION cached_$kind(x int) RETURNS bigint LANGUAGE cached_sql STABLE
			AS 'SELECT sum(v) FROM $kind WHERE k = x';
		CREATE FUNCTION plain_$kind(x int) RETURNS bigint LANGUAGE sql STABLE
			AS 'SELECT sum(v) FROM $kind WHERE k = x';
		ALTER DEFAULT PRIVILEGES GRANT INSERT, UPDATE, SELECT ON TABLES TO writer;});
	my @sum = ("cached_$kind(1)", "plain_$kind(1)");
	same($node, @sum, 12, "$kind: at first") for 1 .. 2;
	is_hit($node, "SELECT cached_$kind(1)", "$kind: hits");
	# a new child with a row, seen by the writer's own transaction, and by a reader from before
	my $reader = $node->background_psql('postgres');
	$reader->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT cached_$kind(1)");
	$node->safe_psql('postgres', 'SET ROLE writer; BEGIN; ' . $new->(2) . qq{INSERT INTO $kind VALUES (2, 1, 100);
		DO \$\$ BEGIN ASSERT cached_$kind(1) = 112, 'own row'; END \$\$; INSERT INTO $kind VALUES (2, 1, 1000); COMMIT});
	is($reader->query_safe("SELECT cached_$kind(1)"), 12, "$kind: an old snapshot");
	$reader->query_safe('COMMIT');
	$reader->quit;
	same($node, @sum, 1112, "$kind: a new child") for 1 .. 2;
	is_hit($node, "SELECT cached_$kind(1)", "$kind: hits with the new child");
	$node->safe_psql('postgres', "SET ROLE writer; INSERT INTO $kind VALUES (2, 1, 10000)");
	same($node, @sum, 11112, "$kind: a row of the new child") for 1 .. 2;
	$node->safe_psql('postgres', "SET ROLE writer; INSERT INTO $kind VALUES (2, 2, 1)");
	is_hit($node, "SELECT cached_$kind(1)", "$kind: another key leaves it");
	$node->safe_psql('postgres', "UPDATE $kind SET v = v + 1 WHERE part = 2 AND k = 1");
	same($node, @sum, 11115, "$kind: an UPDATE in the new child") for 1 .. 2;
	$node->safe_psql('postgres', 'SET ROLE writer; BEGIN; ' . $new->(3) . "INSERT INTO $kind VALUES (3, 1, 5); ROLLBACK");
	same($node, @sum, 11115, "$kind: one that is rolled back") for 1 .. 2;
	$node->safe_psql('postgres', $new->(4) . "INSERT INTO $kind VALUES (4, 1, 5); TRUNCATE ${kind}_2");
	same($node, @sum, 17, "$kind: another one; one is emptied") for 1 .. 2;
	is_hit($node, "SELECT cached_$kind(1)", "$kind: hits at the end");
}

# attach() by hand covers the children that are there, or says why not, and those that come
$node->safe_psql('postgres', q{
	CREATE TABLE p (part int, k int); CREATE TABLE p_1 () INHERITS (p); CREATE TABLE p_2 () INHERITS (p_1);
	CREATE TABLE p_3 () INHERITS (p); ALTER TABLE p_3 OWNER TO writer;
	SELECT aggcache.attach('p'); CREATE TABLE p_4 () INHERITS (p);});
is($node->safe_psql('postgres', q{SELECT string_agg(relation::text || tracked, ' ' ORDER BY relation::text)
	FROM aggcache.tables WHERE relation::text ~ '^p(_\d)?$'}), 'ptrue p_1true p_2true p_3true p_4true',
	'all are attached');
$node->safe_psql('postgres', q{CREATE FUNCTION any_p(anyelement) RETURNS bigint LANGUAGE cached_sql STABLE
	AS 'SELECT count(*) FROM p WHERE k = 1'; ALTER TABLE p_2 DISABLE TRIGGER USER});
like($node->safe_psql('postgres', 'SELECT any_p(1); SELECT result, reason FROM aggcache.last_call()'),
	qr/uncached\|.*p_2 are disabled/, 'a child is broken');
$node->safe_psql('postgres', q{SELECT aggcache.attach('p'); SELECT any_p(1)});
is_hit($node, 'SELECT any_p(1)', 'attach() puts it right');
my ($rc, $out, $err) = $node->psql('postgres', q{ALTER TABLE p OWNER TO writer; ALTER TABLE p_1 OWNER TO writer;
	SET ROLE writer; SELECT aggcache.attach('p')});
like($err, qr/permission denied for table p_/, 'or says why it cannot');

done_testing();
