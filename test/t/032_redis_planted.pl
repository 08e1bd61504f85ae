# Values that somebody has put into Redis, with the right checksum: every length in them is checked before PostgreSQL
# reads by it. Values of types that cannot be checked are in Redis only with a secret.
use strict;
use warnings;
use AggcacheTest;
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use RedisServer;
use Test::More;

plan skip_all => RedisServer::lacks() if RedisServer::lacks();

my $redis = RedisServer->start('unix');
my $node = new_node('main', conf => $redis->conf . "aggcache.store = 'redis'\naggcache.redis_compress_from = -1\n");
fixture($node);
my $tool = dirname(__FILE__) . '/../lib/planted_values.py';

sub counter { return $node->safe_psql('postgres', "SELECT $_[0] FROM aggcache.redis"); }

sub planted
{
	my (@words) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ $tool, $redis->directory, @words ], '<', \undef, '>', \$out, '2>', \$err)
		or die "planted_values.py @words: $err";
	chomp $out;
	return $out;
}

# What makes cached_NAME(i) and plain_NAME(i), which return TYPE. The body reads the fixture's table.
sub made
{
	my ($name, $type, $expression) = @_;
	my $rest = "$name(i int) RETURNS $type STABLE AS \$f\$SELECT $expression FROM public.task WHERE id = 1 + i % 9\$f\$";
	return "CREATE FUNCTION cached_$rest LANGUAGE cached_sql; CREATE FUNCTION plain_$rest LANGUAGE sql;";
}

# All that a function returns, as one text.
sub shown { return "(SELECT string_agg(r::text, ';') FROM $_[0] r)"; }

$node->safe_psql('postgres', q{
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
	CREATE DOMAIN positive AS numeric CHECK (value > 0);
	CREATE TABLE price (id int, amount positive, amounts positive[]);
	INSERT INTO price SELECT i, i / 3.0, ARRAY[i / 3.0, 2] FROM generate_series(1, 50) i;
	CREATE FUNCTION cached_price(i int) RETURNS SETOF price STABLE LANGUAGE cached_sql
		AS 'SELECT * FROM public.price p WHERE p.id = i';
	CREATE FUNCTION plain_price(i int) RETURNS SETOF price STABLE LANGUAGE sql
		AS 'SELECT * FROM public.price p WHERE p.id = i';
	CREATE TYPE measured AS (n int, t text, v numeric, a int[], j jsonb, x text)});

# NAME => [type, expression]
my $long = q{repeat('a', 300 + i)};
my %types = (
	bool => [ 'bool', 'i > 0' ],
	int2 => [ 'int2', 'i::int2' ],
	int8 => [ 'bigint', 'i::bigint' ],
	float => [ 'float8', 'i / 7.0::float8' ],
	date => [ 'date', q{'2020-01-01'::date + i} ],
	time => [ 'time', q{'10:00'::time + i * interval '1 second'} ],
	timetz => [ 'timetz', q{'10:00+02'::timetz} ],
	timestamptz => [ 'timestamptz', q{'2020-01-01 00:00+00'::timestamptz + i * interval '1 hour'} ],
	interval => [ 'interval', q{i * interval '1 month 2 days 3 seconds'} ],
	uuid => [ 'uuid', 'md5(i::text)::uuid' ],
	money => [ 'money', 'i::money' ],
	mood => [ 'mood', q{(enum_range(NULL::public.mood))[1 + i % 3]} ],
	name => [ 'name', q{('name' || i)::name} ],
	text => [ 'text', $long ],
	bpchar => [ 'bpchar', q{(('x' || i)::char(20))::bpchar} ],
	bytea => [ 'bytea', qq{convert_to($long, 'UTF8')} ],
	json => [ 'json', q{json_build_object('a', i, 'b', 'text')} ],
	jsonb => [ 'jsonb', q{jsonb_build_object('a', i, 'bc', jsonb_build_array(1.5, 'x', null, true, '{}'::jsonb),
		'd', (SELECT jsonb_agg(jsonb_build_object('k' || g, g::numeric / 3)) FROM generate_series(1, 40) g))} ],
	jsonb_scalar => [ 'jsonb', 'to_jsonb(i)' ],
	numeric => [ 'numeric', 'i::numeric / 7' ],
	numeric_large => [ 'numeric', q{('1' || repeat('0', 300) || '.5')::numeric + i} ],
	bits => [ 'varbit', q{B'1011001110001'} ],
	inet => [ 'inet', q{('10.0.0.' || i % 256)::inet} ],
	cidr => [ 'cidr', q{'2001:db8::/32'::cidr} ],
	macaddr => [ 'macaddr', q{'08:00:2b:01:02:03'::macaddr} ],
	int_array => [ 'int[]', 'ARRAY[[i, 2, 3], [4, NULL, 6]]' ],
	text_array => [ 'text[]', qq{ARRAY[$long, 'b', NULL, 'd']} ],
	numeric_array => [ 'numeric[]', 'ARRAY[i / 3.0, 1e50, 0]' ],
	range => [ 'int4range', 'int4range(i, i + 10)' ],
	numrange => [ 'numrange', 'numrange(i / 3.0, NULL)' ],
	range_array => [ 'tstzrange[]', q{ARRAY[tstzrange('2020-01-01', '2021-01-01')]} ],
	row => [ 'measured', qq{i, $long, i / 3.0, ARRAY[i, 2], jsonb_build_object('a', i), 'end'} ],
	out => [ 'TABLE (n int, t text, u text, v numeric, a text[], j jsonb, d date)',
		qq{i, 'x' || i, $long, i / 3.0, ARRAY['a', $long], jsonb_build_object('a', i), '2020-01-01'::date} ],
	rows => [ 'SETOF measured',
		qq{i, CASE WHEN id % 2 = 0 THEN NULL ELSE $long END, i / 3.0, ARRAY[i], '[1, "b"]'::jsonb, 'end'} ],
	texts => [ 'SETOF text', $long ],
);
$node->safe_psql('postgres', join "\n", map { made($_, @{ $types{$_} }) } sort keys %types);

# ---- All of them are kept without a secret, and found ----------------------------------------------------------------

my @names = ('price', sort keys %types);
my $shown = join ', ', map { shown("cached_$_(1)") } @names;
my $plain = join ', ', map { shown("plain_$_(1)") } @names;
my $before = counter('hits');
for my $round (1 .. 2)
{
	is($node->safe_psql('postgres', "SELECT ARRAY[$shown] IS NOT DISTINCT FROM ARRAY[$plain]"),
		't', "round $round: right");
}
is(counter('hits') - $before, scalar(@names), 'what can be checked is found');
is(counter('damaged'), 0, 'and is not taken for damaged');

# ---- One length each -------------------------------------------------------------------------------------------------

# What is planted is a miss, counted, and replaced.
sub is_refused
{
	my ($name, $what, $where, @words) = @_;
	my ($cached, $right) = (shown("cached_$name(1)"), shown("plain_$name(1)"));
	planted($where, "*:public.cached_$name:*", @words);
	my $damaged = 'SELECT damaged FROM aggcache.redis';
	my ($before, $same, $after) = split /\n/,
		$node->safe_psql('postgres', "$damaged; SELECT $cached IS NOT DISTINCT FROM $right; $damaged");
	is($same . ($after - $before), 't1', "$name, $what: right, and counted");
	return;
}
sub little { return unpack 'H*', pack 'V', $_[0]; }

# A row begins behind the count of rows: its length, then at 10 the number of columns, flags, where the columns begin.
my $sixty = little(60000 << 2);
is_refused('texts', 'a text that is longer than its row', 'value', 24, $sixty);
is_refused('texts', 'a text that is shorter', 'value', 24, little(100 << 2));
is_refused('texts', 'a text shorter than its header', 'value', 24, little(0));
is_refused('texts', 'a pointer to another place', 'value', 24, '0112');
is_refused('texts', 'a pointer within memory', 'value', 24, '0101' . '41' x 8);
is_refused('texts', 'compressed', 'value', 24, little((301 + 4) << 2 | 2) . little(60000));
is_refused('texts', 'no text of the encoding', 'value', 30, 'ff');
is_refused('texts', 'half a character at the end', 'value', 24 + 4 + 300, 'e2');
is_refused('texts', 'a zero byte', 'value', 30, '00');
is_refused('texts', 'more columns', 'value', 18, '0200');
is_refused('texts', 'values out of line', 'value', 20, '0600');
is_refused('texts', 'nulls', 'value', 20, '0300');
is_refused('texts', 'no varying columns', 'value', 20, '0000');
is_refused('texts', 'columns that begin elsewhere', 'value', 22, $_) for '00', '20', 'ff';
is_refused('texts', 'a longer row', 'value', 8, little(100000));
is_refused('texts', 'a row without a header', 'value', 8, little(10));
is_refused('texts', 'more rows', 'value', 0, little(2));
is_refused('texts', 'fewer rows', 'value', 0, little(0));
is_refused('texts', 'less than no rows', 'value', 0, 'ff' x 8);
# A value begins behind the flag that it is not null: its header, then what is its own.
is_refused('text', 'a longer text', 'value', 8, $sixty);
is_refused('price', 'an array of another type', 'value', 40, $_) for 'ff' x 12;
is_refused('bpchar', 'no text of the encoding', 'value', -1, 'c3');
is_refused('name', 'no end', 'value', 8, '61' x 64);
is_refused('json', 'no text of the encoding', 'value', -1, 'e2');
is_refused('bool', 'neither', 'value', 8, '02');
is_refused('int2', 'more bytes than it has', 'value', 12, '01');
is_refused('date', 'out of range', 'value', 8, little(0x7ffffff0));
is_refused('time', 'out of range', 'value', 8, 'ff' x 8);
is_refused('timetz', 'an impossible zone', 'value', 16, little(0x7fffffff));
is_refused('timestamptz', 'out of range', 'value', 8, '00000000000000f0');
is_refused('mood', 'no such value', 'value', 8, little(5));
is_refused('numeric', 'a digit too large', 'value', -2, 'ff7f');
is_refused('numeric', 'no last digit', 'value', -2, '0000');
is_refused('numeric', 'not a number with digits', 'value', 12, '00c0');
is_refused('bits', 'more bits than bytes', 'value', 12, little(100000));
is_refused('bits', 'less than none', 'value', 12, little(0xffffffff));
is_refused('inet', 'an address of the other kind', 'value', 12, '03');
is_refused('inet', 'an impossible mask', 'value', 13, '21');
is_refused('int_array', 'dimensions', 'value', 12, little($_)) for 1, 3, 7, 0xffffffff, 0;
is_refused('int_array', 'where the elements begin', 'value', 16, little($_)) for 32, 60000, 0x80000000;
is_refused('int_array', 'the type of the elements', 'value', 20, little(25));
is_refused('int_array', 'more elements', 'value', 24, little($_)) for 60000, 0x40000000, 0xffffffff;
is_refused('int_array', 'a bound that overflows', 'value', 32, little(0x7fffffff));
is_refused('text_array', 'a longer element', 'value', 40, $sixty);
is_refused('text_array', 'an element elsewhere', 'value', 40, '0112');
is_refused('range', 'another type', 'value', 12, little(25));
is_refused('range', 'other bounds', 'value', -1, $_) for '08', '01', '20', '80';
is_refused('jsonb', 'more keys', 'value', 12, little(0x20000000 | 60000));
is_refused('jsonb', 'neither array nor object', 'value', 12, little(3));
is_refused('jsonb', 'a longer key', 'value', 16, little(0x80000000 | 60000));
is_refused('jsonb', 'a key that is a number', 'value', 16, little(0x90000001));
is_refused('jsonb', 'a value that is no kind', 'value', 28, little(0x60000000));
is_refused('jsonb_scalar', 'a number that is longer', 'value', 20, $sixty);
is_refused('row', 'another type', 'value', 16, little(25));
is_refused('row', 'a longer text', 'value', 36, $sixty);
# Times and ids of the frame.
is_refused('int8', 'stored in the future', 'header', 'stored_at', '2000000000000000');
is_refused('int8', 'stored before all time', 'header', 'stored_at', '-9223372036854775808');
is_refused('int8', 'expires after all time', 'header', 'expires_at', '9223372036854775807');
is_refused('int8', 'of a snapshot to come', 'header', 'xmax', '1000000000000');
is_refused('int8', 'of an impossible snapshot', 'header', 'xmin', '1000000000000');
is_refused('int8', 'more running ids', 'header', 'running_count', '500000000');
is_refused('int8', 'a longer key', 'header', 'key_size', '4294967295');

# a result from the future would never be too old
$redis->command('FLUSHALL');
$node->safe_psql('postgres', 'SELECT cached_hours(1)');
planted('header', '-', 'stored_at', '2000000000000000');
$node->safe_psql('postgres', 'UPDATE task SET hours = hours + 1 WHERE id = 3');
is($node->safe_psql('postgres', q{SET aggcache.max_staleness = '1h'; SELECT cached_hours(1)}), 19,
	'from the future: not fresh for ever');
# an impossible cost does not keep it in shared memory for ever
$redis->command('FLUSHALL');
$node->safe_psql('postgres', 'SELECT cached_hours(1)');
planted('header', '-', 'cost_ns', '18446744073709551615');
is($node->safe_psql('postgres', q{SET aggcache.store = 'tiered'; SELECT cached_hours(1);
	SELECT tier, cost_ms < 86400000 FROM aggcache.last_call()}), "19\nredis|t", 'an impossible cost');

# ---- Thousands of changes --------------------------------------------------------------------------------------------

# Whatever is altered at random: no crash, no error, and no text that is longer than any of these. Digits of a numeric
# can stand for longer ones.
my $calls = 30;
my $changes = 0;
for my $round (1 .. ($ENV{AGGCACHE_LONG} ? 40 : 4))
{
	$redis->command('FLUSHALL');
	my $sql = join ' UNION ALL ',
		map { "SELECT '$_' AS name, i, length(r::text) AS size FROM generate_series(1, $calls) i, LATERAL cached_$_(i) r" }
		@names;
	$node->safe_psql('postgres', "SELECT count(size) FROM ($sql) s");
	$changes += planted('mutate', '*', $round);
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT string_agg(DISTINCT name, ' ') FROM ($sql) s
		WHERE size > CASE WHEN name ~ 'num|row|out|json|price' THEN 1000000 ELSE 4000 END");
	is("$rc$out$err", '0', "altered at random, round $round: nothing of the server's memory, no error");
}
cmp_ok($changes, '>', 4000, "$changes values were altered");
cmp_ok(counter('damaged'), '>', 1000, 'many were refused');

# ---- What cannot be checked needs a secret ---------------------------------------------------------------------------

my %others = (
	tsvector => q{to_tsvector('simple', 'a b c')},
	tsquery => q{to_tsquery('simple', 'a & b')},
	path => q{'((0,0),(1,1))'::path},
	polygon => q{'((0,0),(1,1),(2,0))'::polygon},
	xml => q{'<a/>'::xml},
	int4multirange => q{'{[1,3),[5,9)}'::int4multirange},
	jsonpath => q{'$.a'::jsonpath},
	'tsvector[]' => q{ARRAY[to_tsvector('simple', 'a')]},
	'TABLE (a int, b tsvector)' => q{i, to_tsvector('simple', 'a')},);
my $number = 0;
for my $type (sort keys %others)
{
	next if $type eq 'xml' && $node->psql('postgres', q{SELECT '<a/>'::xml}) != 0;
	my $name = 'other' . ++$number;
	my $cached = shown("cached_$name(1)");
	is($node->safe_psql('postgres', made($name, $type, $others{$type}) . qq{SELECT $cached IS NOT DISTINCT FROM }
		. shown("plain_$name(1)") . ';
		SELECT stored, not_stored FROM aggcache.last_call()'),
		"t\nf|a type of the result is kept in Redis only with aggcache.redis_secret_file", "$type: needs a secret");
	$others{$type} = $cached;
}
is($node->safe_psql('postgres', qq{SET aggcache.store = 'tiered'; SELECT $others{tsvector};
	SELECT stored FROM aggcache.last_call()}) =~ /t$/, 1, 'but shared memory has it');
my $directory = PostgreSQL::Test::Utils::tempdir();
append_to_file("$directory/secret", "known to few\n");
chmod 0600, "$directory/secret";
$node->append_conf('postgresql.conf', "aggcache.redis_secret_file = '$directory/secret'\n");
$node->reload;
wait_for_query($node, "SELECT current_setting('aggcache.redis_secret_file') <> ''", 'the secret');
my $all = join ', ', map { $others{$_} } grep { $others{$_} =~ /cached_/ } sort keys %others;
$node->safe_psql('postgres', "SELECT $all");
$before = counter('hits');
$node->safe_psql('postgres', "SELECT $all");
is(counter('hits') - $before, scalar(() = $all =~ /cached_/g), 'with a secret they are found');
done_testing();
