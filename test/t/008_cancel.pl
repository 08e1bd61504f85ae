# Cancel, statement_timeout and terminate in the middle of a miss, while waiting for another's computation, and in
# writes.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main');
fixture($node);
# a computation waits in its middle while someone holds the table gate, a trigger while someone holds lock 1
$node->safe_psql('postgres', q{
	CREATE TABLE gate (a int);
	INSERT INTO gate VALUES (0);
	CREATE FUNCTION cached_slow(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours + a) FROM task, gate WHERE dept = d';
	CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
		IF current_setting(''test.pause'', true) = ''on'' THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
		RETURN NULL; END';
	CREATE TRIGGER zz_wait AFTER UPDATE ON task FOR EACH ROW EXECUTE FUNCTION wait();
	CREATE TRIGGER aa_wait AFTER UPDATE ON task FOR EACH ROW EXECUTE FUNCTION wait();
});
my @slow = ('cached_slow(1)', 'plain_hours(1)');
my $value = 18;

my %ends = (
	'cancel' => [ '', 'SELECT pg_cancel_backend(PID)', qr/canceling statement due to user request/ ],
	'timeout' => [ "SET statement_timeout = '1s';", 'SELECT 1', qr/canceling statement due to statement timeout/ ],
	'terminate' => [ '', 'SELECT pg_terminate_backend(PID)', qr/terminating connection/ ],
);
my %works = (
	'miss' => 'SELECT cached_slow(1);',
	'miss in a transaction that wrote' => 'SET test.pause = off; BEGIN; UPDATE task SET hours = -5 WHERE id = 4;
		SELECT cached_slow(1); COMMIT;',
	'trigger' => 'SET test.pause = on; UPDATE task SET hours = -1 WHERE id = 3;',
	'miss caught in a subtransaction' => 'DO $$BEGIN PERFORM cached_slow(1); EXCEPTION WHEN division_by_zero THEN NULL;
		END$$;',
);
for my $end (sort keys %ends)
{
	for my $work (sort keys %works)
	{
		my ($set, $act, $error) = @{ $ends{$end} };
		my $name = "$end, $work";
		# whatever was there has changed
		$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 3');
		$value++;
		my $holder = background($node, q{BEGIN; SELECT pg_advisory_xact_lock(1); LOCK TABLE gate;
			SET application_name = 'holder';
			SELECT pg_sleep(1000)});
		wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'holder'
			AND wait_event = 'PgSleep'}, 'the gate to close');
		my $session = background($node, "SET application_name = 'victim'; SET test.pause = on; $set $works{$work}");
		wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'victim'
			AND wait_event_type = 'Lock'}, "$name: the victim to wait") unless $end eq 'timeout';
		if ($end ne 'timeout')
		{
			$act =~ s/PID/pid/;
			$node->safe_psql('postgres', "$act FROM pg_stat_activity WHERE application_name = 'victim'");
		}
		my ($out, $err) = wait_background($session);
		like($err, $error, "$name: ended");
		$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = 'holder'});
		wait_background($holder);
		same($node, @slow, $value, "$name: right");
		same($node, @slow, $value, "$name: right again");
		is_hit($node, 'SELECT cached_slow(1)', "$name: cached");
		$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 3');
		$value++;
		same($node, @slow, $value, "$name: sees the next write");
	}
}
done_testing();
