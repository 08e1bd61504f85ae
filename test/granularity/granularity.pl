# Tries every query shape against every write shape of its schema (shapes.pm, narrowed_shapes.pm): the result is
# cached, another session writes, the function is called again. That call was a hit or a miss; its answer is compared
# with the plain query's in the same statement. Renders docs/granularity.md from what came out.
#
#   granularity.pl [--write]      PSQL, PGHOST, PGUSER in the environment: a server where nobody else writes
use strict;
use warnings;
use utf8;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../lib";
use PsqlSession;
use Text::Wrap qw(wrap);
use narrowed_shapes;
use shapes;
binmode STDOUT, ':encoding(UTF-8)';

my $document = "$FindBin::Bin/../../docs/granularity.md";
my $write = grep { $_ eq '--write' } @ARGV;
# Tags that share a slot make needless misses, and the names of tags depend on the database. So what missed needlessly
# counts only if it does so in another database too.
my $most_passes = 3;
$Text::Wrap::columns = 121;
$Text::Wrap::unexpand = 0;

my ($passed, $failed) = (0, 0);

sub fail
{
	$failed++;
	print "FAILED: @_\n";
}

# A session of a database.
sub session { my ($database) = @_; return PsqlSession->new($ENV{PSQL}, '-d', $database); }

# The schemas, each with its shapes. What a section of the document shows is of one schema.
my @worlds = (
	{
		tables => \@shapes::TABLES,
		schema => $shapes::SCHEMA,
		data => $shapes::DATA,
		prepare => $shapes::PREPARE,
		restore => $shapes::RESTORE,
		coarse => \@shapes::COARSE,
		sections => \@shapes::SECTIONS
	},
	{
		tables => \@narrowed_shapes::TABLES,
		schema => $narrowed_shapes::SCHEMA,
		data => $narrowed_shapes::DATA,
		prepare => '',
		restore => '',
		coarse => \@narrowed_shapes::COARSE,
		sections => \@narrowed_shapes::SECTIONS
	});

# ---- One pass --------------------------------------------------------------------------------------------------------

sub quote { my ($text) = @_; $text =~ s/'/''/g; return "'$text'"; }

my $PROBE = q{
CREATE FUNCTION probe() RETURNS TABLE (shape text, outcome text, same boolean, answer text) LANGUAGE plpgsql AS $$
DECLARE
  arguments text; cached text;
BEGIN
  FOR shape, arguments IN SELECT c.shape, c.arguments FROM call c ORDER BY c.id LOOP
    EXECUTE format('SELECT (SELECT string_agg(r::text, '';'' ORDER BY r::text) FROM cached_%1$s(%2$s) AS r),
                           (SELECT string_agg(r::text, '';'' ORDER BY r::text) FROM plain_%1$s(%2$s) AS r)',
                   shape, arguments) INTO cached, answer;
    SELECT result INTO outcome FROM aggcache.last_call();
    same := cached IS NOT DISTINCT FROM answer;
    RETURN NEXT;
  END LOOP;
END $$;
};

# Makes all calls once; returns { shape => [outcome, answer] }.
sub probe
{
	my ($session, $when) = @_;
	my %result;
	for ($session->query('SELECT * FROM probe();'))
	{
		my ($shape, $outcome, $same, $answer) = @$_;
		fail("$shape, $when: the answer differs from the plain query") if $same ne 't';
		$result{$shape} = [ $outcome, $answer ];
	}
	return \%result;
}

# Returns { shape }{ write } = ' ' for a hit, '●' for a miss of a changed answer, '○' for a miss of an unchanged one.
sub pass
{
	my ($database, $world, $queries, $writes) = @_;
	my $admin = session('postgres');
	$admin->query("CREATE DATABASE $database;");
	$admin->finish;
	my $writer = session($database);
	$writer->query("SET timezone = 'UTC'; SET client_min_messages = warning; CREATE EXTENSION pg_aggcache;");
	$writer->query($world->{schema});
	$writer->query($world->{data});
	# A policy says nothing to a superuser, who creates most of the functions.
	$writer->query("DO \$\$ BEGIN CREATE ROLE clerk; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$;");
	$writer->query('CREATE TABLE call (id int GENERATED ALWAYS AS IDENTITY, shape text, arguments text);');
	$writer->query('CREATE SCHEMA saved;');
	# of a table that inherits, what is in itself; of a partitioned one, all
	$writer->query("CREATE TABLE saved.$_ AS SELECT * FROM " . ($_ eq 'base' ? 'ONLY base;' : "$_;"))
		for @{ $world->{tables} };
	$writer->query($world->{prepare}) if $world->{prepare};
	$writer->query('GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA public TO clerk;');
	$writer->query('GRANT CREATE ON SCHEMA public TO clerk;');
	for (@$queries)
	{
		my ($name, undef, $arguments, $body, $call, $type, $creator) = @$_;
		$type //= 'numeric';
		$writer->query("SET ROLE $creator;") if $creator;
		for my $kind (['plain', 'sql'], ['cached', 'cached_sql'])
		{
			$writer->query("CREATE FUNCTION $kind->[0]_$name($arguments) RETURNS SETOF $type LANGUAGE $kind->[1] STABLE AS "
				. quote($body) . ';');
		}
		$writer->query('RESET ROLE;');
		$writer->query("INSERT INTO call (shape, arguments) VALUES ('$name', " . quote($call) . ');');
	}
	$writer->query($PROBE);
	my $reader = session($database);
	$reader->query("SET timezone = 'UTC'; SET ROLE clerk; SET app.tenant = '1';");

	my $restore = join '', map { "TRUNCATE $_; INSERT INTO $_ SELECT * FROM saved.$_;" } @{ $world->{tables} };
	$restore .= "$world->{restore} ANALYZE;";
	my (%outcome, $first);
	for (@$writes)
	{
		my ($write_name, undef, $sql, $undo) = @$_;
		my $before = probe($reader, "before $write_name");
		$first //= $before;
		for my $shape (keys %$first)
		{
			fail("$shape: $write_name is preceded by something that was not undone")
				if $before->{$shape}[1] ne $first->{$shape}[1];
		}
		my $warm = probe($reader, "warm before $write_name");
		for my $shape (sort keys %$warm)
		{
			fail("$shape: not a hit but $warm->{$shape}[0] although nothing was written, before $write_name")
				if $warm->{$shape}[0] ne 'hit';
		}
		$writer->query($sql);
		my $after = probe($reader, "after $write_name");
		for my $shape (keys %$after)
		{
			my ($result, $answer) = @{ $after->{$shape} };
			my $changed = $answer ne $before->{$shape}[1];
			$outcome{$shape}{$write_name} = $result eq 'hit' ? ' ' : $changed ? '●' : '○';
		}
		$writer->query($undo) if $undo;
		$writer->query($restore);
	}
	$_->finish for $reader, $writer;
	return \%outcome;
}

# ---- The document ----------------------------------------------------------------------------------------------------

# An item of a list, in lines of at most 120 columns.
sub item { my ($words) = @_; return wrap('- ', '  ', $words) . "\n"; }

sub render
{
	my ($sections, $outcome) = @_;
	my $text = <<'END';
# Granularity

Which writes invalidate which results: **this file is written by a test**
(`test/granularity/check_granularity.sh --write`; without `--write` it checks that the file says what the extension
does). Each result is cached, another session makes the write and commits, and the function is called again.

| | |
|---|---|
| ● | a miss that is necessary, as the answer had changed |
| ○ | a miss although the answer had not changed; the reason is given below the table |
| (empty) | a hit: the write is known not to concern the result |

The names of the writes say whether they concern a cached function's *key* (department 1), *range* (January 2026) and
*condition* (`status = 'open'`). The SQL of every query and write is [at the end](#queries).

END
	for my $section (@$sections)
	{
		my ($title, $queries, $writes) = @$section;
		$text .= "## $title\n\n| Query | " . join(' | ', map { $_->[1] } @$writes) . " |\n";
		$text .= '|---' . '|:-:' x @$writes . "|\n";
		for my $query (@$queries)
		{
			$text .= "| $query->[1] | " . join(' | ', map { $outcome->{ $query->[0] }{ $_->[0] } } @$writes) . " |\n";
		}
		my (%why, @order);
		for my $query (@$queries)
		{
			for my $w (@$writes)
			{
				next if $outcome->{ $query->[0] }{ $w->[0] } ne '○';
				my $reason = reason($query->[0], $w->[0]) // '(unknown)';
				push @order, $reason unless $why{$reason};
				push @{ $why{$reason} }, $query->[1] unless grep { $_ eq $query->[1] } @{ $why{$reason} // [] };
			}
		}
		$text .= "\n";
		$text .= item('○ ' . (@{ $why{$_} } > 12 ? 'nearly all' : join(', ', @{ $why{$_} })) . ": $_") for @order;
		$text .= "\n" if @order;
	}
	my (%seen_query, %seen_write);
	my @queries = grep { !$seen_query{ $_->[0] }++ } map { @{ $_->[1] } } @$sections;
	my @writes = grep { !$seen_write{ $_->[0] }++ } map { @{ $_->[2] } } @$sections;
	$text .= "## Queries\n\nThe body of the cached function, and the arguments of the call.\n\n";
	$text .= item("$_->[1]: `$_->[3]`" . ($_->[4] eq '' ? '' : " with `$_->[4]` for `$_->[2]`")) for @queries;
	$text .= "\n## Writes\n\n```sql\n";
	$text .= "-- $_->[1]\n$_->[2]\n" =~ s/\n\n/\n/r for @writes;
	$text .= "```\n\n## Schema\n\n```sql" . join('', map { $_->{schema} } @worlds) . "```\n";
	return $text;
}

# Why a needless miss is accepted; undef if it is not.
sub reason
{
	my ($shape, $write_name) = @_;
	for (map { @{ $_->{coarse} } } @worlds)
	{
		my ($shapes, $writes, $reason) = @$_;
		return $reason if grep({ $_ eq $shape } @$shapes) && grep({ $_ eq $write_name } @$writes);
	}
	return undef;
}

# ---- Run -------------------------------------------------------------------------------------------------------------

# Every query of the world with every write of it; returns what came out, and the names of both.
sub try_world
{
	my ($name, $world) = @_;
	my (%seen, @queries, @writes);
	for my $section (@{ $world->{sections} })
	{
		push @queries, grep { !$seen{"query $_->[0]"}++ } @{ $section->[1] };
		push @writes, grep { !$seen{"write $_->[0]"}++ } @{ $section->[2] };
	}
	my $outcome;
	my @pairs = map { my $q = $_->[0]; map { [ $q, $_->[0] ] } @writes } @queries;
	for my $number (1 .. $most_passes)
	{
		my $found = pass("${name}_$number", $world, \@queries, \@writes);
		$outcome //= $found;
		my $unexpected = 0;
		for (@pairs)
		{
			my ($q, $w) = @$_;
			$outcome->{$q}{$w} = ' ' if $outcome->{$q}{$w} eq '○' && $found->{$q}{$w} eq ' ';
			$unexpected++ if $outcome->{$q}{$w} eq '○' && !defined reason($q, $w);
		}
		last if $unexpected == 0;
	}
	for (@pairs)
	{
		my ($q, $w) = @$_;
		if ($outcome->{$q}{$w} eq '○' && !defined reason($q, $w)) { fail("$q: a needless miss after $w"); }
		else { $passed++; }
	}
	return $outcome;
}

my %outcome = map { %{ try_world("world_$_", $worlds[$_]) } } 0 .. $#worlds;
my @sections = map { @{ $_->{sections} } } @worlds;
my $text = render(\@sections, \%outcome);
if ($write)
{
	open my $file, '>:encoding(UTF-8)', $document or die "$document: $!";
	print $file $text;
	close $file;
}
my $committed = '';
if (open my $file, '<:encoding(UTF-8)', $document) { local $/; $committed = <$file>; }
if ($committed eq $text) { $passed++; }
else
{
	fail('docs/granularity.md is not what test/granularity/check_granularity.sh --write makes');
	my @is = split /\n/, $committed;
	my %is = map { $_ => 1 } @is;
	my @differ = grep { !$is{$_} } split /\n/, $text;
	print "  + $_\n" for @differ[ 0 .. ($#differ > 19 ? 19 : $#differ) ];
}
print "granularity: $passed passed, $failed failed\n";
exit($failed > 0);
