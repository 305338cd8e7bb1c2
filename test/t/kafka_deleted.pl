# Topics that go while workers read them, brokers that go and come back: no feed but the one concerned notices, a server
# stops at once whatever librdkafka waits for, and wh.status is right soon after.
use strict;
use warnings;
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
});
my @gone = map { "gone$_" } 1 .. 4;
tool('topic', $_, 2) for ('kept', 'quiet', 'empty', @gone);
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE wh');
$node->safe_psql('wh', "CREATE EXTENSION widgets_wh; CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_BOOTSTRAP}')");
$node->safe_psql('wh', "CREATE FOREIGN TABLE $_ (id int) SERVER shop OPTIONS (topic '$_'); SELECT wh.create_feed('$_', '$_', 'append')")
	for ('kept', 'quiet', 'empty', @gone);
$node->restart;
sub staged
{
	my ($feed, $count, $name) = @_;
	return ok($node->poll_query_until('wh', "SELECT count(*) = $count FROM staging.$feed"), $name);
}
sub pid_of_worker { return $node->safe_psql('wh', q{SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker'}); }

# batches are staged from all of them
my $sent = 0;
for (1 .. 4)
{
	$sent++;
	produce($_, lines($sent)) for ('kept', 'quiet', @gone);
	staged($_, $sent, "$_ has batch $sent") for ('kept', @gone);
}

# topics are deleted one after the other; the feed that is kept goes on within seconds, each time
my $worst = 0;
for my $topic (@gone)
{
	tool('delete-topic', $topic);
	for (1 .. 8)
	{
		my $start = time();
		$sent++;
		produce('kept', lines($sent));
		$node->poll_query_until('wh', "SELECT count(*) = $sent FROM staging.kept") or last;
		$worst = time() - $start if time() - $start > $worst;
		usleep(500_000);
	}
}
staged('kept', $sent, 'the feed over the topic that is kept has all of its messages');
cmp_ok($worst, '<', 8, 'none of them waited long');
note("the longest wait was $worst s");
for my $topic (@gone)
{
	becomes($node, $topic, q{state = 'retrying' AND last_error LIKE '%"gone%'}, "$topic: what is wrong is told");
	is($node->safe_psql('wh', "SELECT count(*) FROM staging.$topic"), 4, "$topic: what was staged is kept");
}

# a topic that is made again is read again
tool('topic', 'gone1', 2);
produce('gone1', lines(101 .. 103));
staged('gone1', 7, 'a topic that was made again is read from its start');

# a server stops at once with connections that do not end
tool('delete-topic', 'gone1');
becomes($node, 'gone1', q{state = 'retrying'}, 'the topic is gone again');
my $stopping = time();
$node->stop('fast');
cmp_ok(time() - $stopping, '<', 5, 'a fast shutdown ends at once');
$node->start;
produce('kept', lines(++$sent));
staged('kept', $sent, 'after the start the feed goes on');

# an outage: afterwards feeds without new messages, and those without any, are as they are
broker('stop');
becomes($node, $_, q{state IN ('retrying', 'disconnected')}, "$_: without brokers it says so") for qw(kept quiet empty);
broker('start');
becomes($node, $_, q{state = 'ready' AND last_error IS NULL}, "$_: afterwards it is ready") for qw(kept quiet empty);
becomes($node, 'empty', q{rows IS NULL OR rows = 0}, 'nothing came from the empty topic');

# the broker stands still: a shutdown ends at once
broker('freeze');
$stopping = time();
$node->stop('fast');
cmp_ok(time() - $stopping, '<', 5, 'a fast shutdown ends at once with brokers that do not answer');
broker('thaw');
done_testing();
