# The memory of workers is bounded, however large messages are and however many partitions a topic has.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $messages = $ENV{MESSAGES} // 120;
my $partitions = 24;

my $node = new_server('main', qq{
widgets_wh.databases = 'wh'
max_worker_processes = 12
shared_buffers = '16MB'
maintenance_work_mem = '16MB'
});
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE wh');

# Produce large messages, a good one and a bad one in turns.
sub produce_large
{
	my ($topic) = @_;
	my $filler = 'x' x 5_000_000;
	open(my $out, '|-', $tool, 'produce', $topic) or die $!;
	for my $i (1 .. $messages)
	{
		print $out "$i\t", $i % 2 ? qq({"id":$i,"t":"$filler"}\n) : qq({"id":"x$i","t":"$filler"}\n);
	}
	close $out or die 'produce failed';
	return;
}

# The most memory that processes of a type have had as their own, in MB.
sub own_memory
{
	my ($type) = @_;
	my $most = 0;
	for my $pid (split /\n/, $node->safe_psql('wh', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'"))
	{
		my ($kb) = $node->safe_psql('wh', "SELECT pg_read_file('/proc/$pid/status')") =~ /^VmHWM:\s+(\d+)/m;
		$most = $kb / 1024 if $kb / 1024 > $most;
	}
	return $most;
}

for my $workers (1, 3)
{
	my $topic = "large_$workers";
	tool('topic', $topic, $partitions, 'max.message.bytes=6000000');
	produce_large($topic);
	$node->append_conf('postgresql.conf', "widgets_wh.kafka_workers = $workers\n");
	$node->safe_psql('wh', qq{
CREATE EXTENSION IF NOT EXISTS widgets_wh;
CREATE SERVER IF NOT EXISTS shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$ENV{KAFKA_BOOTSTRAP}', fetch_message_max_bytes '6000000');
CREATE FOREIGN TABLE $topic (id int, t text) SERVER shop OPTIONS (topic '$topic');
BEGIN;
SELECT wh.create_feed('$topic', '$topic', 'upsert', '{id}');
SELECT wh.add_screen('$topic', 'long', 'length(t) > 0');
COMMIT;
});
	$node->restart;
	ok($node->poll_query_until('wh', "SELECT coalesce(sum(next_offset), 0) = $messages FROM wh.kafka_offset WHERE feed = 'staging.$topic'"), 'messages of 5 MB are loaded');
	is($node->safe_psql('wh', "SELECT count(*), min(length(t)), (SELECT count(*) FROM wh.error_event WHERE feed = 'staging.$topic') FROM staging.$topic"),
		join('|', $messages / 2, 5_000_000, $messages / 2), 'the good ones staged, the others error events');
	my $most = own_memory($workers > 1 ? 'widgets_wh kafka worker' : 'widgets_wh worker');
	note sprintf('%.0f MB with %d workers', $most, $workers);
	cmp_ok($most, '<', 400, 'in bounded memory');
}
$node->stop('fast');
done_testing();
