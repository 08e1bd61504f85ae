# Functions in C: those of audited extensions are looked at one by one,
# by what they are members of; others are opaque.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
plan skip_all => 'no extension hstore'
	unless $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'hstore'});

$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_aggcache;
	CREATE EXTENSION hstore;
	CREATE TYPE mood AS ENUM ('good', 'bad');
	CREATE TABLE ev (id int, t timestamptz, m mood, h hstore);
	INSERT INTO ev VALUES (1, '2024-01-04 12:00+00', 'good', 'a=>1');
	CREATE FUNCTION plain_ev(k int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT max(hstore(ev)::text) FROM ev
		WHERE id = k $$;
	CREATE FUNCTION cached_h(k int) RETURNS text LANGUAGE cached_sql STABLE
	  AS $$ SELECT max((h || 'b=>2'::hstore)::text || (h->'a') || h['a']) FROM ev WHERE id = k AND h ? 'a' $$;
	-- one without an extension
	CREATE FUNCTION own_exists(hstore, text) RETURNS boolean LANGUAGE c IMMUTABLE STRICT AS '$libdir/hstore',
		'hstore_exists';
	CREATE FUNCTION own_subscript(internal) RETURNS internal LANGUAGE c IMMUTABLE STRICT AS '$libdir/hstore',
		'hstore_subscript_handler';
	-- whose text does not name the type
	CREATE FUNCTION cached_element() RETURNS text LANGUAGE cached_sql STABLE AS $$ SELECT max(h['a']) FROM ev $$;
});
my $last = 'SELECT result, reason FROM aggcache.last_call()';
is($node->safe_psql('postgres', "SELECT cached_h(1); SELECT cached_h(1); $last"),
	qq{"a"=>"1", "b"=>"2"11\n"a"=>"1", "b"=>"2"11\nhit|the result is what the query would return in this snapshot},
	'what reads its arguments only is cached');

# refused NAME, BODY, DETAIL
sub refused
{
	my ($name, $body, $detail) = @_;
	my (undef, undef, $error) = $node->psql('postgres', "CREATE FUNCTION refused() RETURNS text LANGUAGE cached_sql
		STABLE AS \$\$ $body \$\$");
	like($error, qr/cannot call opaque function.*\n.*DETAIL: .*$detail.*\n.*aggcache\.depends_on/s, $name);
	return;
}
refused('one that prints rows', 'SELECT max(hstore(ev)::text) FROM ev',
  'of extension hstore [\d.]+, reads more than its arguments');
refused('one of no extension', q{SELECT max(own_exists(h, 'a')::text) FROM ev},
  'it is in C, and belongs to no extension');
$node->safe_psql('postgres', q{
	CREATE FUNCTION cached_ev(k int) RETURNS text LANGUAGE cached_sql STABLE SET aggcache.depends_on = ''
	  AS $$ SELECT max(hstore(ev)::text) FROM ev WHERE id = k $$});
my $same = 'SELECT cached_ev(1) = plain_ev(1)';
is($node->safe_psql('postgres', "$same; $same; SELECT result FROM aggcache.last_call()"), "t\nt\nhit",
  'stated: cached');
is($node->safe_psql('postgres', "SET timezone = 'Asia/Tokyo'; $same; SET extra_float_digits = -3; $same"), "t\nt",
  'other settings are other keys');
$node->safe_psql('postgres', q{ALTER TYPE mood RENAME VALUE 'good' TO 'fine'});
is($node->safe_psql('postgres', $same), 't', 'a renamed label');

# a session that has the definition
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $state = q{SELECT coalesce(reason, state) FROM aggcache.functions WHERE function =
  'cached_h(integer)'::regprocedure};
$session->query_safe('SELECT cached_h(1)');
is($session->query_safe("SELECT cached_h(1); SELECT result FROM aggcache.last_call()"),
	qq{"a"=>"1", "b"=>"2"11\nhit}, 'a hit');
$node->safe_psql('postgres', 'CREATE SCHEMA elsewhere; ALTER EXTENSION hstore SET SCHEMA elsewhere');
is($node->safe_psql('postgres', "SET search_path = public, elsewhere; $state"), 'cached', 'in another schema');
$node->safe_psql('postgres', 'ALTER EXTENSION hstore SET SCHEMA public');
$session->query_safe('SELECT cached_h(1)');
$node->safe_psql('postgres', 'ALTER EXTENSION hstore DROP FUNCTION hs_concat(hstore, hstore)');
is($session->query_safe("SELECT cached_h(1); $last"),
	qq{"a"=>"1", "b"=>"2"11\nuncached|the body calls hs_concat(hstore,hstore) in C on rows, } .
		'and what that function reads cannot be seen',
	'no member any more: known to other sessions at once');

# what is behind brackets is the type's
$node->safe_psql('postgres', 'ALTER EXTENSION hstore ADD FUNCTION hs_concat(hstore, hstore)');
is($session->query_safe("SELECT cached_element(); SELECT cached_element(); SELECT result FROM aggcache.last_call()"),
	"1\n1\nhit", 'an element: a hit');
$node->safe_psql('postgres', 'ALTER TYPE hstore SET (SUBSCRIPT = own_subscript)');
is($session->query_safe("SELECT cached_element(); $last"),
	"1\nuncached|the body calls own_subscript(internal) in C on rows, and what that function reads cannot be seen",
	'another handler: known to other sessions at once');
refused('a handler of no extension', q{SELECT max(h['a']) FROM ev}, 'it is in C, and belongs to no extension');
$session->quit;
$node->stop;
done_testing();
