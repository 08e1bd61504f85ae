# Without our triggers in force nothing is cached; with them again, it is, and right.
use strict;
use warnings;
use AggcacheTest;
use Test::More;

my $node = new_node('main');
fixture($node);
my @hours = ('cached_hours(1)', 'plain_hours(1)');
my $value = 18;

sub write_rows
{
	my ($before) = @_;
	$node->safe_psql('postgres', ($before // '') . 'UPDATE task SET hours = hours + 1 WHERE id = 3');
	$value++;
	return;
}

my %changes = (
	'disabled' => [ 'DISABLE TRIGGER aggcache_track', 'ENABLE ALWAYS TRIGGER aggcache_track' ],
	'all disabled' => [ 'DISABLE TRIGGER ALL',
		'ENABLE ALWAYS TRIGGER aggcache_track, ENABLE ALWAYS TRIGGER aggcache_track_truncate' ],
	'enabled for origin only' => [ 'ENABLE TRIGGER aggcache_track', 'ENABLE ALWAYS TRIGGER aggcache_track' ],
	'enabled for replica only' => [ 'ENABLE REPLICA TRIGGER aggcache_track', 'ENABLE ALWAYS TRIGGER aggcache_track' ],
	'truncate disabled' => [ 'DISABLE TRIGGER aggcache_track_truncate', 'ENABLE ALWAYS TRIGGER aggcache_track_truncate' ],
);
for my $name (sort keys %changes)
{
	my ($off, $on) = @{ $changes{$name} };
	write_rows();
	is_computed($node, 'SELECT cached_hours(1)', 1, "$name: nothing cached before");
	$node->safe_psql('postgres', "SELECT cached_hours(1); ALTER TABLE task $off");
	is_computed($node, 'SELECT cached_hours(1); SELECT cached_hours(1)', 2, "$name: uncached at once");
	write_rows();
	same($node, @hours, $value, "$name: a write is seen");
	$node->safe_psql('postgres', "ALTER TABLE task $on");
	same($node, @hours, $value, "$name: right after");
	is_hit($node, 'SELECT cached_hours(1)', "$name: hits again");
	write_rows();
	same($node, @hours, $value, "$name: and sees writes");
}

# dropped; altered by hand into something that misses writes
$node->safe_psql('postgres', 'SELECT cached_hours(1); DROP TRIGGER aggcache_track ON task');
write_rows();
same($node, @hours, $value, 'dropped: a write is seen');
is_computed($node, 'SELECT cached_hours(1); SELECT cached_hours(1)', 2, 'dropped: uncached');
$node->safe_psql('postgres', q{CREATE TRIGGER aggcache_track AFTER UPDATE ON task FOR EACH ROW WHEN (OLD.id > 100)
	EXECUTE FUNCTION aggcache.track_row(); ALTER TABLE task ENABLE ALWAYS TRIGGER aggcache_track});
is_computed($node, 'SELECT cached_hours(1); SELECT cached_hours(1)', 2, 'narrowed: uncached');
write_rows();
same($node, @hours, $value, 'narrowed: a write is seen');
$node->safe_psql('postgres', q{SELECT aggcache.attach('task')});
same($node, @hours, $value, 'attached again: right');
is_hit($node, 'SELECT cached_hours(1)', 'attached again: hits');
write_rows();
same($node, @hours, $value, 'attached again: sees writes');

# replica role writes
write_rows('SET session_replication_role = replica; ');
same($node, @hours, $value, 'session_replication_role = replica');
is_hit($node, 'SELECT cached_hours(1)', 'and cached again');
$node->safe_psql('postgres', 'SET session_replication_role = replica; TRUNCATE task; INSERT INTO task VALUES (3, 1,
	5)');
$value = 5;
same($node, @hours, $value, 'TRUNCATE as a replica');

# a renamed trigger still does its work, or the table is uncached: never wrong
$node->safe_psql('postgres', 'ALTER TRIGGER aggcache_track ON task RENAME TO other');
write_rows();
same($node, @hours, $value, 'renamed trigger');
same($node, @hours, $value, 'renamed trigger, again');
write_rows();
same($node, @hours, $value, 'renamed trigger, another write');

# one session throughout
my ($rc, $out, $err) = $node->psql('postgres', q{
	SELECT cached_hours(1) = plain_hours(1);
	ALTER TABLE task DISABLE TRIGGER USER; UPDATE task SET hours = 100; SELECT cached_hours(1) = plain_hours(1);
	BEGIN; UPDATE task SET hours = 200; SELECT cached_hours(1) = plain_hours(1); ROLLBACK;
	SELECT cached_hours(1) = plain_hours(1);
	ALTER TABLE task ENABLE TRIGGER USER; UPDATE task SET hours = 300; SELECT cached_hours(1) = plain_hours(1);},
		extra_params => ['-q']);
is($out . $err, join("\n", ('t') x 5), 'in one session');
done_testing();
