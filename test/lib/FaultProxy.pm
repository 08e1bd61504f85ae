# A proxy between backends and Redis that the TAP tests break in chosen ways; fault_proxy.py, beside this file, says
# how.
package FaultProxy;

use strict;
use warnings;
use File::Basename qw(dirname);
use IPC::Open2;
use PostgreSQL::Test::Utils;

my $tool = dirname(__FILE__) . '/fault_proxy.py';

# start(SERVER, LISTEN): addresses as fault_proxy.py takes them; LISTEN is a socket in a new directory if left out.
sub start
{
	my ($class, $server, $listen) = @_;
	$listen //= PostgreSQL::Test::Utils::tempdir_short() . '/proxy';
	my $pid = open2(my $out, my $in, $tool, $listen, $server);
	$in->autoflush(1);
	my $self = bless { pid => $pid, in => $in, out => $out }, $class;
	$self->{address} = $self->answer;
	return $self;
}

sub answer
{
	my ($self) = @_;
	my $line = readline $self->{out} // die 'the fault proxy has ended';
	$line =~ /^ok ?(.*)/ or die "the fault proxy says: $line";
	return $1;
}

# The path of its socket, or host:port.
sub address { return $_[0]{address}; }

# Puts a mode in force; returns what the proxy says of it.
sub mode
{
	my ($self, @words) = @_;
	print { $self->{in} } "@words\n";
	return $self->answer;
}

# How often each mode has harmed something: a hash.
sub counts
{
	my ($self) = @_;
	return map { split /=/ } split / /, $self->mode('count');
}

# It ends at the end of its input, so also with this process.
sub stop
{
	my ($self) = @_;
	close $self->{in};
	waitpid $self->{pid}, 0;
	return;
}

1;
