# Equality and hashes of types of extensions: values that are equal and do not look alike, and functions that are
# replaced while results rest on them. Extensions that are not there are skipped.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main', conf => "max_prepared_transactions = 10\n");
$node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS pg_aggcache');

# extension, type, a value, the same value in another form, a different value, whether its hash can be trusted
my @types = (
	[ 'citext',      'citext',    'abc',                  'ABC',                         'b',                1 ],
	[ 'hstore',      'hstore',    'a=>1,b=>2',            'b=>2,a=>1',                   'a=>1',             1 ],
	[ 'ltree',       'ltree',     'a.b',                  'a.b',                         'a.c',              undef ],
	[ 'isn',         'isbn13',    '978-0-393-04002-9',    '9780393040029',               '978-0-11-000222-4', 1 ],
	[ 'postgis',     'geometry',  'POINT(1 2)',           'SRID=0;POINT(1 2)',           'POINT(1 3)',       1 ],
	[ 'ip4r',        'ip4',       '10.0.0.1',             '10.0.0.1',                    '10.0.0.2',         1 ],
	[ 'ip4r',        'ip4r',      '10.0.0.0/8',           '10.0.0.0-10.255.255.255',     '10.0.0.0/9',       1 ],
	[ 'ip4r',        'ip6',       '::1',                  '0:0:0:0:0:0:0:1',             '::2',              1 ],
	[ 'ip4r',        'ip6r',      'fe80::/16',            'fe80::-fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '::2', 1 ],
	[ 'ip4r',        'ipaddress', '::1',                  '0:0:0:0:0:0:0:1',             '10.0.0.2',         1 ],
	[ 'ip4r',        'iprange',   'fe80::/16',            'fe80::-fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '::2', 1 ],
	[ 'h3',          'h3index',   '8a63a9a99047fff',      '8A63A9A99047FFF',             '831c02fffffffff',  1 ],
	[ 'pgmp',        'mpz',       '100',                  '0x64',                        '99',               1 ],
	[ 'pg_rational', 'rational',  '1/2',                  '2/4',                         '1/3',              0 ],
	[ 'semver',      'semver',    '1.0.0+a',              '1.0.0+b',                     '1.0.1',            0 ],
	[ 'debversion',  'debversion', '1.0',                 '1.00',                        '1.1',              0 ],
	[ 'pg_sphere',   'spoint',    '(0d,90d)',             '(57d,90d)',                   '(0d,0d)',          0 ]);

# what the latest call of the cached function did, and whether it was right, for a value
sub told
{
	my ($type, $value) = @_;
	return $node->safe_psql('postgres', qq{
		SELECT CASE WHEN cached_$type('$value') = plain_$type('$value') THEN 'same' ELSE 'DIFFERS' END AS same \\gset
		SELECT concat_ws(' ', :'same', result) FROM aggcache.last_call()});
}

for (@types)
{
	my ($extension, $type, $value, $other_form, $other, $trusted) = @$_;
  SKIP:
	{
		my ($rc, undef, $error) = $node->psql('postgres', "CREATE EXTENSION IF NOT EXISTS $extension CASCADE");
		skip "extension $extension: $error", 5 if $rc != 0;
		my $hashes = $node->safe_psql('postgres', qq{SELECT count(*) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
			WHERE amname = 'hash' AND opcintype = '$type'::regtype});
		$trusted = $hashes if !defined $trusted;
		$node->safe_psql('postgres', qq{
			CREATE TABLE t_$type (id int, v $type);
			-- as functions of some of these extensions are opaque
			CREATE FUNCTION cached_$type(k $type) RETURNS bigint LANGUAGE cached_sql STABLE SET aggcache.depends_on = ''
			  AS 'SELECT count(*) FROM t_$type WHERE v = k';
			CREATE FUNCTION plain_$type(k $type) RETURNS bigint LANGUAGE sql STABLE
			  AS 'SELECT count(*) FROM t_$type WHERE v = k'});
		is($node->safe_psql('postgres', "SELECT '$value'::$type = '$other_form'::$type"), 't', "$type: equal values");
		told($type, $value);
		told($type, $other);
		is(told($type, $value), 'same hit', "$type: cached");
		$node->safe_psql('postgres', "INSERT INTO t_$type VALUES (1, '$other_form')");
		is(told($type, $value), 'same miss', "$type: an equal value is seen");
		is(told($type, $other), $trusted ? 'same hit' : 'same miss', "$type: told apart, or not");
		$node->safe_psql('postgres', "UPDATE t_$type SET v = '$other'");
		is(told($type, $value), 'same miss', "$type: as is its end");
	}
}

# ---- The hash function of a type that is trusted is replaced ----------------------------------------------------
SKIP:
{
	my ($rc) = $node->psql('postgres', "CREATE EXTENSION IF NOT EXISTS citext");
	skip 'extension citext', 9 if $rc != 0;
	my $replace = q{CREATE OR REPLACE FUNCTION citext_hash(citext) RETURNS int LANGUAGE internal IMMUTABLE STRICT
		AS 'hashtext'};
	my $restore = q{CREATE OR REPLACE FUNCTION citext_hash(citext) RETURNS int LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
		AS '$libdir/citext', 'citext_hash'};
	my $insert = "INSERT INTO t_citext VALUES (2, 'ABC')";
	# a session that has written before, and goes on to
	my $writer = $node->background_psql('postgres', on_error_die => 1);
	$writer->query_safe($insert);
	told('citext', 'abc');
	is(told('citext', 'abc'), 'same hit', 'cached');

	# prepared: neither this nor that is committed when others compute and write
	$node->safe_psql('postgres', "BEGIN; $replace; $insert; PREPARE TRANSACTION 'replaced'");
	told('citext', 'abc');
	$writer->query_safe($insert);
	like(told('citext', 'abc'), qr/^same/, 'while it is being replaced');
	$node->safe_psql('postgres', "COMMIT PREPARED 'replaced'");
	like(told('citext', 'abc'), qr/^same/, 'once it is');
	told('citext', 'abc');
	$writer->query_safe($insert);
	is(told('citext', 'abc'), 'same miss', 'written by a session that knew the old one');
	told('citext', 'xyz');
	$node->safe_psql('postgres', $insert);
	is(told('citext', 'xyz'), 'same miss', 'values are not told apart meanwhile');
	$node->safe_psql('postgres', $restore);
	told('citext', 'abc');
	told('citext', 'xyz');
	$writer->query_safe($insert);
	is(told('citext', 'abc'), 'same miss', 'and back again');
	is(told('citext', 'xyz'), 'same hit', 'when they are');
	$writer->query_safe('BEGIN');
	$writer->query_safe($replace);
	$writer->query_safe($insert);
	is(told('citext', 'abc'), 'same hit', 'not committed');
	$writer->query_safe('COMMIT');
	is(told('citext', 'abc'), 'same miss', 'committed');
	$writer->quit;
}

done_testing();
