# What the tests of this folder share: servers, the broker's tool, waiting.
#
# A test's servers are PostgreSQL::Test::Cluster's; scripts/check-recovery runs the tests, with a broker beside them whose
# control it answers through two pipes.
package WarehouseTest;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw($tool tool broker produce lines new_server start_again end_processes becomes workers_are set_workers);
our $tool = ($ENV{KAFKA_DIR} // '') . '/kafka_tool';

# Call test/kafka_tool.c.
sub tool { system($tool, @_) == 0 or die "kafka_tool @_"; return; }

# Call scripts/kafka-ctl, as the user who runs the broker.
sub broker
{
	open(my $request, '>', $ENV{WH_KAFKA_REQUESTS}) or die $!;
	print $request "@_\n";
	close $request;
	open(my $answer, '<', $ENV{WH_KAFKA_ANSWERS}) or die $!;
	my $status = <$answer>;
	close $answer;
	die "kafka-ctl @_ failed" if $status != 0;
	return;
}

# Produce lines "key TAB value"; where is a list of more arguments of the tool.
sub produce
{
	my ($topic, $lines, @where) = @_;
	open(my $out, '|-', $tool, 'produce', $topic, @where) or die $!;
	print $out "$_\n" for @$lines;
	close $out or die 'produce failed';
	return;
}

# Lines of messages with these ids.
sub lines { return [ map { "$_\t{\"id\":$_}" } @_ ]; }

# A server that is not started yet, with the extension preloaded; settings are lines of postgresql.conf, and what is
# left goes to PostgreSQL::Test::Cluster's init.
sub new_server
{
	my ($name, $settings, @init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(@init);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'widgets_wh'\nshared_buffers = '64MB'\nlog_statement = none\nmax_connections = 20\n$settings");
	return $node;
}

# Start a server that was killed: what a postmaster leaves behind needs a moment to notice.
sub start_again
{
	my ($node) = @_;
	for (1 .. 600)
	{
		return if $node->start(fail_ok => 1);
		$node->{_pid} = undef;    # start reads it from the file of the server that was killed
		usleep(100_000);
	}
	die 'the server does not start again';
}

# End every process whose type is like a pattern, and wait until all of them are gone. Returns how many there were.
# One that ends by itself meanwhile is as welcome: no answer of pg_terminate_backend is looked at.
sub end_processes
{
	my ($node, $type) = @_;
	my $pids = $node->safe_psql('postgres', qq{
SELECT string_agg(pid::text, ',') FROM (SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE '$type' OFFSET 0) ended});
	return 0 if $pids eq '';
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid IN ($pids) AND backend_type LIKE '$type'") or die "$type does not end";
	return scalar split(/,/, $pids);
}

# Wait until a condition on the row of a feed in wh.status holds.
sub becomes
{
	my ($node, $feed, $condition, $name) = @_;
	return ok($node->poll_query_until('wh', "SELECT $condition FROM wh.status WHERE object = 'staging.$feed'"), $name);
}

# Wait until there are so many Kafka workers beside the leader.
sub workers_are
{
	my ($node, $n, $name) = @_;
	return ok($node->poll_query_until('postgres', "SELECT count(*) = $n FROM pg_stat_activity WHERE backend_type = 'widgets_wh kafka worker'"), $name);
}

# Change the number of Kafka workers while the server runs.
sub set_workers
{
	my ($node, $n) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET widgets_wh.kafka_workers = $n");
	$node->reload;
	return;
}

1;
