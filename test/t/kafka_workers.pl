# Several workers load one feed side by side, and are ended, multiplied and killed at random
# moments: every message once, histories as one run makes them, whoever reads which partition.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;
use Time::HiRes qw(usleep time);

my $messages = $ENV{MESSAGES} // 60_000;
my $rounds = $ENV{ROUNDS} // 14;

my $node = new_server('main', qq{
widgets_wh.databases = 'wh'
widgets_wh.kafka_workers = 3
widgets_wh.batch_rows = 1000
widgets_wh.batch_interval = '50ms'
widgets_wh.publish_interval = '300ms'
max_worker_processes = 12
});

my $columns = "id int, v int, at timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')";
tool('topic', 'event', 4);
tool('topic', 'state', 4);
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE wh');
$node->safe_psql('wh', qq{
CREATE EXTENSION widgets_wh;
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_BOOTSTRAP}');
CREATE FOREIGN TABLE event ($columns) SERVER shop OPTIONS (topic 'event');
CREATE FOREIGN TABLE state ($columns) SERVER shop OPTIONS (topic 'state');
SELECT wh.create_feed('event', 'event', 'append');
SELECT wh.create_feed('state', 'state', 'upsert', '{id}', sequence_by => 'at');
SELECT wh.create_feed('opening', 'state', 'append', '{id}', sequence_by => 'at');
SELECT wh.create_fact('sale', 'SELECT id, v, at FROM staging.event', '{id}', 'at', '{}', mode => 'append');
SELECT wh.create_dimension('thing', 'SELECT id, v FROM staging.state', '{id}');
});
$node->restart;
workers_are($node, 3, 'as many workers as the setting says');
my $leader = $node->safe_psql('wh', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker'});

# A key's versions are spread over the partitions; now and then two have one time, and 1 % are bad.
my @producers;
for my $topic (qw(event state))
{
	my $producer = fork() // die;
	if ($producer == 0)
	{
		open(my $out, '|-', $tool, 'produce', $topic) or die $!;
		$out->autoflush(1);
		for my $i (1 .. $messages)
		{
			my $id = $topic eq 'event' ? $i : $i * 7919 % 400;
			my $value = sprintf('{"id":%d,"v":%d,"at":"2026-01-01 %02d:%02d:%02d"}', $id, $i, $i / 3600 % 24, $i / 60 % 60, $i % 7 ? $i % 60 : 0);
			$value = substr($value, 0, 9) if $i % 100 == 0;
			print $out "$i\t$value\n";
			usleep(4_000) if $i % 20 == 0;
		}
		close $out or POSIX::_exit(1);
		POSIX::_exit(0);
	}
	push @producers, $producer;
}

my @chaos = (
	sub { $node->psql('wh', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'widgets_wh kafka worker' ORDER BY random() LIMIT 1}); },
	sub { set_workers($node, 1 + int(rand(4))); },
	sub { $node->kill9; start_again($node); },
	sub { $node->psql('wh', 'CALL wh.run()'); },
	sub { $node->psql('wh', q{SELECT wh.alter_feed('state', reject_limit => 1000000)}); },
	sub { $node->psql('wh', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'widgets_wh %worker'}); },
	sub { $node->psql('wh', q{BEGIN; SELECT wh.ingest('state'), wh.ingest('event'), pg_sleep(0.3); COMMIT}); },
);
for my $round (0 .. $rounds - 1)
{
	usleep(100_000 + int(rand(900_000)));
	$chaos[ $round % @chaos ]->();
}
set_workers($node, 3);
for my $producer (@producers)
{
	waitpid($producer, 0);
	is($?, 0, 'every message is sent');
}

my $bad = int($messages / 100);
my $good = $messages - $bad;
ok($node->poll_query_until('wh', "SELECT (SELECT sum(next_offset) FROM wh.kafka_offset WHERE feed = 'staging.event') >= $messages AND (SELECT sum(next_offset) FROM wh.kafka_offset WHERE feed = 'staging.state') >= $messages AND (SELECT sum(next_offset) FROM wh.kafka_offset WHERE feed = 'staging.opening') >= $messages"),
	"everything arrives ($rounds disturbances)");
is($node->safe_psql('wh', 'SELECT count(*), count(DISTINCT id) FROM staging.event'), "$good|$good", 'events: none missing, none twice');
is($node->safe_psql('wh', 'SELECT count(*) FILTER (WHERE id <> v), count(DISTINCT (part, off)) FROM staging.event'), "0|$good", 'each as it was sent');
is($node->safe_psql('wh', q{SELECT feed, count(*), count(DISTINCT ("partition", "offset")) FROM wh.error_event WHERE sqlstate <> '23505' GROUP BY 1 ORDER BY 1}),
	"staging.event|$bad|$bad\nstaging.opening|$bad|$bad\nstaging.state|$bad|$bad", 'bad messages are error events, once');
is($node->safe_psql('wh', q{SELECT s.object, sum(rows_read) FROM wh.batch_step s JOIN wh.batch b USING (batch_id) WHERE b.kind = 'ingest' AND b.state = 'succeeded' GROUP BY 1 ORDER BY 1}),
	"staging.event|$messages\nstaging.opening|$messages\nstaging.state|$messages", 'the log has read every message once');
is($node->safe_psql('wh', q{SELECT count(*) FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded}), '0', 'counts reconcile');
ok($node->poll_query_until('wh', "SELECT (SELECT count(*) FROM mart.sale) = $good"), 'the fact has every event');
is($node->safe_psql('wh', 'SELECT count(DISTINCT id) FROM mart.sale'), $good, 'once');

# one run over the same topics, as the workers must not see the feeds
$node->safe_psql('wh', q{
BEGIN;
SELECT wh.create_feed('state_once', 'state', 'upsert', '{id}', sequence_by => 'at');
SELECT wh.create_feed('opening_once', 'state', 'append', '{id}', sequence_by => 'at');
SELECT wh.pause_feed('state_once'), wh.pause_feed('opening_once');
SELECT wh.ingest('state_once');
SELECT wh.ingest('opening_once');
COMMIT;
});
sub same
{
	my ($a, $b, $name) = @_;
	return is($node->safe_psql('wh', "SELECT (SELECT count(*) > 100 FROM ($a) x), (SELECT count(*) FROM (($a EXCEPT ALL $b) UNION ALL ($b EXCEPT ALL $a)) y)"), 't|0', $name);
}
my $history = 'SELECT id, v, at, part, off, effective_from, effective_to, is_deleted FROM staging';
same("$history.state_history", "$history.state_once_history", 'histories are those of one run, whatever partitions a key came from');
my $rows = 'SELECT id, v, at, part, off, effective_from FROM staging';
same("$rows.opening", "$rows.opening_once", 'so are the first events of a key');
my $events = 'SELECT "partition", "offset", sqlstate, record_hash FROM wh.error_event WHERE feed =';
same("$events 'staging.opening'", "$events 'staging.opening_once'", 'and those that came after');
$node->poll_query_until('wh', q{SELECT bool_and(batches_behind = 0) FROM wh.status WHERE object = 'mart.thing'});
same('SELECT id, v, effective_from FROM mart.thing WHERE thing_key > 0', q{SELECT id, v, effective_from FROM (SELECT *, lag(v) OVER (PARTITION BY id ORDER BY effective_from) IS DISTINCT FROM v AS is_new FROM staging.state_once_history) h WHERE is_new}, 'and the dimension');
$node->poll_query_until('wh', q{SELECT count(*) = 0 FROM wh.batch WHERE state = 'running'});
is($node->safe_psql('wh', 'SELECT count(*) FROM wh.check()'), '0', 'wh.check() finds nothing');

# side by side
workers_are($node, 3, 'all workers are back');
$node->safe_psql('wh', 'CREATE TABLE since AS SELECT max(batch_id) AS batch_id FROM wh.batch');
produce('event', [ map { "$_\t{\"id\":$_}" } $messages + 1 .. $messages + 2000 ]);
ok($node->poll_query_until('wh', "SELECT count(*) = $good + 2000 FROM staging.event"), 'it goes on');
cmp_ok($node->safe_psql('wh', q{SELECT count(DISTINCT b.backend_pid) FROM wh.batch b JOIN wh.batch_step s USING (batch_id), since n WHERE b.batch_id > n.batch_id AND s.object = 'staging.event' AND s.rows_read > 0}), '>', 1,
	'more than one worker loads a feed');
is($node->safe_psql('wh', q{SELECT count(*) FROM wh.batch b, since n WHERE b.batch_id > n.batch_id AND b.kind = 'ingest' AND b.backend_pid = (SELECT pid FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker')}), '0',
	'the leader does not');

# While a session has a feed, no worker writes to it.
is($node->safe_psql('wh', qq{
CREATE TABLE seen (n bigint);
BEGIN;
SELECT wh.ingest('event') \\gset
\\! printf '1\\t{"id":6000001}\\n2\\t{"id":6000002}\\n3\\t{"id":6000003}\\n' | $tool produce event
\\! printf '1\\t{"id":4000000,"v":1,"at":"2026-01-02"}\\n' | $tool produce state
DO \$\$
BEGIN
  WHILE NOT EXISTS (SELECT FROM staging.state WHERE id = 4000000) LOOP PERFORM pg_sleep(0.02); END LOOP;
  PERFORM pg_sleep(0.5);    -- nothing shows that a worker does nothing
END
\$\$;
INSERT INTO seen SELECT count(*) FROM staging.event WHERE id IN (6000001, 6000002, 6000003);
SELECT wh.ingest('event') \\gset
COMMIT;
SELECT n FROM seen;
}), '0', 'while a session has a feed no worker writes to it');
is($node->safe_psql('wh', 'SELECT count(*), count(DISTINCT id) FROM staging.event WHERE id IN (6000001, 6000002, 6000003)'), '3|3', 'which stages each message once');

# What happens between reading and writing. A screen holds workers up when they have read; the
# session whose lock it waits for can load the feed meanwhile.
my $probe = 5_000_000;
$node->safe_psql('wh', q{
CREATE FUNCTION public.gate(id int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM pg_advisory_lock_shared(42), pg_advisory_unlock_shared(42);
  RETURN true;
END $$;
SELECT wh.add_screen('event', 'gate', 'public.gate(id)');
});
sub meanwhile
{
	my ($waiting, $lines, $where, $sql) = @_;
	# each worker has opened the topic since the last change, and waits for messages
	my $settled = ++$probe;
	produce('event', [qq(1\t{"id":${settled}$_})], "p=$_") for 0 .. 3;
	$node->poll_query_until('wh', "SELECT count(*) = 4 FROM staging.event WHERE id / 10 = $settled") or die;
	open(my $file, '>', 'lines') or die $!;
	print $file "$_\n" for @$lines;
	close $file;
	return $node->safe_psql('wh', qq{
BEGIN;
SELECT FROM pg_advisory_xact_lock(42);
\\! $tool produce event $where < lines
DO \$\$
BEGIN
  WHILE (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted) < $waiting LOOP
    PERFORM pg_sleep(0.02);
  END LOOP;
END
\$\$;
$sql;
COMMIT;
});
}
$node->safe_psql('wh', q{SELECT wh.add_screen('event', 'plus', 'id > 0')});
produce('event', [qq(1\t{"id":-1})]);
ok($node->poll_query_until('wh', q{SELECT count(*) = 1 FROM wh.error_event WHERE feed = 'staging.event' AND message LIKE '%plus%'}), 'a record is rejected');
meanwhile(3, [ map { "$_\t{\"id\":$_}" } $messages + 2001 .. $messages + 3000 ], '', q{SELECT wh.ingest('event')});
produce('event', [ map { "$_\t{\"id\":$_}" } $messages + 3001 .. $messages + 3100 ]);
ok($node->poll_query_until('wh', "SELECT count(DISTINCT id) >= $good + 3100 FROM staging.event WHERE id < 5000000"), 'workers go on from what another session has loaded while they waited');
is($node->safe_psql('wh', 'SELECT count(*) FROM staging.event WHERE id < 5000000'), $good + 3100, 'and drop what they had read of it');
$node->safe_psql('wh', q{SELECT wh.drop_screen('event', 'plus')});
meanwhile(1, [ map { "$_\t{\"id\":$_}" } $messages + 3101 .. $messages + 3200 ], 'p=0', q{SELECT wh.retry_error_events('event')});
ok($node->poll_query_until('wh', "SELECT count(*) = $good + 3201 FROM staging.event WHERE id < 5000000"), 'and what they had not is written');
is($node->safe_psql('wh', "SELECT (SELECT min(batch_id) FROM staging.event WHERE id BETWEEN $messages + 3101 AND $messages + 3200) > (SELECT batch_id FROM staging.event WHERE id = -1)"), 't', 'under a later number');
meanwhile(1, [ map { "$_\t{\"id\":$_}" } $messages + 3201 .. $messages + 3300 ], 'p=0', q{SELECT wh.add_screen('event', 'small', 'id < 0')});
ok($node->poll_query_until('wh', "SELECT count(*) = 100 FROM wh.error_event WHERE feed = 'staging.event' AND message LIKE '%small%'"), 'a screen that is added meanwhile counts');
$node->safe_psql('wh', q{SELECT wh.drop_screen('event', 'small')});
meanwhile(1, [ map { "$_\t{\"id\":$_}" } $messages + 3301 .. $messages + 3400 ], 'p=0', q{SELECT wh.pause_feed('event')});
is($node->safe_psql('wh', 'SELECT count(*) FROM staging.event WHERE id < 5000000'), $good + 3201, 'once a feed is paused nothing more is written');
$node->safe_psql('wh', q{SELECT wh.resume_feed('event')});
ok($node->poll_query_until('wh', "SELECT count(*) = $good + 3301 FROM staging.event WHERE id < 5000000"), 'until it goes on');
ok($node->poll_query_until('wh', "SELECT count(*) = $good + 3301 AND count(DISTINCT id) = $good + 3301 FROM mart.sale WHERE id < 5000000"), 'the fact has each of them once');

# one partition fails, the others go on
$node->safe_psql('wh', q{SELECT wh.pause_feed('event')});
my $end = $node->safe_psql('wh', q{SELECT next_offset + 5 FROM wh.kafka_offset WHERE feed = 'staging.event' AND partition = 1});
for my $p (0 .. 3)
{
	produce('event', [ map { "$_\t{\"id\":$_}" } 1_000_000 + 100 * $p .. 1_000_009 + 100 * $p ], "p=$p");
}
tool('truncate', 'event', 1, $end);
$node->safe_psql('wh', q{SELECT wh.resume_feed('event')});
ok($node->poll_query_until('wh', 'SELECT count(*) = 30 FROM staging.event WHERE id BETWEEN 1000000 AND 1999999'), 'a partition that fails does not stop those of other workers');
ok($node->poll_query_until('wh', q{SELECT state = 'retrying' AND last_error LIKE '%not retained any more%' FROM wh.status WHERE object = 'staging.event'}), 'and is the state of the feed');
$node->safe_psql('wh', q{SELECT wh.alter_feed('event', on_lost_messages => 'continue')});
ok($node->poll_query_until('wh', 'SELECT count(*) = 35 FROM staging.event WHERE id BETWEEN 1000000 AND 1999999'), 'it is tried again');
ok($node->poll_query_until('wh', q{SELECT state = 'ready' AND lag = 0 FROM wh.status WHERE object = 'staging.event'}), 'and then is well');

# a partition that is added finds its worker
tool('partitions', 'event', 6);
produce('event', [qq(1\t{"id":300000$_})], "p=$_") for 4 .. 5;
ok($node->poll_query_until('wh', 'SELECT count(*) = 2 FROM staging.event WHERE part > 3'), 'partitions that are added are read');

# they end with their leader
$node->safe_psql('wh', q{CREATE TABLE old AS SELECT pid FROM pg_stat_activity WHERE backend_type = 'widgets_wh kafka worker'});
$node->safe_psql('wh', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker'});
ok($node->poll_query_until('wh', q{SELECT count(*) = 0 FROM pg_stat_activity JOIN old USING (pid)}), 'workers end with their leader');
workers_are($node, 3, 'and come back with it');

# more than there are slots
my $log = -s $node->logfile;
set_workers($node, 40);
ok($node->poll_query_until('wh', q{SELECT count(*) BETWEEN 8 AND 11 FROM pg_stat_activity WHERE backend_type = 'widgets_wh kafka worker'}), 'as many workers as there are slots');
produce('event', [qq(1\t{"id":2000000})]);
ok($node->poll_query_until('wh', 'SELECT count(*) = 1 FROM staging.event WHERE id = 2000000'), 'load everything');
my @told = slurp_file($node->logfile, $log) =~ /too few slots for background workers/g;
is(scalar(@told), 1, 'which is said once');
set_workers($node, 1);
workers_are($node, 0, 'with one, the worker of the database loads alone');
produce('event', [qq(1\t{"id":2000001})]);
ok($node->poll_query_until('wh', 'SELECT count(*) = 1 FROM staging.event WHERE id = 2000001'), 'and goes on');
set_workers($node, 4);
workers_are($node, 4, 'the setting changes while it runs');
my $start = time();
$node->stop('fast');
cmp_ok(time() - $start, '<', 5, 'they stop at once');
done_testing();
