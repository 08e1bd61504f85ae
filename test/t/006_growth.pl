# Calls and writes, however many, leave a session's memory where it was after the first ten thousand.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $count = $ENV{AGGCACHE_LONG} ? 1_000_000 : 100_000;
my $node = new_node('main', conf => "autovacuum = off\nfsync = off\n");
fixture($node);
my $out = $node->safe_psql('postgres', qq{
	CREATE FUNCTION cached_rows(d int) RETURNS TABLE (id int, hours int) LANGUAGE cached_sql STABLE
		AS 'SELECT id, hours FROM task WHERE dept = d';
	CREATE FUNCTION used() RETURNS bigint LANGUAGE sql AS 'SELECT sum(used_bytes)::bigint FROM pg_backend_memory_contexts';
	CREATE FUNCTION rss() RETURNS bigint LANGUAGE sql AS
		'SELECT substring(pg_read_file(''/proc/'' || pg_backend_pid() || ''/status'', 0,
			10000) FROM ''RssAnon:\\s+(\\d+)'')::bigint * 1024';
	-- one transaction a turn: hits, own-write calls, misses, writes that abort
	CREATE PROCEDURE work(turns int) LANGUAGE plpgsql AS '
	DECLARE i int;
	BEGIN
		FOR i IN 1 .. turns LOOP
			UPDATE task SET hours = hours + 1 WHERE id = 1 + i % 9;
			IF i % 10 = 0 THEN PERFORM cached_hours(1); END IF;
			IF i % 3 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
			PERFORM cached_hours(1 + i % 3);
			PERFORM count(*) FROM cached_rows(1 + i % 3);
			PERFORM cached_hours(1 + i % 3);
			IF i % 1000 = 0 THEN
				BEGIN PERFORM 1 / (cached_hours(1) * 0); EXCEPTION WHEN division_by_zero THEN NULL; END;
			END IF;
		END LOOP;
	END';
	SET log_min_messages = fatal;
	CALL work(10000);
	SELECT used() AS used, rss() AS rss \\gset
	CALL work($count);
	SELECT used() - :used, rss() - :rss;
});
my ($used, $rss) = split /\|/, (split /\n/, $out)[-1];
note("after 10000 and $count more turns: contexts $used bytes, resident $rss bytes");
cmp_ok($used, '<', 256 * 1024, 'memory contexts did not grow');
cmp_ok($rss, '<', 2 * 1024 * 1024, 'nor did the resident memory');
same($node, 'cached_hours(1)', 'plain_hours(1)', $node->safe_psql('postgres', 'SELECT plain_hours(1)'),
	'and it is right');

# many keys: shared memory is fixed, the session keeps nothing of them
$out = $node->safe_psql('postgres', qq{
	SET log_min_messages = fatal;
	SELECT count(cached_hours(i)) FROM generate_series(1, 10000) i;
	SELECT used() AS used \\gset
	SELECT count(cached_hours(i)) FROM generate_series(1, $count) i;
	SELECT used() - :used;
});
cmp_ok((split /\n/, $out)[-1], '<', 256 * 1024, 'many keys');

# Tables that come and go, tracked and written.
my $tables = $ENV{AGGCACHE_LONG} ? 1500 : 200;
$out = $node->safe_psql('postgres', qq{
	SET log_min_messages = fatal;
	DO \$\$ BEGIN FOR i IN 1 .. $tables LOOP
		EXECUTE format('CREATE TABLE gone_%s (x int)', i);
		EXECUTE format('CREATE FUNCTION gone_%s() RETURNS bigint LANGUAGE cached_sql STABLE
			AS ''SELECT count(*) FROM public.gone_%s''', i, i);
		EXECUTE format('INSERT INTO gone_%s VALUES (1)', i);
		COMMIT;
		EXECUTE format('DROP FUNCTION gone_%s(); DROP TABLE gone_%s', i, i);
		COMMIT;
	END LOOP; END \$\$;
	SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'aggcache watched table';
});
cmp_ok((split /\n/, $out)[-1], '<=', 3, 'tables that were written and dropped leave nothing behind');
done_testing();
