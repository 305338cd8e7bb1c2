# The background worker: what changes while it runs, feeds that fail beside others, its states.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;
use Time::HiRes qw(time);

my $node = new_server('main', qq{
widgets_wh.databases = 'wh, other, wh'
widgets_wh.batch_interval = '50ms'
widgets_wh.publish_interval = '200ms'
});
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE wh');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->restart;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker' AND state = 'idle'}),
	'a worker waits in each database, without the extension');

tool('topic', $_, 2) for qw(first second gap);
produce($_, lines(1 .. 10)) for qw(first second gap);
$node->safe_psql('wh', qq{
CREATE EXTENSION widgets_wh;
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_BOOTSTRAP}');
CREATE FOREIGN TABLE first (id int) SERVER shop OPTIONS (topic 'first');
CREATE FOREIGN TABLE second (id int) SERVER shop OPTIONS (topic 'second');
CREATE FOREIGN TABLE gap (id int) SERVER shop OPTIONS (topic 'gap');
CREATE FOREIGN TABLE missing (id int) SERVER shop OPTIONS (topic 'missing');
SELECT wh.create_feed('missing', 'missing', 'append');
SELECT wh.create_feed('first', 'first', 'append');
SELECT wh.create_feed('second', 'second', 'upsert', '{id}');
SELECT wh.create_feed('gap', 'gap', 'append');
});

sub staged
{
	my ($feed, $count, $name) = @_;
	return ok($node->poll_query_until('wh', "SELECT count(*) = $count AND count(DISTINCT id) = $count FROM staging.$feed"), $name);
}
staged($_, 10, "feed $_ is loaded once the extension is there") for qw(first second gap);
becomes($node, 'missing', q{state = 'retrying' AND last_error LIKE '%missing%' AND next_retry_at IS NOT NULL}, 'a topic that is missing is a state, and does not stop the others');
tool('topic', 'missing', 1);
produce('missing', lines(1 .. 5));
staged('missing', 5, 'and is tried again');
becomes($node, 'missing', q{state = 'ready'}, 'and then is well');

$node->safe_psql('wh', q{SELECT wh.pause_feed('first')});
# the worker may be in a batch; the next ones see it
$node->poll_query_until('wh', q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'});
sleep 2;    # nothing shows that a paused feed does nothing
produce($_, lines(11 .. 20)) for qw(first second);
staged('second', 20, 'another feed goes on');
is($node->safe_psql('wh', 'SELECT count(*) FROM staging.first'), '10', 'a paused feed does not');
$node->safe_psql('wh', q{SELECT wh.resume_feed('first')});
staged('first', 20, 'a resumed feed does');

tool('partitions', 'first', 3);
produce('first', lines(21 .. 30), 'p=2');
staged('first', 30, 'a partition that is added is read');

$node->safe_psql('wh', q{SELECT wh.pause_feed('gap')});
sleep 2;
produce('gap', lines(11 .. 20), 'p=0');
my $end = $node->safe_psql('wh', q{SELECT next_offset + 4 FROM wh.kafka_offset WHERE feed = 'staging.gap' AND partition = 0});
tool('truncate', 'gap', 0, $end);
$node->safe_psql('wh', q{SELECT wh.resume_feed('gap')});
becomes($node, 'gap', q{state = 'retrying' AND last_error LIKE '%not retained any more%'}, 'messages that are gone stop a feed');
$node->safe_psql('wh', q{SELECT wh.alter_feed('gap', on_lost_messages => 'continue')});
staged('gap', 16, 'or are left out');
is($node->safe_psql('wh', q{SELECT count(*), min("partition") FROM wh.error_event WHERE feed = 'staging.gap'}), '1|0', 'and are an error event');

$node->safe_psql('wh', q{SELECT wh.seek_feed('second', 'earliest')});
ok($node->poll_query_until('wh', q{SELECT sum(rows_repeated) = 20 FROM wh.batch_step WHERE object = 'staging.second'}), 'a seek is noticed, and repeats nothing');

tool('delete-topic', 'second');
tool('topic', 'second', 2);
produce('second', lines(101 .. 103));
staged('second', 23, 'a topic made anew is read from its start');

# a topic made anew that has grown past what was read, while nobody looked
tool('topic', 'anew', 1);
produce('anew', lines(1 .. 10));
$node->safe_psql('wh', q{CREATE FOREIGN TABLE anew (id int) SERVER shop OPTIONS (topic 'anew'); SELECT wh.create_feed('anew', 'anew', 'append')});
staged('anew', 10, 'a feed made while the worker runs is loaded');
$node->safe_psql('wh', q{SELECT wh.pause_feed('anew')});
ok($node->poll_query_until('wh', q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'}), 'it is paused');
sleep 2;
tool('delete-topic', 'anew');
tool('topic', 'anew', 1);
produce('anew', lines(101 .. 150));
$node->safe_psql('wh', q{SELECT wh.resume_feed('anew')});
becomes($node, 'anew', q{state = 'retrying' AND last_error LIKE '%another one than was read%'}, 'another topic of its name stops it');
$node->safe_psql('wh', q{SELECT wh.seek_feed('anew', 'earliest')});
staged('anew', 60, 'until a seek lets it go on');

# where a feed starts is set in the transaction that makes it: the worker reads nothing else
tool('topic', 'start', 2);
produce('start', lines(1 .. 10));
$node->safe_psql('wh', qq{
CREATE FOREIGN TABLE start_$_ (id int) SERVER shop OPTIONS (topic 'start');
BEGIN; SELECT wh.create_feed('start_$_', 'start_$_', 'append'); SELECT pg_sleep(0.3); SELECT wh.seek_feed('start_$_', 'latest'); COMMIT;
}) for 1 .. 3;
produce('start', lines(11 .. 20));
for (1 .. 3)
{
	staged("start_$_", 10, 'a feed that starts at the end');
	is($node->safe_psql('wh', "SELECT min(id) FROM staging.start_$_"), '11', 'has only what came since');
}

# a wrong password and a wrong certificate are states, and end when they are corrected
tool('topic', $_, 1) for qw(locked sealed);
produce($_, lines(1 .. 10)) for qw(locked sealed);
$node->safe_psql('wh', qq{
CREATE SERVER locked FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_SASL}', security_protocol 'sasl_plaintext', sasl_mechanism 'SCRAM-SHA-256');
CREATE USER MAPPING FOR CURRENT_USER SERVER locked OPTIONS (username 'wh', password 'hush-hush');
CREATE FOREIGN TABLE locked (id int) SERVER locked OPTIONS (topic 'locked');
SELECT wh.create_feed('locked', 'locked', 'append');
CREATE SERVER sealed FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_SSL}', security_protocol 'ssl', ssl_ca_location '$ENV{KAFKA_DIR}/other-ca.pem');
CREATE FOREIGN TABLE sealed (id int) SERVER sealed OPTIONS (topic 'sealed');
SELECT wh.create_feed('sealed', 'sealed', 'append');
});
tool('topic', 'closed', 1);
produce('closed', lines(1 .. 10));
tool('deny', 'closed', 'wh');
$node->safe_psql('wh', qq{
CREATE SERVER closed FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_SASL}', security_protocol 'sasl_plaintext', sasl_mechanism 'SCRAM-SHA-256');
CREATE USER MAPPING FOR CURRENT_USER SERVER closed OPTIONS (username 'wh', password 'wh-secret');
CREATE FOREIGN TABLE closed (id int) SERVER closed OPTIONS (topic 'closed');
SELECT wh.create_feed('closed', 'closed', 'append');
});
becomes($node, 'closed', q{state = 'retrying' AND last_error LIKE '%uthorization%' AND next_retry_at IS NOT NULL}, 'a refused authorization is a state');
tool('allow', 'closed', 'wh');
staged('closed', 10, 'and is tried again');
becomes($node, 'locked', q{state = 'retrying' AND last_error LIKE '%uthentication%' AND concat_ws(' ', last_error, last_error_detail) NOT LIKE '%hush-hush%'}, 'a wrong password is a state that does not show it');
becomes($node, 'sealed', q{state = 'retrying' AND concat_ws(' ', last_error, last_error_detail) LIKE '%certificate%'}, 'a wrong certificate is a state');
$node->safe_psql('wh', qq{
ALTER USER MAPPING FOR CURRENT_USER SERVER locked OPTIONS (SET password 'wh-secret');
ALTER SERVER sealed OPTIONS (SET ssl_ca_location '$ENV{KAFKA_DIR}/ca.pem');
});
staged($_, 10, "feed $_ is loaded once that is corrected") for qw(locked sealed);

broker('kill');
ok($node->poll_query_until('wh', q{SELECT bool_and(state IN ('disconnected', 'retrying')) FROM wh.status WHERE kind = 'feed'}), 'a broker that is down is a state');
broker('start');
produce('first', lines(31 .. 40));
staged('first', 40, 'it is back');

# committed and aborted transactions: all rows of the first ones, and no lag is left
produce('first', lines(41 .. 50), 'p=0', 'commit');
produce('first', lines(901 .. 910), 'p=0', 'abort');
staged('first', 50, 'messages of aborted transactions are left out');
ok($node->poll_query_until('wh', q{SELECT sum(lag) = 0 AND sum(next_offset) >= 62 FROM wh.kafka_offset WHERE feed = 'staging.first'}), 'and no lag is left');

# what the worker tells the broker, and of itself
my $stored = $node->safe_psql('wh', q{SELECT string_agg(next_offset::text, ' ' ORDER BY partition) FROM wh.kafka_offset WHERE feed = 'staging.first'});
my $told = '';
for (1 .. 300)
{
	$told = join(' ', map { (split)[1] } `$tool committed first widgets_wh.wh.staging.first`);
	last if $told eq $stored;
	select(undef, undef, undef, 0.1);
}
is($told, $stored, 'the worker tells the broker its offsets');
for my $i (1 .. 8)
{
	produce('second', lines(200 + $i));
	sleep 1;    # rates are taken over 5 s
}
becomes($node, 'second', 'rows_per_second > 0 AND rows_per_second < 1000', 'messages a second are in wh.status');
is($node->safe_psql('wh', q{SELECT DISTINCT query FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker' AND query ~ '^(ingest|publish|list feeds|start a batch|look for|connect|count|report)'}) ne '', 1, 'what it does is in pg_stat_activity');
sub switches { return $node->safe_psql('wh', q{SELECT substring(pg_read_file('/proc/' || pid || '/status') FROM 'voluntary_ctxt_switches:\s+(\d+)') FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker' AND datname = 'wh'}); }
$node->safe_psql('wh', q{SELECT wh.pause_feed(relation::text) FROM wh.feed WHERE relation::text NOT IN ('staging.first', 'staging.second')});
sleep 2;
my $switches = switches();
sleep 3;
cmp_ok(switches() - $switches, '<', 100, 'with nothing to load it waits');
$node->safe_psql('wh', q{SELECT wh.resume_feed(relation::text) FROM wh.feed WHERE is_paused});

# a run beside the worker
produce('first', lines(51 .. 5000));
$node->psql('wh', 'CALL wh.run()') for 1 .. 10;
staged('first', 5000, 'two consumers of one feed stage everything once');

# while a session has the feed, the worker has fetched the same messages already
open(my $lines, '>', 'lines') or die $!;
print $lines "$_\t{\"id\":$_}\n" for 6001 .. 6100;
close $lines;
$node->safe_psql('wh', qq{
BEGIN;
SELECT wh.ingest('first');
\\! $tool produce first < lines
SELECT wh.ingest('first');
SELECT pg_sleep(1);  -- nothing shows what the worker has fetched
COMMIT;
});
produce('first', lines(6101 .. 6110));
ok($node->poll_query_until('wh', q{SELECT count(*) = 10 FROM staging.first WHERE id > 6100}), 'the worker goes on after a run of another session');
is($node->safe_psql('wh', 'SELECT count(*), count(DISTINCT id) FROM staging.first'), '5110|5110', 'and repeats nothing of it');

# a topic that is compacted, and one with messages of ten bad kinds, 1 % of all
tool('topic', 'compact', 1, 'cleanup.policy=compact', 'min.cleanable.dirty.ratio=0.01', 'segment.ms=100', 'delete.retention.ms=100');
tool('topic', 'poison', 2);
open(my $keyed, '|-', $tool, 'produce', 'compact') or die $!;
printf $keyed "%d\t{\"id\":%d,\"v\":%d}\n", $_ % 10, $_ % 10, $_ for 1 .. 5000;
close $keyed or die;
sleep 1;    # segments are rolled by age
produce('compact', lines(1));
for (1 .. 300)
{
	last if `kcat -C -b $ENV{KAFKA_BOOTSTRAP} -t compact -e -q -o beginning | wc -l` < 4000;
	sleep 1;    # until the broker's cleaner has been there
}
cmp_ok(`kcat -C -b $ENV{KAFKA_BOOTSTRAP} -t compact -e -q -o beginning | wc -l`, '<', 4000, 'the topic is compacted');
my $deep = '[' x 20000;
my @bad = ('{"id":1', '{"id":"x","v":1}', '{"id":99999999999,"v":1}', '\\x7b226964223a312c2276223a3122fe227d', '\\x7b226964223a312c227422003a317d',
	'{"v":1}', qq({"id":1,"j":$deep}), '\\x', '[1,2]', '{"id":1,"t":"' . 'x' x 5_000_000);
open(my $mixed, '|-', $tool, 'produce', 'poison') or die $!;
print $mixed "$_\t", $_ % 100 ? "{\"id\":$_,\"v\":1}" : $bad[ $_ / 100 % 10 ], "\n" for 1 .. 3000;
close $mixed or die;
$node->safe_psql('wh', q{
CREATE FOREIGN TABLE compact (id int, v int) SERVER shop OPTIONS (topic 'compact');
CREATE FOREIGN TABLE poison (id int NOT NULL, v int, t text, j jsonb) SERVER shop OPTIONS (topic 'poison');
SELECT wh.create_feed('compact', 'compact', 'upsert', '{id}');
SELECT wh.create_feed('poison', 'poison', 'append');
});
becomes($node, 'compact', 'lag = 0', 'a compacted topic is read to its end');
is($node->safe_psql('wh', 'SELECT count(*), min(v), max(v) FROM staging.compact WHERE v > 4990'), '9|4992|5000', 'with the last state of each key');
becomes($node, 'poison', 'lag = 0 AND rows = 2970 AND rows_rejected = 30', 'bad messages are error events, the others are staged, no lag is left');
is($node->safe_psql('wh', q{SELECT count(*), count(DISTINCT id), sum(id) = 3000 * 3001 / 2 - 100 * 30 * 31 / 2 FROM staging.poison}), '2970|2970|t', 'every good one');
is($node->safe_psql('wh', q{SELECT count(*), count(DISTINCT record_hash) FROM wh.error_event WHERE feed = 'staging.poison' AND (raw_record IS NOT NULL) AND topic = 'poison'}), '30|10', 'every bad one, as it was sent');

# a run tells the broker how far it got, as the worker does
$node->safe_psql('postgres', qq{
CREATE EXTENSION widgets_wh;
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_BOOTSTRAP}');
CREATE FOREIGN TABLE gap (id int) SERVER shop OPTIONS (topic 'gap');
SELECT wh.create_feed('gap', 'gap', 'append');
});
sub committed { return join(' ', map { (split)[1] } `$tool committed gap widgets_wh.postgres.staging.gap`); }
sub stored { return $node->safe_psql('postgres', q{SELECT string_agg(next_offset::text, ' ' ORDER BY partition) FROM wh.kafka_offset}); }
$node->psql('postgres', q{BEGIN; SELECT wh.ingest('gap'); ROLLBACK;});
is(committed(), '-1001 -1001', 'no offset is told of what is rolled back');
$node->safe_psql('postgres', 'CALL wh.run()');
is(committed(), stored(), 'wh.run tells the broker its offsets');
produce('gap', lines(21 .. 30));
$node->safe_psql('postgres', q{BEGIN; SAVEPOINT a; SELECT wh.ingest('gap'); ROLLBACK TO a; SELECT wh.ingest('gap'); COMMIT;});
is(committed(), stored(), 'and so does wh.ingest');
is($node->safe_psql('wh', q{SELECT count(*) FROM staging.gap}), '26', 'the worker of another database has its own');

$node->append_conf('postgresql.conf', "widgets_wh.batch_rows = 7\n");
$node->reload;
produce('first', lines(5001 .. 5100));
staged('first', 5210, 'with another batch_rows');
cmp_ok($node->safe_psql('wh', q{SELECT max(rows_read) FROM wh.batch_step s JOIN wh.batch b USING (batch_id) WHERE b.started_at > now() - interval '5 s' AND s.object = 'staging.first' AND b.batch_id > (SELECT max(batch_id) - 10 FROM wh.batch)}), '<=', 7,
	'batches are bounded by it');
is($node->safe_psql('wh', q{SELECT count(*) FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded}), '0', 'counts reconcile');
my $start = time();
$node->stop('fast');
cmp_ok(time() - $start, '<', 5, 'it stops at once');
done_testing();
