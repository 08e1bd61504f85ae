# Real Redis servers, or Valkey's, for the TAP tests; redis_servers.py, beside this file, does the work and says what
# there is.
package RedisServer;

use strict;
use warnings;
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;

my $tool = dirname(__FILE__) . '/redis_servers.py';
my @started;

# Whether this machine can: undef, or why not. That the tool fails is no reason.
sub lacks
{
	return 'there is no python3' unless -x '/usr/bin/python3';
	my ($out, $err) = ('', '');
	return undef if IPC::Run::run([ $tool, 'version' ], '<', \undef, '>', \$out, '2>', \$err);
	die "redis_servers.py version: $err" if $? >> 8 != 3;
	chomp $err;
	return $err;
}

# Runs the tool; returns what it prints. Dies if it fails, unless it printed an error reply.
sub tool
{
	my (@words) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ $tool, @words ], '<', \undef, '>', \$out, '2>', \$err)
		or $out =~ /^\(error\)/
		or die "redis_servers.py @words: $err";
	chomp $out;
	return $out;
}

# start(KIND, lines of configuration...): KIND is unix, acl, sentinel or cluster.
sub start
{
	my ($class, $kind, @lines) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless { directory => $directory, url => tool('start', $kind, $directory, @lines) }, $class;
	push @started, $self;
	return $self;
}

sub url { return $_[0]{url}; }

sub directory { return $_[0]{directory}; }

# The settings of a server that uses it, as lines of a configuration file. What is expected to be a hit must not depend
# on how busy the machine is: tests of what does not answer set shorter times.
sub conf
{
	return PostgreSQL::Test::Utils::slurp_file("$_[0]{directory}/postgresql.conf")
		. "aggcache.redis_timeout = '30s'\naggcache.redis_connect_timeout = '30s'\n";
}

# Of kinds with one node: its Unix socket.
sub socket { return "$_[0]{directory}/redis.sock"; }

# A command to one node; the reply as text, an array with a line for each element, an error as '(error) …'.
sub command_of
{
	my ($self, $node, @words) = @_;
	return tool('command', $self->{directory}, $node, @words);
}

# A command to the node of a kind with one, in the database that its URL names.
sub command
{
	my ($self, @words) = @_;
	return $self->command_of('redis', @words);
}

sub kill { return tool('kill', $_[0]{directory}, $_[1] // 'redis'); }

sub restart { return tool('restart', $_[0]{directory}, $_[1] // 'redis'); }

# The names of the masters, one a line.
sub masters { return tool('master', $_[0]{directory}); }

# Kills a master, waits until its replica has taken over, restarts it; returns its name.
sub failover { return tool('failover', $_[0]{directory}); }

# Moves slots of a cluster with their keys; returns how many keys moved.
sub reshard { return tool('reshard', $_[0]{directory}, $_[1]); }

sub stop { return tool('stop', $_[0]{directory}); }

END
{
	my $status = $?;
	for my $servers (@started)
	{
		eval { $servers->stop };
	}
	$? = $status;
}

1;
