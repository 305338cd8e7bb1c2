# Messages are produced while the server is killed, the broker restarted and the worker ended at
# random moments. In the end every message is staged, and in the fact, exactly once.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;
use Time::HiRes qw(usleep time);

my $messages = $ENV{MESSAGES} // 200_000;
my $kills = $ENV{KILLS} // 10;
my $ends = $ENV{ENDS} // 10;
my $seed = $ENV{SEED} // int(time());
srand($seed);
note "SEED=$seed";

tool('topic', 'crash', 4);
my $node = new_server('main', qq{
widgets_wh.databases = 'wh'
widgets_wh.batch_rows = 3000
widgets_wh.batch_interval = '50ms'
widgets_wh.publish_interval = '300ms'
}, allows_streaming => 1);
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE wh');
$node->safe_psql('wh', qq{
CREATE EXTENSION widgets_wh;
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_BOOTSTRAP}');
CREATE FOREIGN TABLE src (id int, amount numeric, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'))
  SERVER shop OPTIONS (topic 'crash');
SELECT wh.create_feed('event', 'src', 'append');
SELECT wh.create_feed('state', 'src', 'upsert', '{id}');
SELECT wh.create_fact('sale', 'SELECT id, amount, effective_from AS at FROM staging.event', '{id}', 'at', '{}', mode => 'append');
});
$node->restart;

# Produce messages with these ids, in a process of its own, for about so many seconds or more.
sub produce_slowly
{
	my ($from, $to, $pause) = @_;
	my $producer = fork() // die;
	return $producer if $producer;
	open(my $out, '|-', $tool, 'produce', 'crash') or die $!;
	$out->autoflush(1);
	for my $i ($from .. $to)
	{
		print $out "$i\t{\"id\":$i,\"amount\":1.5}\n";
		usleep($pause) if $i % 50 == 0;
	}
	close $out or POSIX::_exit(1);
	POSIX::_exit(0);
}

my $producer = produce_slowly(1, $messages, 5_000);
my $started = time();
for my $kill (1 .. $kills)
{
	usleep(200_000 + int(rand(1_500_000)));
	broker($kill % 2 ? 'kill' : 'stop') if $kill == 3 || $kill == 7;
	$node->kill9;
	broker('start') if $kill == 3 || $kill == 7;
	start_again($node);
}
waitpid($producer, 0);
is($?, 0, 'every message is sent');

# the same with the worker ended at random moments; the postmaster starts it again after 10 s
$producer = produce_slowly($messages + 1, 2 * $messages, 1_000_000 * 11 * $ends / ($messages / 50));
my $ended = 0;
for (1 .. $ends)
{
	$node->poll_query_until('wh', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker'}) or die;
	usleep(int(rand(1_000_000)));
	$ended += end_processes($node, 'widgets_wh worker');
}
waitpid($producer, 0);
is($?, 0, 'every message is sent');
is($ended, $ends, 'while the worker was ended as often');
$messages *= 2;
ok($node->poll_query_until('wh', "SELECT (SELECT count(*) FROM staging.event) >= $messages AND (SELECT count(*) FROM staging.state) >= $messages AND (SELECT count(*) FROM mart.sale) >= $messages"),
	"everything arrives ($kills kills, $ends ends)");
note sprintf('%.0f s', time() - $started);
is($node->safe_psql('wh', 'SELECT count(*), count(DISTINCT id), min(id), max(id) FROM staging.event'), "$messages|$messages|1|$messages", 'events: none missing, none twice');
is($node->safe_psql('wh', 'SELECT count(*), count(DISTINCT id) FROM staging.state_history'), "$messages|$messages", 'states: none missing, none twice');
is($node->safe_psql('wh', 'SELECT count(*), count(DISTINCT id), sum(amount) = 1.5 * count(*) FROM mart.sale'), "$messages|$messages|t", 'the fact has every message once');
is($node->safe_psql('wh', q{
SELECT count(*) FROM (SELECT part, off FROM src EXCEPT ALL SELECT part, off FROM staging.event) missing}), '0', 'every message of the topic is staged');
is($node->safe_psql('wh', q{
SELECT count(*) FROM wh.kafka_offset o WHERE next_offset <> (SELECT max(off) + 1 FROM staging.event WHERE part = o.partition) OR lag <> 0}), '0', 'offsets are right');
is($node->safe_psql('wh', 'SELECT count(*) FROM wh.error_event'), '0', 'no error event');
is($node->safe_psql('wh', q{SELECT count(*) FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded}), '0', 'counts reconcile');
is($node->safe_psql('wh', q{SELECT coalesce(sum(rows_read), 0) FROM wh.batch_step s JOIN wh.batch b USING (batch_id) WHERE b.kind = 'ingest' AND b.state = 'succeeded' AND s.object = 'staging.event'}), $messages, 'the log has read every message once');
$node->poll_query_until('wh', q{SELECT count(*) = 0 FROM wh.batch WHERE state = 'running'});
is($node->safe_psql('wh', q{SELECT count(*) FROM wh.batch WHERE state = 'running'}), '0', 'no batch is left running');
is($node->safe_psql('wh', 'SELECT count(*) FROM wh.check()'), '0', 'wh.check() finds nothing');

# A standby that is promoted goes on from the right offset.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
open(my $out, '|-', $tool, 'produce', 'crash') or die $!;
for my $i ($messages + 1 .. $messages + 20_000)
{
	print $out "$i\t{\"id\":$i,\"amount\":1.5}\n";
}
close $out;
$node->poll_query_until('wh', "SELECT count(*) > $messages FROM staging.event");
$node->kill9;
is($standby->safe_psql('wh', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker'}), '0', 'a standby has no worker');
$standby->promote;
$messages += 20_000;
ok($standby->poll_query_until('wh', "SELECT count(*) >= $messages FROM staging.event"), 'the promoted standby goes on');
is($standby->safe_psql('wh', 'SELECT count(*), count(DISTINCT id), max(id) FROM staging.event'), "$messages|$messages|$messages", 'none missing, none twice');
$standby->stop('fast');
done_testing();
