# A psql session that stays open, driven statement by statement over pipes.
package PsqlSession;

use strict;
use warnings;
use IPC::Open2;

# new(psql, options...) connects.
sub new
{
	my ($class, @command) = @_;
	my $pid = open2(my $out, my $in, 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command, '-X', '-q', '-A', '-t', '-F', "\x1f",
		'-v', 'ON_ERROR_STOP=1');
	binmode $_, ':encoding(UTF-8)' for $in, $out;
	$in->autoflush(1);
	return bless { pid => $pid, in => $in, out => $out }, $class;
}

# Runs some SQL; returns the rows, each a list of its columns. Dies if it fails.
sub query
{
	my ($self, $sql) = @_;
	my @rows;
	print { $self->{in} } "$sql\n\\echo -- end\n";
	while (defined(my $line = readline $self->{out}))
	{
		chomp $line;
		return @rows if $line eq '-- end';
		push @rows, [ split /\x1f/, $line, -1 ];
	}
	die "failed: $sql\n", map { join(' | ', @$_) . "\n" } @rows;
}

sub finish
{
	my ($self) = @_;
	close $self->{in};
	close $self->{out};
	waitpid $self->{pid}, 0;
	return;
}

1;
