# The worker among what does it harm: brokers that do not answer, locks, cancels, definitions that change under a batch,
# an extension and a database that are dropped.
use strict;
use warnings;
use IO::Socket::INET;
use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;
use Time::HiRes qw(usleep time);

my $node = new_server('main', qq{
widgets_wh.databases = 'wh'
widgets_wh.batch_interval = '50ms'
widgets_wh.publish_interval = '200ms'
max_worker_processes = 12
});

sub staged
{
	my ($feed, $count, $name) = @_;
	return ok($node->poll_query_until('wh', "SELECT count(*) = $count FROM staging.$feed"), $name);
}

# Run SQL in a transaction that produces lines and waits until a condition holds before it commits.
sub meanwhile
{
	my ($sql, $topic, $lines, $condition) = @_;
	open(my $file, '>', 'lines') or die $!;
	print $file "$_\n" for @$lines;
	close $file;
	return $node->safe_psql('wh', qq{
BEGIN;
$sql;
\\! $tool produce $topic < lines
DO \$\$
BEGIN
  FOR i IN 1..3000 LOOP
    EXIT WHEN $condition;
    PERFORM pg_sleep(0.02);
  END LOOP;
  IF NOT ($condition) THEN RAISE 'waited in vain'; END IF;
END
\$\$;
COMMIT;
});
}

tool('topic', $_, 2) for qw(steady other swap grow);
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE wh');
$node->safe_psql('wh', qq{
CREATE EXTENSION widgets_wh;
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_BOOTSTRAP}');
CREATE FOREIGN TABLE steady (id int) SERVER shop OPTIONS (topic 'steady');
CREATE FOREIGN TABLE other (id int) SERVER shop OPTIONS (topic 'other');
CREATE FOREIGN TABLE swap (id int, a text, b text) SERVER shop OPTIONS (topic 'swap');
CREATE FOREIGN TABLE grow (id int, a text) SERVER shop OPTIONS (topic 'grow');
SELECT wh.create_feed('other', 'other', 'append');
SELECT wh.create_feed('steady', 'steady', 'append');
SELECT wh.create_feed('swap', 'swap', 'append');
SELECT wh.create_feed('grow', 'grow', 'append');
SELECT wh.add_screen('grow', 'good', 'a <> ''bad''');
SELECT wh.create_fact('sale', 'SELECT id, effective_from AS at FROM staging.steady', '{id}', 'at', '{}', mode => 'append');
});
$node->restart;
my $sent = 0;

# Send messages to feed steady for some seconds; gives the longest time that one took.
sub slowest
{
	my ($seconds) = @_;
	my $until = time() + $seconds;
	my $worst = 0;
	while (time() < $until)
	{
		my $start = time();
		$sent++;
		produce('steady', [qq(1\t{"id":$sent})]);
		$node->poll_query_until('wh', "SELECT count(*) = $sent FROM staging.steady") or die;
		$worst = time() - $start if time() - $start > $worst;
	}
	return $worst;
}

for my $workers (1, 2)
{
	set_workers($node, $workers);
	workers_are($node, $workers > 1 ? $workers : 0, "$workers workers");
	slowest(0.1);
	my $pids = q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'widgets_wh%'};

	# a cancel outside of a batch is for nothing
	$node->poll_query_until('wh', q{SELECT bool_and(state = 'idle') FROM pg_stat_activity WHERE backend_type LIKE 'widgets_wh%'});
	my $before = $node->safe_psql('wh', $pids);
	$node->safe_psql('wh', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'widgets_wh%'}) for 1 .. 20;
	slowest(0.1);
	is($node->safe_psql('wh', $pids), $before, 'a cancel ends no worker');

	# an address where nobody answers, though it takes connections
	my $hole = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die $!;
	$node->safe_psql('wh', sprintf(q{
CREATE SERVER hole FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '127.0.0.1:%d');
CREATE FOREIGN TABLE hole (id int) SERVER hole OPTIONS (topic 'hole');
SELECT wh.create_feed('hole', 'hole', 'append');
}, $hole->sockport));
	cmp_ok(slowest(16), '<', 5, 'brokers that do not answer hold up no other feed');
	becomes($node, 'hole', q{state IN ('retrying', 'disconnected') AND last_error IS NOT NULL}, 'and are a state');
	is($node->safe_psql('wh', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'widgets_wh%' AND xact_start < now() - interval '4 s'}), '0', 'no transaction is open meanwhile');
	$node->safe_psql('wh', q{SELECT wh.drop_feed('hole'); DROP SERVER hole CASCADE});
	close $hole;
	unlike(slurp_file($node->logfile), qr/feed \d+ does not exist/, 'a feed that is dropped is no error');

	# a staging table that is locked
	my $id = 100 * $workers;
	meanwhile('LOCK TABLE staging.other IN ACCESS EXCLUSIVE MODE', 'other', [qq(1\t{"id":$id})],
		q{(SELECT count(*) > 0 FROM pg_locks WHERE relation = 'staging.other'::regclass AND NOT granted)});
	staged('other', 3 * $workers - 2, 'a locked table is loaded later');
	$sent++;
	meanwhile(qq{LOCK TABLE staging.other IN ACCESS EXCLUSIVE MODE;
\\! printf '1\\t{"id":$id}\\n' | $tool produce other
\\! printf '1\\t{"id":$sent}\\n' | $tool produce steady
SELECT pg_sleep(1)}, 'other', [qq(1\t{"id":$id})], "(SELECT count(*) = $sent FROM staging.steady)");
	staged('other', 3 * $workers, 'and holds up no other feed');

	# definitions that change between the opening of a topic and a batch
	my $waiting = q{(SELECT count(*) > 0 FROM pg_locks WHERE relation = '%s'::regclass AND NOT granted)};
	meanwhile('ALTER FOREIGN TABLE swap RENAME a TO c; ALTER FOREIGN TABLE swap RENAME b TO a; ALTER FOREIGN TABLE swap RENAME c TO b', 'swap',
		[ map { qq($_\t{"id":$_,"a":"a","b":"b"}) } 1 .. 50 ], sprintf($waiting, 'swap'));
	staged('swap', 50 * $workers, 'columns change their names');
	is($node->safe_psql('wh', q{SELECT DISTINCT a, b FROM staging.swap}), 'a|b', 'and have their own values');
	meanwhile(join(';', map { "ALTER FOREIGN TABLE grow ADD x${workers}_$_ text" } 1 .. 60), 'grow', [ map { qq($_\t{"id":$_,"a":"a"}) } 1 .. 50 ], sprintf($waiting, 'grow'));
	staged('grow', 50 * $workers, 'columns are added');
	is($node->safe_psql('wh', q{SELECT DISTINCT a FROM staging.grow}), 'a', 'as they are');
}

# a column that is renamed is told, and nothing is staged as null under its old name
$node->safe_psql('wh', 'ALTER FOREIGN TABLE swap RENAME a TO c');
produce('swap', [qq(1\t{"id":1000,"a":"a","b":"b"})]);
becomes($node, 'swap', q{state = 'retrying' AND last_error LIKE 'column "a" is missing from the source%'}, 'a renamed column is a state');
$node->safe_psql('wh', 'ALTER FOREIGN TABLE swap RENAME c TO a; ALTER FOREIGN TABLE swap ALTER b TYPE bytea');
becomes($node, 'swap', q{state = 'retrying' AND last_error LIKE 'column "b" of the source % has changed its type%'}, 'and so is a type');
$node->safe_psql('wh', 'ALTER FOREIGN TABLE swap ALTER b TYPE text');
ok($node->poll_query_until('wh', 'SELECT count(*) = 101 AND count(a) = 101 AND count(b) = 101 FROM staging.swap'), 'until they are as they were');

# what is staged while a publish waits is published next
my ($first, $second) = ($sent + 1, $sent + 2);
$sent += 2;
$node->poll_query_until('wh', q{SELECT batches_behind = 0 FROM wh.status WHERE object = 'mart.sale'});
meanwhile(qq{SELECT FROM wh.input FOR UPDATE;
\\! printf '1\\t{"id":$first}\\n' | $tool produce steady
DO \$\$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity USING (pid) WHERE backend_type = 'widgets_wh worker' AND NOT granted) LOOP PERFORM pg_sleep(0.02); END LOOP; END \$\$},
	'steady', [qq(1\t{"id":$second})], "(SELECT count(*) = $sent FROM staging.steady)");
my $start = time();
ok($node->poll_query_until('wh', "SELECT count(*) = $sent FROM mart.sale"), 'all is published');
cmp_ok(time() - $start, '<', 3, 'at once');

# a broker that answers nothing any more
$node->safe_psql('wh', qq{
SELECT wh.drop_feed(f) FROM unnest('{swap,grow}'::text[]) f;
SELECT wh.create_feed('many_' || i, 'other', 'append') FROM generate_series(1, 30) i;
});
ok($node->poll_query_until('wh', q{SELECT count(*) = 30 FROM wh.status WHERE object LIKE 'staging.many%' AND lag = 0}), 'thirty more feeds');
broker('freeze');
my $longest = 0;
my $until = time() + 30;
while (time() < $until)
{
	my $age = $node->safe_psql('wh', q{SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity WHERE backend_type LIKE 'widgets_wh%'});
	$longest = $age if $age > $longest;
	usleep(100_000);
}
cmp_ok($longest, '<', 5, 'no transaction waits long for a broker that is frozen');
becomes($node, 'steady', q{state IN ('retrying', 'disconnected')}, 'which is a state');
my $stopping = time();
$node->stop('fast');
cmp_ok(time() - $stopping, '<', 5, 'the workers stop at once');
$node->start;
broker('thaw');
slowest(0.1);
$node->safe_psql('wh', q{SELECT wh.drop_feed('many_' || i) FROM generate_series(1, 30) i});
becomes($node, 'steady', q{state = 'ready'}, 'it is back');

# nothing is left of feeds that were dropped, and of tries that failed
sub most
{
	my ($what) = @_;
	return $node->safe_psql('wh', "SELECT max((SELECT count(*) FROM pg_ls_dir('/proc/' || pid || '/$what'))) FROM pg_stat_activity WHERE backend_type = 'widgets_wh kafka worker'");
}
slowest(3);    # feeds are listed every second
my @left = (most('task'), most('fd'));
$node->safe_psql('wh', q{
CREATE FOREIGN TABLE missing (id int) SERVER shop OPTIONS (topic 'missing');
SELECT wh.create_feed('missing', 'missing', 'append');
});
ok($node->poll_query_until('wh', q{SELECT max(failures) > 2 FROM wh.worker_feed}), 'a feed fails again and again');
$node->safe_psql('wh', q{SELECT wh.drop_feed('missing')});
slowest(3);
cmp_ok(most('task'), '<=', $left[0] + 4, 'no thread is left');
cmp_ok(most('fd'), '<=', $left[1] + 8, 'no file is left open');
cmp_ok($left[0], '<', 30, 'nor of thirty feeds');

# the message of an alert is cut between characters
$node->safe_psql('wh', q{SELECT wh.alter_feed('other', reject_limit => 0)});
my $listened = $node->safe_psql('wh', qq{
SET client_encoding = 'UTF8';
LISTEN wh_alert;
\\! printf '1\\t{"id":"%s"}\\n' "x\$(printf '€%.0s' \$(seq 1 5000))" | $tool produce other
DO \$\$ BEGIN WHILE (SELECT state <> 'retrying' FROM wh.status WHERE object = 'staging.other') LOOP PERFORM pg_sleep(0.05); END LOOP; END \$\$;
SELECT length(last_error) FROM wh.status WHERE object = 'staging.other';
});
cmp_ok($listened =~ /^(\d+)$/m ? $1 : 999999, '<', 4000, 'a message is not as long as a record');
like($listened, qr/wh_alert/, 'an alert comes');
ok(utf8::decode(my $copy = $listened), 'in whole characters');

# the extension goes and comes back
my $log = -s $node->logfile;
$node->safe_psql('wh', 'DROP EXTENSION widgets_wh CASCADE; DROP SCHEMA IF EXISTS staging, mart CASCADE');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'widgets_wh kafka worker'}), 'without the extension there are no partition workers');
$node->safe_psql('wh', qq{
CREATE EXTENSION widgets_wh;
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_BOOTSTRAP}');
CREATE FOREIGN TABLE steady (id int) SERVER shop OPTIONS (topic 'steady');
SELECT wh.create_feed('steady', 'steady', 'append');
});
staged('steady', $sent, 'it comes back, and all is loaded');
unlike(slurp_file($node->logfile, $log), qr/PANIC|server process .* was terminated/, 'nothing has crashed');

# so does the database
$node->safe_psql('postgres', 'DROP DATABASE wh WITH (FORCE)');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'widgets_wh%'}), '0', 'the database is dropped');
$node->safe_psql('postgres', 'CREATE DATABASE wh');
$node->safe_psql('wh', qq{
CREATE EXTENSION widgets_wh;
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_BOOTSTRAP}');
CREATE FOREIGN TABLE steady (id int) SERVER shop OPTIONS (topic 'steady');
SELECT wh.create_feed('steady', 'steady', 'append');
});
staged('steady', $sent, 'another one of its name gets its worker');
$node->stop('fast');
unlike(slurp_file($node->logfile, 0), qr/PANIC|server process .* was terminated/, 'and nothing has crashed at all');
done_testing();
