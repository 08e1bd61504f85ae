# Redis that is away, full, read-only, not ready, refuses this user, or is reached badly: results are computed, no error
# is seen, each failure is counted, and the log has one line for each change.
use strict;
use warnings;
use AggcacheTest;
use FaultProxy;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

my $redis = RedisServer->start('unix');
my $node = new_node('main',
	conf => $redis->conf . "aggcache.store = 'redis'\nrestart_after_crash = on\naggcache.redis_ttl = '1h'\n");
fixture($node);
my @hours = ('cached_hours(1)', 'plain_hours(1)');
my $value = 18;
my $log_start;

sub counter { return $node->safe_psql('postgres', "SELECT $_[0] FROM aggcache.redis"); }
sub reset_log { $log_start = -s $node->logfile; return; }

sub logged
{
	my ($pattern) = @_;
	my $log = substr slurp_file($node->logfile), $log_start;
	return scalar(() = $log =~ /$pattern/g);
}

# Calls until Redis is tried again and answers, or takes a result again. What is not stored yet has to be.
sub wait_until_ready
{
	my ($what) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 6; SELECT cached_hours(1)');
		$value++;
		return pass("$what: used again") if counter(q{state || ' ' || writes}) eq 'ready ready';
		select(undef, undef, undef, 0.1);
	}
	return fail("$what: used again");
}
# the tasks with ids 3, 6 and 9 are those of department 1
$node->safe_psql('postgres', 'SELECT cached_hours(1)');

# COUNTER counts what makes the calls fail; many sessions, one line.
sub suffers
{
	my ($what, $counter, $line) = @_;
	my $before = counter($counter);
	$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 3');
	$value++;
	same($node, @hours, $value, "$what: right") for 1 .. 5;
	same($node, "cached_hours($_)", "plain_hours($_)", $node->safe_psql('postgres', "SELECT plain_hours($_)"),
		"$what: right for $_") for 2 .. 3;
	cmp_ok(counter($counter), '>', $before, "$what: counted as $counter");
	is(logged($line), 1, "$what: one line in the log");
	return;
}
my $unusable = qr/LOG:  could not use Redis for cached results/;
my $unwritable = qr/LOG:  could not store cached results in Redis/;

# ---- Killed, flushed ----------------------------------------------------------------------------------------------

reset_log();
$redis->kill;
suffers('killed', 'connection_errors', $unusable);
is(counter('state') =~ /unavailable|probing/, 1, 'the view says so');
is($node->safe_psql('postgres', q{SELECT ok FROM aggcache.health() WHERE "check" = 'redis'}), 'f', 'health() too');
cmp_ok(counter('skipped'), '>', 0, 'most calls did not try');
$redis->restart;
wait_until_ready('killed');
is(logged(qr/LOG:  Redis is used for cached results again/), 1, 'that is logged once');
is_hit($node, 'SELECT cached_hours(1)', 'and results are found');
is($node->safe_psql('postgres', q{SELECT ok FROM aggcache.health() WHERE "check" = 'redis'}), 't', 'health() agrees');

$redis->command('FLUSHALL');
is_computed($node, 'SELECT cached_hours(1)', 1, 'flushed: computed');
is_hit($node, 'SELECT cached_hours(1)', 'flushed: stored again');

# ---- Full, a replica, not ready -----------------------------------------------------------------------------------

reset_log();
$redis->command('CONFIG', 'SET', 'maxmemory', '1');
suffers('full', 'out_of_memory_errors', $unwritable);
is(counter('state'), 'ready', 'full: it can be read all the same');
$redis->command('CONFIG', 'SET', 'maxmemory', '0');
wait_until_ready('full');
is_hit($node, 'SELECT cached_hours(1)', 'full no more: found');
is(logged(qr/LOG:  cached results are stored in Redis again/), 1, 'full no more: one line');
is(logged($unusable), 0, 'full: no other line');

reset_log();
$redis->command('ACL', 'SETUSER', 'default', '-set');
suffers('it may not be written to', 'authentication_errors', $unwritable);
is(counter('state'), 'ready', 'it may not be written to: it can be read all the same');
is(logged($unusable), 0, 'it may not be written to: no other line, however often it is read');
$redis->command('ACL', 'SETUSER', 'default', '+set');
wait_until_ready('it may be written to again');

reset_log();
$redis->command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
$redis->command('CONFIG', 'SET', 'maxmemory', '1');
same($node, @hours, $value, 'evicting: right');
$redis->command('CONFIG', 'SET', 'maxmemory', '0');
wait_until_ready('evicting');

reset_log();
$redis->command('REPLICAOF', '127.0.0.1', '1');
suffers('a replica', 'read_only_errors', $unwritable);
is(counter('state'), 'ready', 'a replica: it can be read all the same');
reset_log();
$redis->command('CONFIG', 'SET', 'replica-serve-stale-data', 'no');
suffers('a replica without its master', 'not_ready_errors', $unusable);
$redis->command('CONFIG', 'SET', 'replica-serve-stale-data', 'yes');
$redis->command('REPLICAOF', 'NO', 'ONE');
wait_until_ready('a master again');

# ---- Loading ------------------------------------------------------------------------------------------------------

reset_log();
# it takes minutes for these, and answers in between
$redis->command('CONFIG', 'SET', 'rdbcompression', 'no');
$redis->command('EVAL', q{for i = 1, 3000 do redis.call('SET', 'filler' .. i, string.rep('x', 2000)) end}, '0');
$redis->command('SAVE');
$redis->kill;
my $config = slurp_file($redis->directory . '/redis.conf');
append_to_file($redis->directory . '/redis.conf',
	"key-load-delay 100000\nloading-process-events-interval-bytes 1024\n");
$redis->restart;
like($redis->command('GET', 'x'), qr/LOADING/, 'Redis is loading');
suffers('loading', 'not_ready_errors', $unusable);
$redis->kill;
unlink $redis->directory . '/redis/dump.rdb', $redis->directory . '/redis.conf';
append_to_file($redis->directory . '/redis.conf', $config);
$redis->restart;
wait_until_ready('loaded');

# ---- The user -----------------------------------------------------------------------------------------------------

my $guarded = RedisServer->start('acl');
my ($url) = $guarded->conf =~ /redis_url = '(.*)'/;
$node->append_conf('postgresql.conf', $guarded->conf);
$node->reload;
wait_for_query($node, "SELECT current_setting('aggcache.redis_url') = '$url'", 'the new URL');
wait_until_ready('an ACL user');
reset_log();
$guarded->command('ACL', 'SETUSER', 'pgcache', '-get');
suffers('no right to GET', 'authentication_errors', $unusable);
# A session that looks in vain, computes until Redis is due to be tried again, and could store its result then: that
# Redis takes it does not mean that it gives any.
$node->safe_psql('postgres', q{CREATE TABLE gate (a int); INSERT INTO gate VALUES (0);
	CREATE FUNCTION cached_slow(d int) RETURNS bigint LANGUAGE cached_sql STABLE
		AS 'SELECT sum(hours + a) FROM public.task, public.gate WHERE dept = d'});
my $first = hold($node, 'first', 'SELECT pg_advisory_xact_lock(1)');
# it knows the function before a lock is held that getting to know it would wait for
my $slow = background($node, q{SELECT cached_slow(2) > 0; SET application_name = 'slow';
	SELECT pg_advisory_lock(1) IS NULL; SELECT cached_slow(1) > 0});
wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'slow'
	AND wait_event = 'advisory'}, 'the session to know the function');
my $second = hold($node, 'second', 'LOCK TABLE gate');
release($node, 'first', $first);
wait_for_query($node, q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted},
	'the session to compute');
wait_for_query($node, 'SELECT retry_at < clock_timestamp() FROM aggcache.redis', 'Redis to be due');
release($node, 'second', $second);
is(join('', wait_background($slow)), "t\nf\nt", 'no right to GET: a result could be stored');
is(counter('state'), 'unavailable', 'no right to GET: which would not make Redis usable');
is(logged(qr/used for cached results again/), 0, 'no right to GET: nor would anybody be told so');
$guarded->command('ACL', 'SETUSER', 'pgcache', '+get');
wait_until_ready('a right regained');
reset_log();
$guarded->command('ACL', 'SETUSER', 'pgcache', 'resetpass');
$guarded->command('CLIENT', 'KILL', 'USER', 'pgcache');
suffers('a password no more right', 'authentication_errors', $unusable);
is(logged($unwritable), 0, 'a password no more right: no other line');
my $password = slurp_file($guarded->directory . '/password_file');
chomp $password;
$guarded->command('ACL', 'SETUSER', 'pgcache', ">$password");
wait_until_ready('right again');
reset_log();
rename $guarded->directory . '/password_file', $guarded->directory . '/moved';
$node->reload;
suffers('a password file that is gone', 'connection_errors', $unusable);
rename $guarded->directory . '/moved', $guarded->directory . '/password_file';
$node->reload;
same($node, @hours, $value, 'the file is back: right');
is(counter(q{state || ' ' || writes}), 'ready ready', 'the file is back: Redis is used at once');
is_hit($node, 'SELECT cached_hours(1)', 'and results are found');

# ---- Another configuration ----------------------------------------------------------------------------------------

# However long everyone has learned to stay away from what was configured, it says nothing of what is now.
sub use_url
{
	my ($wanted, @lines) = @_;
	$node->append_conf('postgresql.conf', join "\n", "aggcache.redis_url = '$wanted'", @lines, '');
	$node->reload;
	wait_for_query($node, "SELECT current_setting('aggcache.redis_url') = '$wanted'", "$wanted to be in force");
	return;
}
$url = 'unix://' . $redis->socket . '?db=1';
use_url('unix:///nowhere/redis.sock?db=1', q{aggcache.redis_password_file = ''});
wait_for_query($node, q{SELECT failures_in_a_row >= 4 FROM aggcache.redis, (SELECT cached_hours(1) AS h OFFSET 0) c
	WHERE h IS NOT NULL}, 'a Redis that is not there to be tried in vain, again and again');
reset_log();
use_url($url);
is(counter(q{state || ' ' || writes || ' ' || failures_in_a_row}), 'ready ready 0', 'another URL: the view says so');
same($node, @hours, $value, 'another URL: right');
is_hit($node, 'SELECT cached_hours(1)', 'another URL: used at once');
is(logged($unusable), 0, 'another URL: nothing more of the old one in the log');
is(logged(qr/LOG:  Redis is tried again for cached results, as its configuration has changed/), 1,
	'another URL: one line says why');

# ---- Connections --------------------------------------------------------------------------------------------------

my $proxy = FaultProxy->start($redis->socket);
use_url('unix://' . $proxy->address . '?db=1', q{aggcache.redis_timeout = '2s'},
	q{aggcache.redis_connect_timeout = '2s'});
wait_until_ready('by the proxy');
for my $fault ('drop', 'reset', 'refuse', 'blackhole', 'half', 'truncate 1', 'truncate 3', 'garble 7 1', 'delay 5000',
	'clog 10')
{
	reset_log();
	$proxy->mode($fault);
	suffers($fault, 'connection_errors + timeouts + protocol_errors + other_errors', $unusable);
	$proxy->mode('pass');
	wait_until_ready($fault);
	is_hit($node, q{SET aggcache.redis_timeout = '30s'; SET aggcache.redis_connect_timeout = '30s';
		SELECT cached_hours(1)}, "$fault: found afterwards");
}
# replies that answer other commands, and bytes altered here and there: right, whatever it is counted as
for my $fault ('lose', 'garble 1 400', 'garble 2 400', 'garble 3 200', 'truncate 60', 'truncate 200', 'random 1 3',
	'random 2 3')
{
	$proxy->mode($fault);
	for my $round (1 .. 4)
	{
		$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 9');
		$value++;
		is($node->safe_psql('postgres', q{SELECT count(*) FROM generate_series(1, 60) i
			WHERE cached_hours(1 + i % 3) IS DISTINCT FROM plain_hours(1 + i % 3)}), 0, "$fault: right $round");
	}
	$proxy->mode('pass');
	wait_until_ready($fault);
}
# one session: every wait for a reply that does not come begins a time in which no call waits
sub counters
{
	return split /\|/, $node->safe_psql('postgres', 'SELECT timeouts, skipped, failures_in_a_row FROM aggcache.redis');
}
my @before = counters();
$proxy->mode('blackhole');
$node->safe_psql('postgres', q{SET aggcache.redis_timeout = '1s'; SET aggcache.redis_connect_timeout = '1s';
	DO $$BEGIN
	FOR i IN 1 .. 300 LOOP
		PERFORM cached_hours(1 + i % 3), pg_sleep(0.01);
	END LOOP;
	END$$});
my @after = counters();
my $delayed = $after[0] - $before[0];
is($delayed, $after[2], 'one delayed call each time that Redis is tried');
cmp_ok($delayed, '>', 1, 'which it was more than once');
cmp_ok($after[1] - $before[1], '>=', 300 - $delayed, 'all other calls did not wait');
$proxy->mode('pass');
wait_until_ready('one delay each time');
my %harmed = $proxy->counts;
is(scalar(grep { $harmed{$_} } qw(drop reset blackhole half truncate garble delay lose clog)), 9,
	'all of that has happened');

# ---- Large values -------------------------------------------------------------------------------------------------

# What one of them meets is not what others meet; and it is stored if it has arrived.
$node->safe_psql('postgres', q{CREATE FUNCTION cached_huge(d int) RETURNS text LANGUAGE cached_sql STABLE
	AS 'SELECT string_agg(md5(i::text || d), $$$$) FROM public.task, generate_series(1, 100000) i WHERE dept = d'});
my $states = q{state || ' ' || writes || ' ' || failures_in_a_row};

sub huge
{
	my ($d) = @_;
	my ($length, $stored) = split /\n/, $node->safe_psql('postgres',
		qq{SET aggcache.max_entry_size = '32MB'; SET aggcache.redis_timeout = '1s'; SELECT length(cached_huge($d));
		SELECT stored, not_stored FROM aggcache.last_call()});
	is($length, 9600000, 'a large value: right');
	return $stored;
}
reset_log();
$node->safe_psql('postgres', 'SELECT cached_hours(2)');
my $timeouts = counter('timeouts');
$proxy->mode('slow', 30);
is(huge(1), 't|', 'slower than the timeout, but steady: stored');
is(counter($states), 'ready ready 0', 'slower than the timeout: Redis is used');
is(counter('timeouts'), $timeouts, 'slower than the timeout: which is none');
$proxy->mode('pass');
is_hit($node, q{SET aggcache.max_entry_size = '32MB'; SELECT length(cached_huge(1))}, 'slower than the timeout: found');
for my $d (2, 3, 2)
{
	$proxy->mode('clog', 1000000);
	is(huge($d), 'f|Redis did not take it in time', 'taken in part: not stored');
	is(counter($states), 'ready ready 0', 'taken in part: Redis is used');
	is_hit($node, 'SELECT cached_hours(2)', 'taken in part: by others');
}
is(counter('timeouts'), $timeouts + 3, 'taken in part: counted');
$proxy->mode('pass');
$redis->command('FLUSHALL');
$redis->command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
# less than the value takes there, 3.7 MB compressed: how much its buffer adds to it while it comes differs each time
$redis->command('CONFIG', 'SET', 'maxmemory', '3mb');
is(huge(3), 'f|Redis has no room for it', 'larger than Redis: not stored');
is(counter($states), 'ready ready 0', 'larger than Redis: others store');
$redis->command('CONFIG', 'SET', 'maxmemory', '0');
is(logged($unusable) + logged($unwritable), 0, 'large values: nothing in the log');

# ---- Invalidated while Redis is away ------------------------------------------------------------------------------

$node->safe_psql('postgres', 'SELECT cached_hours(d) FROM generate_series(1, 3) d');
$proxy->mode('refuse');
$node->safe_psql('postgres', q{SELECT aggcache.invalidate('cached_hours(int)', 2)});
$node->safe_psql('postgres', q{SELECT aggcache.invalidate_like('cached_h%')});
$proxy->mode('pass');
wait_until_ready('away while invalidating');
is_computed($node, 'SELECT cached_hours(2)', 1, 'what was invalidated while Redis was away is not used');

# ---- kill -9 ------------------------------------------------------------------------------------------------------

# in the middle of sending a value, of which Redis takes nothing
$node->safe_psql('postgres', q{CREATE FUNCTION cached_big(d int) RETURNS text LANGUAGE cached_sql STABLE
	AS 'SELECT string_agg(md5(i::text || d), $$$$) FROM public.task, generate_series(1, 20000) i WHERE dept = d'});
$node->append_conf('postgresql.conf',
	"aggcache.redis_timeout = '60s'\naggcache.redis_connect_timeout = '60s'\n");
$node->reload;
wait_for_query($node, q{SELECT current_setting('aggcache.redis_timeout') = '1min'}, 'the new setting');
for my $mode ('blackhole', 'half', 'clog 5000')
{
	$redis->command('FLUSHALL');
	$node->safe_psql('postgres', 'SELECT cached_hours(1)');
	$proxy->mode($mode);
	my ($harm) = split / /, $mode;
	my $before = { $proxy->counts }->{$harm} // 0;
	my $session = background($node, q{SET application_name = 'victim'; SELECT length(cached_big(1))});
	# what it waits for then does not come
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last if ({ $proxy->counts }->{$harm} // 0) > $before;
		select(undef, undef, undef, 0.1);
	}
	wait_for_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'victim'
		AND wait_event_type = 'Extension'}, 'the victim to wait for Redis');
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'victim'});
	kill_backend($node, $pid, $session);
	$proxy->mode('pass');
	is(counter('hits'), 0, "killed in $mode: counters begin anew");
	is_computed($node, 'SELECT cached_hours(1)', 1, "killed in $mode: no entry from before is used");
	same($node, @hours, $value, "killed in $mode: right");
	is_hit($node, 'SELECT cached_hours(1)', "killed in $mode: found again");
	is($node->safe_psql('postgres', 'SELECT length(cached_big(1))'), 3 * 20000 * 32, "killed in $mode: the big one")
		for 1 .. 2;
}
is(logged(qr/PANIC|TRAP/), 0, 'nothing else crashed');
done_testing();
