# What others put into Redis is not used; what must not be known of it is not shown.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

my $redis = RedisServer->start('unix');
my $node = new_node('main', conf => $redis->conf . "aggcache.store = 'redis'\n");
fixture($node);
my @hours = ('cached_hours(1)', 'plain_hours(1)');
my $value = 18;

sub counter { return $node->safe_psql('postgres', "SELECT $_[0] FROM aggcache.redis"); }

sub reload
{
	my ($setting, $text) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET aggcache.$setting = '$text'");
	$node->reload;
	# sessions that come later start from what the postmaster has read
	wait_for_query($node, "SELECT current_setting('aggcache.$setting') = '$text'", 'the new setting');
	return;
}

# The keys of cached_hours(1), (2), (3) of this start.
sub keys_of_hours
{
	$redis->command('FLUSHALL');
	my @found;
	for my $d (1 .. 3)
	{
		my %before = map { $_ => 1 } split /\n/, $redis->command('KEYS', '*');
		$node->safe_psql('postgres', "SELECT cached_hours($d)");
		push @found, grep { !$before{$_} } split /\n/, $redis->command('KEYS', '*');
	}
	return @found;
}

# Checks that what is planted under the key of cached_hours(1) is not used, and that this is counted as COUNTER.
sub is_not_used
{
	my ($counter, $name) = @_;
	my $before = counter($counter);
	same($node, @hours, $value, "$name: right");
	cmp_ok(counter($counter), '>', $before, "$name: counted as $counter");
	is_hit($node, 'SELECT cached_hours(1)', "$name: replaced by a result");
	return;
}

sub plant_values
{
	my ($with, $other, $altered) = @_;
	my ($one, $two) = keys_of_hours();
	$redis->command('COPY', $two, $one, 'REPLACE');
	is_not_used($other, "$with: the value of another key");

	my $size = $redis->command('STRLEN', $one);
	my %at = map { $_ => 1 } 0 .. 15, $size - 40, $size - 33, $size - 8, $size - 1, map { int($size * $_ / 16) } 1 .. 15;
	for my $offset (sort { $a <=> $b } keys %at)
	{
		$redis->command('COPY', $one, 'kept', 'REPLACE');
		my $byte = $redis->command('GETRANGE', $one, $offset, $offset);
		$redis->command('SETRANGE', $one, $offset, $byte eq 'A' ? 'B' : 'A');
		same($node, @hours, $value, "$with: byte $offset altered");
	}
	$redis->command('SETRANGE', $one, int($size / 2), 'XXXX');
	is_not_used($altered, "$with: altered");
	$redis->command('SET', $one, '');
	is_not_used($altered, "$with: empty");
	$redis->command('APPEND', $one, 'x');
	is_not_used($altered, "$with: longer");
	$redis->command('SET', $one, 'x' x 5000);
	is_not_used($with eq 'secret' ? 'unauthentic' : 'foreign_values', "$with: no result at all");
	my $errors = counter('other_errors');
	$redis->command('DEL', $one);
	$redis->command('LPUSH', $one, 'x');
	same($node, @hours, $value, "$with: not even a string: right");
	cmp_ok(counter('other_errors'), '>', $errors, "$with: not even a string: counted");
	is(counter('state'), 'ready', "$with: which does not mean that Redis cannot be used");
	is_hit($node, 'SELECT cached_hours(2)', "$with: for other keys");
	$redis->command('DEL', $one);
	same($node, @hours, $value, "$with: gone");

	# what was right before a write
	$redis->command('COPY', $one, 'before', 'REPLACE');
	$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 3');
	$value++;
	same($node, @hours, $value, "$with: a write");
	$redis->command('COPY', 'before', $one, 'REPLACE');
	is_not_used('changed', "$with: the value from before a write");
	return;
}

plant_values('no secret', 'foreign_values', 'damaged');

# ---- An earlier start ---------------------------------------------------------------------------------------------

sub earlier_start
{
	my ($with, $counter) = @_;
	my ($one) = keys_of_hours();
	$node->restart;
	is_computed($node, 'SELECT cached_hours(1)', 1, "$with: nothing from before a restart is used");
	my $boot = (split /:/, $one)[3];
	my @now = grep { !/:$boot:/ } split /\n/, $redis->command('KEYS', '*');
	is(scalar(@now), 1, "$with: the key is another one");
	my ($now) = @now;
	$redis->command('COPY', $one, $now, 'REPLACE');
	is_not_used($counter, "$with: the value from before a restart");
	return;
}
earlier_start('no secret', 'foreign_values');

# ---- With a secret ------------------------------------------------------------------------------------------------

my $directory = PostgreSQL::Test::Utils::tempdir();
append_to_file("$directory/secret", "known to few\n");
append_to_file("$directory/other", "known to others\n");
chmod 0600, "$directory/secret", "$directory/other";
my ($one) = keys_of_hours();
reload('redis_secret_file', "$directory/secret");
is_not_used('unauthentic', 'a value that was stored without the secret');
plant_values('secret', 'unauthentic', 'unauthentic');
earlier_start('secret', 'unauthentic');
($one) = keys_of_hours();
reload('redis_secret_file', "$directory/other");
is_not_used('unauthentic', 'a value that was stored with another secret');
reload('redis_secret_file', "$directory/missing");
same($node, @hours, $value, 'a secret that cannot be read') for 1 .. 2;
is_computed($node, 'SELECT cached_hours(1)', 1, 'means that Redis is not used');
reload('redis_secret_file', '');

# ---- What is not shown --------------------------------------------------------------------------------------------

my $secured = RedisServer->start('acl');
my $password = slurp_file($secured->directory . '/password_file');
chomp $password;
(my $encoded = $password) =~ s/([^\w.-])/sprintf '%%%02X', ord $1/ge;
my $hidden = qr/\Q$password\E|\Q$encoded\E|p%40ss|p\@ss/;
(my $url = $secured->url) =~ s/\@/$encoded\@/;
my $log_start = -s $node->logfile;
$node->append_conf('postgresql.conf', "aggcache.redis_url = '$url'\nlog_min_messages = debug1\n");
$node->reload;
wait_for_query($node, q{SELECT current_setting('aggcache.redis_url') LIKE 'redis://%'}, 'the new URL');
$redis->stop;
same($node, @hours, $value, 'with the password in the URL');
is_hit($node, 'SELECT cached_hours(1)', 'it works');

$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN; CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor');
for my $role ('superuser', 'monitor', 'plain')
{
	for my $sql (q{SELECT string_agg(s::text, E'\n') FROM pg_settings s}, 'SHOW ALL',
		'SELECT r::text FROM aggcache.redis r', 'SELECT string_agg(h::text, $$ $$) FROM aggcache.health() h',
		'SHOW aggcache.redis_url', q{SELECT current_setting('aggcache.redis_url')})
	{
		my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => $role eq 'superuser' ? [] : [ '-U', $role ]);
		unlike("$out$err", $hidden, "$role does not learn the password by $sql");
		like($err, qr/pg_read_all_settings|permission denied/, "$role may not ask")
			if $role eq 'plain' && $sql =~ /SHOW aggcache|current_setting/;
	}
}
is($node->safe_psql('postgres', 'SELECT url IS NULL FROM aggcache.redis', extra_params => [ '-U', 'plain' ]), 't',
	'an ordinary role does not see where Redis is');
like($node->safe_psql('postgres', 'SELECT url FROM aggcache.redis', extra_params => [ '-U', 'monitor' ]),
	qr{^redis://pgcache:\*+\@127\.0\.0\.1:\d+/0$}, 'a member of pg_monitor does, without the password');
# parallel workers take over the settings of their leader
my $parallel = $node->safe_psql('postgres', q{SELECT name FROM pg_settings
	WHERE name IN ('force_parallel_mode', 'debug_parallel_query')});
is($node->safe_psql('postgres', qq{SET $parallel = on;
	SELECT current_setting('aggcache.redis_url') = (SELECT current_setting('aggcache.redis_url')), cached_hours(1) > 0}),
	't|t', 'nor does a parallel worker');

# a URL that cannot be, one that is refused, one with a changed password
$node->append_conf('postgresql.conf', "aggcache.redis_url = 'redis://pgcache:$encoded\@127.0.0.1:nowhere'\n");
$node->reload;
$node->wait_for_log(qr/aggcache\.redis_url.*not changed|errors/, $log_start);
$node->append_conf('postgresql.conf', "aggcache.redis_url = '${url}x'\n");
$node->reload;
(my $wrong = $url) =~ s/:\Q$encoded\E\@/:${encoded}x@/;
$node->append_conf('postgresql.conf', "aggcache.redis_url = '$wrong'\n");
$node->reload;
# sessions read the new URL; they show the same one
wait_for_query($node, q{SELECT authentication_errors > 0 FROM aggcache.redis, (SELECT cached_hours(1) AS h OFFSET 0) c
	WHERE h IS NOT NULL}, 'the wrong password to be noticed');
same($node, @hours, $value, 'a wrong password is no error');
my $log = substr slurp_file($node->logfile), $log_start;
unlike($log, $hidden, 'the log does not have the password');
my ($count) = scalar(() = $log =~ /could not use Redis for cached results/g);
cmp_ok($count, '>=', 1, 'but says that Redis cannot be used');
done_testing();
