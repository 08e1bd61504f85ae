# The helper of test/docs/check_docs.sh.
#
#   docs.pl script README                        the README's sql blocks as one psql script, with a mark before each
#   docs.pl check README OUTPUT OBJECTS          compares what the script printed with the README; the other checks
#   docs.pl update README OUTPUT OBJECTS         puts what the script printed into the README
use strict;
use warnings;

my ($mode, $readme, $output, $objects) = @ARGV;
my $MARK = '@@@ block ';

sub contents {
  my ($name) = @_;
  open(my $file, '<:encoding(UTF-8)', $name) or die "could not open $name: $!\n";
  local $/;
  my $text = <$file>;
  close $file;
  return $text;
}

# Every fenced block of the README as [language, text, line].
sub blocks {
  my ($text) = @_;
  my @blocks;
  while ($text =~ /^```(\w*)\n(.*?)^```$/msg) {
    my ($language, $body, $before) = ($1, $2, $`);
    push @blocks, [$language, $body, 1 + ($before =~ tr/\n//)];
  }
  return @blocks;
}

# Spaces at line ends and blank lines at the end are not what a reader compares.
sub tidy {
  my ($text) = @_;
  $text =~ s/[ \t]+$//mg;
  $text =~ s/\n+\z/\n/;
  $text =~ s/\A\n+//;
  return $text eq "\n" ? '' : $text;
}

my ($passed, $failed) = (0, 0);

# A match given as $good needs scalar(): a failed one is an empty list, and $what would be taken for $good.
sub ok {
  my ($good, $what, $detail) = @_;
  if ($good) { $passed++; return; }
  $failed++;
  print "not ok: $what\n";
  print map { "    $_\n" } split /\n/, $detail if defined $detail;
}

binmode STDOUT, ':encoding(UTF-8)';
my $text = contents($readme);
my @blocks = blocks($text);

if ($mode eq 'script') {
  my $number = 0;
  for my $block (@blocks) {
    next if $block->[0] ne 'sql';
    print "\\echo $MARK$number\n$block->[1]";
    $number++;
  }
  exit 0;
}

# What each sql block printed.
my @printed;
for my $part (split /^\Q$MARK\E/m, contents($output)) {
  $printed[$1] = tidy($part) if $part =~ s/\A(\d+)\n//;
}

if ($mode eq 'update') {
  my $number = -1;
  $text =~ s{^```(sql|text)\n(.*?)^```$}{
    my ($language, $body) = ($1, $2);
    $number++ if $language eq 'sql';
    $language eq 'sql' ? "```sql\n$body```" : "```text\n$printed[$number]```";
  }msge;
  open(my $file, '>:encoding(UTF-8)', $readme) or die "could not write $readme: $!\n";
  print $file $text;
  close $file;
  exit 0;
}

# ---- The README ----
my $number = -1;
my $pending;    # the sql block that no output block has answered yet
for my $block (@blocks, ['sql', '', 0]) {
  my ($language, $body, $line) = @$block;
  if ($language eq 'sql') {
    # Without an output block, a block must print nothing: no error, above all.
    ok($printed[$number] eq '', "$readme:$pending: the sql block prints what is not shown", $printed[$number])
      if defined $pending;
    last if $line == 0;
    $number++;
    $pending = $line;
    $printed[$number] = "the session ended before this block\n" if !defined $printed[$number];
  } elsif ($language eq 'text' && defined $pending) {
    ok(tidy($body) eq $printed[$number], "$readme:$pending: the sql block prints something else than is shown",
      "printed:\n$printed[$number]shown:\n$body");
    undef $pending;
  }
}
ok($number >= 0, "$readme has no sql block");

# ---- The reference ----
my $reference = contents('docs/reference.md');
my @sources = (glob('src/pg/*.cc'), glob('src/pg/*/*.cc'));
my $settings = join '', map { contents($_) } @sources;
while ($settings =~ /DefineCustom\w+Variable\(\s*"([^"]+)"/g) {
  ok(index($reference, "`$1`") >= 0, "docs/reference.md has no entry for setting $1");
}
my $relations = 0;
for my $line (split /\n/, contents($objects)) {
  my ($kind, $name) = split /\|/, $line, 2;
  if ($kind eq 'function') {
    ok(scalar($reference =~ /`\Q$name\E\(/), "docs/reference.md has no entry for function $name");
  } else {
    # A relation has a section of its own, which names every column.
    my ($relation, $columns) = split /:/, $name, 2;
    $relations++;
    next if !defined $columns || $relation =~ /_(pkey|idx)$/;
    my ($section) = $reference =~ /^### `\Q$relation\E`\n(.*?)(?=^##|\z)/ms;
    ok(defined $section, "docs/reference.md has no section for $relation");
    next if !defined $section;
    for my $column (split /,/, $columns) {
      ok(scalar($section =~ /`\Q$column\E`/), "docs/reference.md does not describe column $column of $relation");
    }
  }
}
ok($relations > 0, 'the extension has no relations: is it installed?');

# What keeps a call from being a hit: all of the table of reasons, and what analysing a function finds. Messages with a
# place to fill in count up to that place.
my $reasons = 0;
for my $file (@sources) {
  my $source = contents($file);
  my @sentences;
  if ($file =~ m{\breasons\.cc$}) {
    push @sentences, $1 while $source =~ /\{Reason::k\w+, \S+\s+"((?:[^"\\]|\\.)+)"/g;
    $reasons = @sentences;
  }
  push @sentences, $1 while $source =~ /(?:obstacle\s*=|Hinder\(composition,)\s*(?:psprintf\()?"((?:[^"\\]|\\.)+)"/g;
  for my $sentence (@sentences) {
    my ($fixed) = sort { length $b <=> length $a } split /%\w+/, $sentence;
    $fixed =~ s/^[\s,]+|[\s,]+$//g;
    ok(index($reference, $fixed) >= 0, "docs/reference.md does not list the reason of $file: $sentence");
  }
}
ok($reasons > 25, 'there is no table of reasons where it was');

# Error messages, too.
for my $file (@sources) {
  my $source = contents($file);
  my @messages;
  push @messages, $1 while $source =~ /errmsg\("((?:[^"\\]|\\.)+)"/g;
  push @messages, $1 while $source =~ /ERRCODE_\w+,\s*(?:psprintf\()?"((?:[^"\\]|\\.)+)"/g;
  for my $message (@messages) {
    next if $message eq '%s';
    $message =~ s/\\"/"/g;
    my ($fixed) = sort { length $b <=> length $a } split /"?%\w+"?/, $message;
    $fixed =~ s/^\s+|\s+$//g;
    ok(index($reference, $fixed) >= 0, "docs/reference.md has no entry for the message of $file: $message");
  }
}

# ---- Links ----
for my $document (glob '*.md docs/*.md') {
  my $body = contents($document);
  my ($directory) = $document =~ m{^(.*/)};
  $body =~ s/^```.*?^```$//msg;
  while ($body =~ /\]\(([^)\s]+)\)/g) {
    my $target = $1;
    next if $target =~ /^(https?:|mailto:|#)/;
    $target =~ s/#.*//;
    ok(-e (($directory // '') . $target), "$document: the link to $target leads nowhere");
  }
  my $long = grep { length($_) > 120 && !/^\|/ && !/https?:/ } split /\n/, $body;
  # the latter is written by a test
  ok(scalar($long == 0 || $document =~ /CONTRIBUTING|granularity/),
    "$document: $long lines are longer than 120 columns");
}

print "docs: $passed passed, $failed failed\n";
exit($failed ? 1 : 0);
