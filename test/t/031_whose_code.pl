# Whose code runs as whom. An attacker's types, casts, operators, domains, defaults, policies, views and functions are
# put wherever an entry of the extension takes one, for its owner, another role and a superuser. Every piece of such
# code logs who runs it, which no rollback and no read-only statement undoes. Entries that do not call a function run
# nobody's code as somebody else; entries that do run what the plain call runs, as whom the plain call runs it.
use strict;
use warnings;
use AggcacheTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "log_min_error_statement = panic\nlog_statement = none\n");

# ---- The attacker's code ---------------------------------------------------------------------------------------------

# A function of mallory's, with what it returns.
sub code
{
	my ($signature, $returns, $result, $volatility, $what) = @_;
	return qq{CREATE FUNCTION $signature RETURNS $returns LANGUAGE plpgsql $volatility AS
		\$\$ BEGIN RAISE LOG 'ran mallory % $what', current_user; RETURN $result; END \$\$;\n};
}

$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_aggcache;
	CREATE ROLE mallory LOGIN; CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE admin LOGIN SUPERUSER;
	CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats; CREATE ROLE member LOGIN IN ROLE alice, mallory;
	CREATE SCHEMA m AUTHORIZATION mallory; CREATE SCHEMA a AUTHORIZATION alice; CREATE SCHEMA b AUTHORIZATION bob;
	GRANT USAGE ON SCHEMA m, a, b TO PUBLIC;
	CREATE TABLE item (id int, k int, day date);
	INSERT INTO item SELECT i, i % 5, date '2024-01-01' + i FROM generate_series(1, 100) i; ANALYZE item;
	GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON item TO PUBLIC;});

sub psql_as
{
	my ($role, $sql, %options) = @_;
	return $node->psql('postgres', $sql, extra_params => [ '-U', $role ], on_error_stop => 0, %options);
}

sub make_as
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = psql_as($role, "\\set ON_ERROR_STOP 1\n$sql");
	is($rc, 0, "made as $role") or diag($err);
	return;
}

make_as('mallory',
	code('m.st()', 'int', 3, 'STABLE', 'stable')
	. code('m.st(x int)', 'int', 'x', 'STABLE', 'stable of argument')
	. code('m.vol()', 'int', 3, 'VOLATILE', 'volatile')
	. code('m.imm()', 'int', 3, 'IMMUTABLE', 'immutable')
	. code('m.imm(x int)', 'int', 'x', 'IMMUTABLE', 'immutable of argument')
	. code('m.holds(x int)', 'boolean', 'true', 'IMMUTABLE', 'check')
	. code('m.eq(x int, y int)', 'boolean', 'x = y', 'IMMUTABLE', 'operator')
	. code('m.difference(x int, y int)', 'float8', 'x - y', 'IMMUTABLE', 'subtype difference')
	. code('m.next(s int, x int)', 'int', 's + x', 'IMMUTABLE', 'transition')
	. q{
	CREATE FUNCTION m.sqlf(x int) RETURNS int LANGUAGE sql STABLE AS 'SELECT x + m.imm(0)';
	CREATE OPERATOR m.=== (FUNCTION = m.eq, LEFTARG = int, RIGHTARG = int, RESTRICT = eqsel, JOIN = eqjoinsel,
		COMMUTATOR = OPERATOR(m.===));
	CREATE AGGREGATE m.total(int) (SFUNC = m.next, STYPE = int, INITCOND = 0);
	CREATE DOMAIN m.d AS int CHECK (m.holds(VALUE));
	CREATE DOMAIN m.dx AS int CHECK (query_to_xml('SELECT m.holds(1)', true, true, '') IS NOT NULL);
	CREATE DOMAIN m.dn AS int NOT NULL CHECK (m.holds(VALUE));
	CREATE TYPE m.c AS (v m.d);
	CREATE TYPE m.r AS RANGE (SUBTYPE = int, SUBTYPE_DIFF = m.difference);
	CREATE TYPE m.implicit AS ENUM ('x'); CREATE TYPE m.assigned AS ENUM ('x'); CREATE TYPE m.explicit AS ENUM ('x');
	} . join('', map { code("m.cast(m.$_)", 'int', 1, 'IMMUTABLE', "$_ cast") } qw(implicit assigned explicit)) . q{
	CREATE CAST (m.implicit AS int) WITH FUNCTION m.cast(m.implicit) AS IMPLICIT;
	CREATE CAST (m.assigned AS int) WITH FUNCTION m.cast(m.assigned) AS ASSIGNMENT;
	CREATE CAST (m.explicit AS int) WITH FUNCTION m.cast(m.explicit);
	CREATE VIEW m.v AS SELECT * FROM item WHERE k <= m.st();
	CREATE TABLE m.t (id int, k int); INSERT INTO m.t SELECT i, i % 5 FROM generate_series(1, 50) i;
	ALTER TABLE m.t ENABLE ROW LEVEL SECURITY; ALTER TABLE m.t FORCE ROW LEVEL SECURITY;
	CREATE POLICY p ON m.t USING (k <= m.st());
	CREATE TABLE m.ranges (k m.r); INSERT INTO m.ranges SELECT m.r(i, i + 10) FROM generate_series(1, 500) i;
	CREATE INDEX ON m.ranges (m.imm(lower(k))); ANALYZE m.ranges;
	GRANT SELECT ON m.v, m.t, m.ranges TO PUBLIC;});

# ---- The places ------------------------------------------------------------------------------------------------------

# name => [parameters, body, arguments, argument types, options]. A call with these arguments is a plain call's too.
my $reads_item = "SET aggcache.depends_on = 'public.item'";
my $by_k = 'SELECT count(*) FROM public.item WHERE k = x';
my %places = (
	default_stable => [ 'x int DEFAULT m.st()', $by_k, '' ],
	default_volatile => [ 'x int DEFAULT m.vol()', $by_k, '' ],
	default_immutable => [ 'x int DEFAULT m.imm()', $by_k, '' ],
	default_domain => [ q{x m.d DEFAULT 2}, $by_k, '' ],
	default_query => [ q{x int DEFAULT length(query_to_xml('SELECT m.st()', true, true, '')::text)}, $by_k, '' ],
	default_definer => [ 'x int DEFAULT m.st()', $by_k, '', 'SECURITY DEFINER' ],
	domain => [ 'x m.d', $by_k, '1' ],
	domain_literal => [ 'x m.d', $by_k, q{'1'} ],
	domain_null => [ 'x m.dn', $by_k, '2' ],
	domain_query => [ 'x m.dx', $by_k, '1' ],
	domain_definer => [ 'x m.d', $by_k, '1', 'SECURITY DEFINER' ],
	domains => [ 'x m.d[]', 'SELECT count(*) FROM public.item WHERE k = ANY (x::int[])', 'ARRAY[1, 2]' ],
	domains_literal => [ 'x m.d[]', 'SELECT count(*) FROM public.item WHERE k = ANY (x::int[])', q{'{1,2}'} ],
	row => [ 'x m.c', 'SELECT count(*) FROM public.item WHERE k = (x).v', 'ROW(1)' ],
	row_literal => [ 'x m.c', 'SELECT count(*) FROM public.item WHERE k = (x).v', q{'(1)'} ],
	implicit_cast => [ 'x int', $by_k, q{'x'::m.implicit} ],
	implicit_cast_definer => [ 'x int', $by_k, q{'x'::m.implicit}, 'SECURITY DEFINER' ],
	assignment_cast => [ 'x int', $by_k, q{'x'::m.assigned} ],
	assignment_cast_definer => [ 'x int', $by_k, q{'x'::m.assigned}, 'SECURITY DEFINER' ],
	explicit_cast => [ 'x int', $by_k, q{'x'::m.explicit} ],
	casts => [ 'x int[]', 'SELECT count(*) FROM public.item WHERE k = ANY (x)', q{ARRAY['x'::m.implicit]} ],
	assignment_casts => [ 'x int[]', 'SELECT count(*) FROM public.item WHERE k = ANY (x)', q{ARRAY['x'::m.assigned]} ],
	polymorphic => [ 'x anyelement, y int DEFAULT m.st()', 'SELECT count(*) FROM public.item WHERE k = y', '1' ],
	immutable => [ 'x int', "$by_k AND k < m.imm()", '1' ],
	immutable_of_constant => [ 'x int', "$by_k AND k < m.imm(3)", '1' ],
	stable => [ 'x int', "$by_k AND k < m.st()", '1' ],
	stable_of_argument => [ 'x int', "$by_k AND k <= m.st(x)", '1' ],
	stable_definer => [ 'x int', "$by_k AND k < m.st()", '1', 'SECURITY DEFINER' ],
	on_rows => [ 'x int', "$by_k AND m.st(k) > 0", '1', $reads_item ],
	sql_function => [ 'x int', "$by_k AND k <= m.sqlf(x)", '1' ],
	operator => [ 'x int', 'SELECT count(*) FROM public.item WHERE k OPERATOR(m.===) x', '1', $reads_item ],
	operator_of_constant => [ 'x int', 'SELECT count(*) FROM public.item WHERE k OPERATOR(m.===) 2 AND id = x', '1',
		$reads_item ],
	operator_on_constants => [ 'x int', "$by_k AND m.sqlf(x) >= 0 AND 1 OPERATOR(m.===) 1", '1' ],
	operators => [ 'x int', 'SELECT count(*) FROM public.item WHERE k OPERATOR(m.===) ANY (ARRAY[x, 2])', '1',
		$reads_item ],
	range => [ 'x int', 'SELECT count(*) FROM m.ranges WHERE k && m.r(x, 100)', '1' ],
	aggregate => [ 'x int', 'SELECT m.total(id)::bigint FROM public.item WHERE k = x', '1', $reads_item ],
	view => [ 'x int', 'SELECT count(*) FROM m.v WHERE k = x', '1' ],
	policy => [ 'x int', 'SELECT count(*) FROM m.t WHERE k = x', '1' ],
	policy_definer => [ 'x int', 'SELECT count(*) FROM m.t WHERE k = x', '1', 'SECURITY DEFINER' ],
	set_clause => [ 'x int', 'SELECT count(*) FROM public.item WHERE k === x AND k <= st()', '1',
		"SET search_path = m, pg_catalog $reads_item" ],
	set_clause_definer => [ 'x int', 'SELECT count(*) FROM public.item WHERE k === x AND k <= st()', '1',
		"SECURITY DEFINER SET search_path = m, pg_catalog $reads_item" ],
	set_role => [ 'x int', "$by_k AND k < m.st()", '1', 'SET role = mallory' ],
	cell => [ 'x int', q{SELECT count(*) FROM public.item WHERE day >= date '2024-02-01' + m.st(x)}, '1' ],
);

# What runs where its arguments are made, so that mget() must run it too.
my %of_arguments = map { $_ => 1 } grep { /^(default|domain|row|implicit|casts|polymorphic)/ } keys %places;

sub declare
{
	my ($schema, $name, $language) = @_;
	my ($parameters, $body, undef, $options) = @{ $places{$name} };
	my $prefix = $language eq 'sql' ? 'plain_' : '';
	$options = ($options // '') =~ s/SET aggcache.*//r if $language eq 'sql';
	return "CREATE FUNCTION $schema.$prefix$name($parameters) RETURNS bigint LANGUAGE $language STABLE "
		. ($options // '') . " AS \$f\$ $body \$f\$;\n";
}

# The function with its types only, as text of a regprocedure.
sub signature
{
	my ($schema, $name) = @_;
	my ($parameters) = @{ $places{$name} };
	my $types = join ',', map { s/ DEFAULT .*//r =~ s/^\s*\w+ //r } split /,\s*(?=y )/, $parameters;
	return "$schema.$name($types)";
}

sub array_of
{
	my ($name) = @_;
	my $argument = $places{$name}[2];
	return undef if $argument eq '';
	return "ARRAY[$argument]" if $argument !~ /^ARRAY/;
	return undef;    # an array of arrays is one of elements
}

# ---- Running ---------------------------------------------------------------------------------------------------------

# Runs statements, [name => SQL]..., in one session of the role. Returns for each name what ran: "owner role what".
sub run
{
	my ($role, @statements) = @_;
	my $offset = -s $node->logfile;
	my $script = '';
	for my $statement (@statements)
	{
		$script .= "DO \$mark\$ BEGIN RAISE LOG 'entry $statement->[0] .'; END \$mark\$;\n$statement->[1];\n";
	}
	psql_as($role, $script);
	my ($entry, %ran) = ('');
	for my $line (split /\n/, slurp_file($node->logfile, $offset))
	{
		$entry = $1 if $line =~ /LOG:\s+entry (.*) \.$/;
		$ran{$entry}{"$1 as $2: $3"} = 1 if $line =~ /LOG:\s+ran (\w+) (\w+) (.*?)(?: at character \d+)?$/;
	}
	return \%ran;
}

# Checks that nothing ran as somebody else in any of the statements.
sub own_code_only
{
	my ($role, $what, @statements) = @_;
	my $ran = run($role, @statements);
	my @others;
	for my $entry (sort keys %$ran)
	{
		push @others, map { "$entry: $_" } grep { !/^(\w+) as \1:/ } sort keys %{ $ran->{$entry} };
	}
	is(join("\n", @others), '', "$what by $role: nobody's code as somebody else's");
	return $ran;
}

# ---- Making functions ------------------------------------------------------------------------------------------------

my %schemas = (m => 'mallory', a => 'alice');
my @names = sort keys %places;
for my $schema (sort keys %schemas)
{
	psql_as($schemas{$schema}, join('', map { declare($schema, $_, 'sql') } @names));
	own_code_only($schemas{$schema}, 'CREATE FUNCTION', map { [ $_, declare($schema, $_, 'cached_sql') ] } @names);
}
my %made = map { $_ => 1 } split /\n/, $node->safe_psql('postgres',
	q{SELECT pronamespace::regnamespace || '.' || proname
	FROM pg_proc p JOIN pg_language l ON l.oid = prolang WHERE lanname = 'cached_sql'});
# who is no member of the role cannot set it
is(join(' ', grep { !$made{$_} } map { ("a.$_", "m.$_") } @names), 'a.set_role', 'all functions can be made');
own_code_only('admin', 'CREATE FUNCTION',
	map { [ $_, 'BEGIN; ' . declare('public', $_, 'cached_sql') . '; ROLLBACK' ] } @names);

# ---- Calls -----------------------------------------------------------------------------------------------------------

for my $schema (sort keys %schemas)
{
	for my $role ('mallory', 'alice', 'bob', 'admin')
	{
		my (@plain, @cached, @many);
		for my $name (@names)
		{
			my $arguments = $places{$name}[2];
			push @plain, [ $name, "SELECT $schema.plain_$name($arguments)" ];
			push @cached, [ $name, "SELECT $schema.$name($arguments)" ] for 1 .. 2;
			my $arrays = array_of($name) // next;
			push @many, [ $name, "SELECT * FROM aggcache.mget('" . signature($schema, $name)
				. "', $arrays) AS r (n bigint, result bigint)" ];
		}
		my ($plain, $cached, $many) = (run($role, @plain), run($role, @cached), run($role, @many));
		my $parallel = run($role, [ 'mode', 'SET force_parallel_mode = on' ], @cached);
		my (@wrong, @missing);
		for my $name (@names)
		{
			# planned with its arguments, a body asks the statistics of the column about them
			my $expected = { %{ $plain->{$name} // {} },
				$name eq 'range' ? ("mallory as $role: subtype difference" => 1) : () };
			for my $way ([ 'call', $cached ], [ 'mget', $many ], [ 'parallel', $parallel ])
			{
				push @wrong, map { "$way->[0] $name: $_" } grep { !$expected->{$_} } sort keys %{ $way->[1]{$name} // {} };
			}
			push @missing, grep { !$many->{$name}{$_} } keys %$expected if $of_arguments{$name} && array_of($name);
			push @missing, grep { !$cached->{$name}{$_} } keys %$expected if $of_arguments{$name};
		}
		is(join("\n", @wrong), '', "calls of ${schema}'s functions by $role run what plain calls run");
		is(join("\n", @missing), '', "and all of it, where arguments are made");
		# a superuser is exempt from policies
		my @silent = grep { !/^assign|^explicit|^range|^set_role/ && !($role eq 'admin' && $_ eq 'policy')
			&& !$plain->{$_} } @names;
		is(join(', ', @silent), '', 'and the plain calls show it');
	}
}

# ---- Everything else -------------------------------------------------------------------------------------------------

my @views = map { [ "view $_", "SELECT count(*) FROM (SELECT v::text FROM aggcache.$_ v) t" ] }
	qw(functions dependencies stats entries tables blame redis);
for my $role ('mallory', 'alice', 'bob', 'reader', 'member', 'admin')
{
	for my $schema (sort keys %schemas)
	{
		my @statements;
		for my $name (@names)
		{
			my $function = signature($schema, $name);
			my $arguments = $places{$name}[2] eq '' ? q{VARIADIC '{}'::text[]} : $places{$name}[2];
			# ROW(1) as "any" is an anonymous row
			push @statements, [ "explain $name", "SELECT aggcache.explain('$function')" ],
				[ "explain call $name", "SELECT t::text FROM aggcache.explain('$function', $arguments) t" ],
				[ "explain call with text $name", "SELECT t::text FROM aggcache.explain('$function', '1'::text) t" ],
				[ "invalidate call $name", "SELECT aggcache.invalidate('$function', $arguments)" ],
				[ "invalidate $name", "SELECT aggcache.invalidate('$function')" ],
				[ "refresh $name", "SELECT aggcache.refresh('$function')" ],
				[ "wrap $name", "BEGIN; SELECT aggcache.wrap('" . signature($schema, $name) =~ s/\./.plain_/r
					. "', '${schema}.wrapped'); ROLLBACK" ];
		}
		own_code_only($role, "what is asked and done about ${schema}'s functions", @statements);
	}
	own_code_only($role, 'the rest', @views,
		[ 'refresh', 'SELECT aggcache.refresh()' ], [ 'health', 'SELECT aggcache.health()' ],
		[ 'last_call', 'SELECT aggcache.last_call()' ], [ 'usage', 'SELECT aggcache.usage()' ],
		[ 'invalidate_like', q{SELECT aggcache.invalidate_like('%')} ],
		[ 'invalidate_all', 'SELECT aggcache.invalidate_all()' ],
		map({ [ "attach $_", "SELECT aggcache.attach('$_')" ], [ "invalidate_table $_",
			"SELECT aggcache.invalidate_table('$_')" ], [ "detach $_", "BEGIN; SELECT aggcache.detach('$_'); ROLLBACK" ] }
			qw(item m.t m.ranges)),
		[ 'set_cell_width', q{SELECT aggcache.set_cell_width('item', 'day', '7 days')} ],
		[ 'reset_stats', 'SELECT aggcache.reset_stats()' ]);
	# what writes compute for watches
	own_code_only($role, 'writes', [ 'insert', 'INSERT INTO item SELECT i, i % 5 FROM generate_series(1, 9) i' ],
		[ 'update', 'UPDATE item SET k = k + 1 WHERE id < 9' ], [ 'delete', 'DELETE FROM item WHERE id < 9' ]);
}

# The guard is off again after an error, and in what is called afterwards.
my $after = run('mallory', [ 'stopped', q{SELECT aggcache.explain('a.default_stable(int)', VARIADIC '{}'::text[])} ],
	[ 'call', 'SELECT a.default_stable()' ]);
is(join(',', keys %{ $after->{call} // {} }), 'mallory as mallory: stable', 'a call after a refusal');

# ---- What is said ----------------------------------------------------------------------------------------------------

sub says
{
	my ($role, $sql, $pattern, $name) = @_;
	my ($rc, $out, $err) = psql_as($role, $sql, extra_params => [ '-U', $role, '-v', 'VERBOSITY=verbose' ]);
	like("$out$err", $pattern, $name);
	return;
}

says('bob', q{SELECT words FROM aggcache.explain('m.stable_of_argument(int)', 1)},
	qr/not cached: telling it would run function m\.st\(integer\) as role "bob", which does not own it/,
	'which function is stopped, and as whom');
says('admin', q{SELECT aggcache.invalidate('m.default_stable(int)', VARIADIC '{}'::text[])},
	qr/42501: telling it would run function m\.st\(\) as role "admin".*HINT:  Give all arguments/s,
	'a default of others has to be given');
says('admin', q{SELECT aggcache.invalidate('m.default_stable(int)', 3)}, qr/^[01]$/m, 'as it can be');
says('mallory',
	q{SELECT m.default_stable(); SELECT aggcache.invalidate('m.default_stable(int)', VARIADIC '{}'::text[])},
	qr/^1$/m, 'the owner\'s own default is evaluated');
says('bob', q{SELECT aggcache.explain('a.assignment_cast(int)', 'x'::m.assigned)},
	qr/42804: argument 1 of function .* is of type integer but the given value is of type m\.assigned.*HINT/s,
	'casts that a call would not make are left to the caller');
says('bob', q{SELECT * FROM aggcache.mget('a.assignment_cast(int)', ARRAY['x'::m.assigned]) AS r (n bigint, c bigint)},
	qr/42804: argument 1/, 'in mget() too');

done_testing();
