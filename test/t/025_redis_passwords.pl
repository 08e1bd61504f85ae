# Nothing that a server or a reload may say brings the password, or the words of a broken server, to the log.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

my $redis = RedisServer->start('unix');
# it repeats the arguments of commands that it does not know
my $ignorant = RedisServer->start('unix', 'rename-command AUTH ""', 'rename-command SET ""');
my $node = new_node('main',
	conf => "aggcache.redis_url = ''\naggcache.redis_password_file = ''\naggcache.store = 'redis'\n"
		. "aggcache.redis_timeout = '30s'\naggcache.redis_connect_timeout = '30s'\n");
fixture($node);

sub reload_url
{
	my ($url, $shown) = @_;
	$node->append_conf('postgresql.conf', "aggcache.redis_url = '$url'\n");
	$node->reload;
	wait_for_query($node, "SELECT current_setting('aggcache.redis_url') = '$shown'", "$shown to be in force")
		if defined $shown;
	return;
}

sub url { return "unix://$_[1]" . $_[0]->socket . '?db=1'; }

sub log_has
{
	my ($pattern, $name) = @_;
	$node->wait_for_log($pattern);
	unlike(slurp_file($node->logfile), qr/geheim/, "$name: the log does not show the password");
	return;
}

# Calls until the breaker lets one try.
sub call_until
{
	my ($pattern) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$node->safe_psql('postgres', 'SELECT cached_hours(1)');
		return if slurp_file($node->logfile) =~ $pattern;
		select(undef, undef, undef, 0.1);
	}
	return;
}

reload_url(url($redis, ':geheim1@'), url($redis, ':********@'));
log_has(qr/received SIGHUP/, 'a first URL');
reload_url(url($redis, 'default:geheim2@'), url($redis, 'default:********@'));
log_has(qr/received SIGHUP/, 'another URL');
reload_url('redis://me:geheim3@host:port');
log_has(qr/invalid value for parameter "aggcache\.redis_url"/, 'a URL that is none');
like(($node->psql('postgres', q{ALTER SYSTEM SET aggcache.redis_url = 'redis://me:other@host:port'}))[2],
	qr/^[^\n]*ERROR:  invalid value for parameter "aggcache\.redis_url"$/m, 'ALTER SYSTEM does not repeat it');
unlike($node->safe_psql('postgres', 'SELECT string_agg(s::text, $$ $$) FROM pg_settings s'), qr/geheim/,
	'pg_settings does not show the password');

reload_url(url($ignorant, ':geheim4@'), url($ignorant, ':********@'));
call_until(qr/refuses AUTH/);
log_has(qr/could not use Redis for cached results: the server refuses AUTH/, 'a server without AUTH');

$node->safe_psql('postgres', q{CREATE FUNCTION cached_text(d int) RETURNS text LANGUAGE cached_sql STABLE
	AS 'SELECT $$hidden text$$ FROM public.task WHERE dept = d LIMIT 1'});
reload_url(url($ignorant, ''), url($ignorant, ''));
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	# a session learns how a command ended when it uses Redis again
	$node->safe_psql('postgres', 'SELECT cached_text(1); SELECT cached_text(1)');
	last if slurp_file($node->logfile) =~ /unknown command/;
	select(undef, undef, undef, 0.1);
}
like(slurp_file($node->logfile), qr/could not \w+ [^\n]*: ERR unknown command '?`?SET'?`?$/m,
	'of an unknown command the log has the name only');

reload_url('', '');
is($node->safe_psql('postgres', 'SELECT state FROM aggcache.redis'), 'off', 'no URL, no Redis');
done_testing();
