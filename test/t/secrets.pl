# No password, and of card numbers the last four digits only, in any file of the warehouse's server:
# data, WAL, temporary files and log. The operational systems, which have them all, are another server.
# Records come in every state: clean, dirty, cut off, with too few or too many columns, of other types.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $tmp = PostgreSQL::Test::Utils::tempdir;
my ($inventory, $cards) = ("$tmp/inventory", "$tmp/cards");
my %secret;    # what must not be found, and what it is

mkdir $_ or die $! for $inventory, $cards;
sub server
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'widgets_wh'
log_statement = all
log_error_verbosity = verbose
work_mem = '64kB'
});
	$node->start;
	$node->safe_psql('postgres', 'CREATE DATABASE wh');
	$node->safe_psql('wh', 'CREATE EXTENSION widgets_wh');
	return $node;
}
my $operations = server('operations');
my $warehouse = server('warehouse');
# The warehouse's server as a client of psql, which may fail: then its messages are in the log.
sub run_wh { $warehouse->psql('wh', $_[0]); }

# The company -------------------------------------------------------------------------------

tool('topic', "secrets.$_", 1) for qw(customer customer_address loyalty_number order order_line_item);
$operations->safe_psql('wh', qq{SELECT wh.create_model('widgets', 'operations', jsonb_build_object('bootstrap_servers', '$ENV{KAFKA_BOOTSTRAP}',
  'topic_prefix', 'secrets.', 'directory', '$inventory', 'dirt', 0.05))});
$operations->safe_psql('wh', 'CALL wh.simulate(3)');
my ($host, $port) = ($operations->host, $operations->port);
my $user = $operations->safe_psql('wh', 'SELECT current_user');
$warehouse->safe_psql('wh', qq{SELECT wh.create_model('widgets', options => jsonb_build_object('bootstrap_servers', '$ENV{KAFKA_BOOTSTRAP}',
  'topic_prefix', 'secrets.', 'directory', '$inventory', 'operations', jsonb_build_object('host', '$host', 'port', '$port', 'dbname', 'wh', 'user', '$user')))});

# A password or card number of its own for each odd record.
my $odd = 0;
sub odd { $odd++; my $password = sprintf 'Odd%sPass%02dWord', $_[0], $odd; $secret{$password} = "$_[0], password"; return $password; }
sub card { $odd++; my $card = sprintf '4%02d9876543%02d0%04d', $odd, $odd, 1000 + $odd; $secret{ substr $card, 0, 12 } = "$_[0], card number"; return $card; }
my $number = 900_000;
sub customer
{
	my ($of, %other) = @_;
	my ($password, $card) = (odd($of), card($of));
	my %field = (customer_id => ++$number, customer_name => '"Ann Lee"', customer_user_id => '"ann"', customer_password => "\"$password\"", customer_email => '"ann@x.example"',
		customer_date_of_birth => '"1980-01-01"', customer_credit_card_number => "\"$card\"", customer_is_active => 'true',
		customer_inserted_at => '"2024-01-02T10:00:00"', customer_updated_at => '"2024-01-02T10:00:00"', %other);
	for (values %field) { s/PASSWORD/$password/g; s/CARD/$card/g; }
	return '{' . join(', ', map { "\"$_\": $field{$_}" } sort keys %field) . '}';
}
my @message = (
	customer('Clean'),
	substr(customer('CutOff'), 0, -20),
	substr(customer('CutInPassword'), 0, 400) =~ s/(PassNN|Word").*/$1/r,
	customer('Bare', customer_password => 'PASSWORD', customer_credit_card_number => 'CARD'),
	customer('NoDate', customer_date_of_birth => '"the day before"'),
	customer('NoKey', customer_id => 'null'),
	customer('TextKey', customer_id => '"PASSWORD"') =~ s/"customer_id": "[^"]*"/"customer_id": "x"/r,
	customer('NoTime', customer_updated_at => 'null'),
	customer('EndlessTime', customer_updated_at => '"infinity"'),
	customer('Nested', customer_password => '{"plain": ["PASSWORD"]}', customer_credit_card_number => '["CARD"]', customer_is_active => '"perhaps"'),
	customer('Number', customer_credit_card_number => 'CARD', customer_is_active => '{}'),
	customer('Twice', customer_password => '"PASSWORD", "customer_password": "PASSWORD"', customer_sex => '[]'),
	customer('Unknown', customer_pin => '"PASSWORD"', customer_sex => '7.5', customer_id => '1.5'),
	customer('Escape', customer_password => '"PASSWORD\\u0000"'),
	customer('BadEscape', customer_password => '"PASSWORD\\q"'),
	customer('BadBytes', customer_password => "\"PASSWORD\xff\xfe\""),
	customer('Long', customer_password => '"' . 'PASSWORD ' x 2000 . '"', customer_email => '"' . 'a' x 9000 . '"', customer_id => '"x"'),
	customer('After') . ' and more',
	'[' . customer('Array') . ']',
	'"' . odd('Text') . '"',
	odd('Nothing'));
my $keyed = odd('Key');
open(my $out, '|-', $tool, 'produce', 'secrets.customer') or die $!;
binmode $out;
print $out "1\t$_\n" for @message;
print $out "$keyed\tno JSON\n";
close $out or die 'produce failed';

# Store sales that make no sense.
$operations->safe_psql('wh', qq{INSERT INTO in_store.store_sales SELECT 900000 + n, 1, 1, v.quantity, 1, v.total, 'credit', v.date, v.card, NULL, '2024-01-02', v.updated
  FROM (VALUES (1, -1, 1, date '2024-01-02', '@{[card('Negative')]}', timestamp '2024-01-02 12:00'), (2, 2, 1, '2024-01-02', '@{[card('Total')]}', '2024-01-02 12:00'),
    (3, 1, 1, 'infinity', '@{[card('Endless')]}', 'infinity'), (4, 1, 1, '2024-01-02', '@{[card('Spaced')]}   ', '2024-01-02 12:00'),
    (5, 0, 1, '2024-01-02', repeat('@{[card('Wide')]} ', 900) || '1234', '2024-01-02 12:00')) v(n, quantity, total, date, card, updated)});

# CSV files with cards, plain or not -----------------------------------------------------------

my @line = map { my $of = $_->[0]; my $line = $_->[1]; my ($password, $card) = (odd("Csv$of"), card("Csv$of")); $line =~ s/PASSWORD/$password/g; $line =~ s/CARD/$card/g; $line } (
	[ 'Clean', '1,Ann Lee,CARD,PASSWORD,2024-01-01' ],
	[ 'NoNumber', 'x,Ann Lee,CARD,PASSWORD,2024-01-01' ],
	[ 'NoTime', '2,Ann Lee,CARD,PASSWORD,soon' ],
	[ 'Comma', '3,Lee, Ann,CARD,PASSWORD,2024-01-01' ],
	[ 'Missing', '4,CARD,PASSWORD,2024-01-01' ],
	[ 'Only', 'PASSWORD' ],
	[ 'Quoted', '5,"Ann ""Lee""","CARD","PASS""WORD PASSWORD",2024-01-01' ],
	[ 'Lines', "6,Ann Lee,CARD,\"PASSWORD\nPASSWORD\",2024-13-01" ],
	[ 'Bytes', "7,Ann \xff,CARD,PASSWORD\xff,2024-01-01" ],
	[ 'Nul', "8,Ann Lee,CARD,PASSWORD\0,2024-01-01" ],
	[ 'Long', '9x,Ann Lee,CARD,' . 'PASSWORD ' x 1500 . ',2024-01-01' ],
	[ 'Again', '1,Ann Lee,CARD,PASSWORD,2024-01-01' ],
	[ 'Stray', '10,Ann "Lee,CARD,PASS"WORD PASSWORD,2024-01-01' ],
	[ 'Open', '11,Ann Lee,CARD,"PASSWORD,2024-01-01' ]);
open(my $csv, '>', "$cards/card_1.csv") or die $!;
binmode $csv;
print $csv "holder_id,name,card,pin,at\n", map { "$_\n" } @line;
close $csv;
$warehouse->safe_psql('wh', qq{
CREATE SCHEMA src;
CREATE SERVER cards FOREIGN DATA WRAPPER wh_csv OPTIONS (directory '$cards');
CREATE FOREIGN TABLE src.card (holder_id int, name text, card text, pin text, at timestamp) SERVER cards OPTIONS (pattern 'card_*.csv');
SELECT wh.create_feed('card', 'src.card', 'append', key => '{holder_id}', sequence_by => 'at', redact => '{"card": "right(card, 4)", "pin": null}');
CREATE FOREIGN TABLE src.card_number (holder_id int, name text, card smallint, pin int, at timestamp) SERVER cards OPTIONS (pattern 'card_*.csv');
SELECT wh.create_feed('card_number', 'src.card_number', 'upsert', key => '{holder_id}', sequence_by => 'at', redact => '{"card": null, "pin": null}');
SELECT wh.add_screen('staging.card', 'the name is a number', 'name::int > 0');
});

# Runs that succeed, and that fail --------------------------------------------------------------

is($warehouse->safe_psql('wh', 'SELECT count(*) > 10 FROM wh.plan()'), 't', 'a plan');
run_wh('CALL wh.run(publish_anyway => true)');
$warehouse->safe_psql('wh', q{SELECT wh.alter_feed('widgets_staging.customer', reject_limit => 0)});
$operations->safe_psql('wh', 'CALL wh.simulate(1)');
open($out, '|-', $tool, 'produce', 'secrets.customer') or die $!;
print $out "1\t" . customer('Limit', customer_date_of_birth => '"PASSWORD"') =~ s/"customer_date_of_birth": "[^"]*"/"customer_date_of_birth": "never"/r . "\n";
close $out or die 'produce failed';
isnt(run_wh('CALL wh.run()'), 0, 'more rejects than the limit are an error');
$warehouse->safe_psql('wh', q{SELECT wh.alter_feed('widgets_staging.customer', reject_limit => -1)});
# what is stored is tried again, also after the screen that it failed is gone
$warehouse->safe_psql('wh', q{SELECT wh.drop_screen('staging.card', 'the name is a number')});
isnt($warehouse->safe_psql('wh', qq{SELECT wh.retry_error_events('$_')}), undef, "error events of $_ are tried again") for qw(widgets_staging.customer widgets_staging.store_sales staging.card staging.card_number);
run_wh('CALL wh.run(publish_anyway => true)');
run_wh('CALL wh.run(full_refresh => true, publish_anyway => true)');
is($warehouse->safe_psql('wh', 'SELECT count(*) FROM wh.check()'), '0', 'wh.check() finds nothing');
is($warehouse->safe_psql('wh', q{SELECT string_agg(b.object || ': ' || b.message, '; ') FROM wh.batch b WHERE state = 'failed' AND NOT message ~ 'rejects more than'}) || '', '', 'no other run failed');
cmp_ok($warehouse->safe_psql('wh', q{SELECT count(*) FROM wh.error_event WHERE feed = 'widgets_staging.customer'}), '>=', 15, 'odd messages are error events');
cmp_ok($warehouse->safe_psql('wh', q{SELECT count(*) FROM wh.error_event WHERE feed = 'staging.card'}), '>=', 10, 'and odd records of files');
cmp_ok($warehouse->safe_psql('wh', q{SELECT count(*) FROM wh.error_event WHERE feed = 'widgets_staging.store_sales'}), '>=', 3, 'and odd rows of tables');
is($warehouse->safe_psql('wh', q{SELECT count(*) > 200 AND bool_and(card_last_four ~ '^[0-9]{4}$') FROM widgets.customer WHERE customer_key > 0 AND customer_id < 900000}), 't', 'customers have the last four digits');

# The search --------------------------------------------------------------------------------------

$secret{$_} = 'password of a customer' for split /\n/, $operations->safe_psql('wh', q{
  SELECT customer_password FROM ecommerce.customer UNION SELECT record ->> 'customer_password' FROM operations.change WHERE entity = 'customer'});
$secret{$_} = 'card number' for split /\n/, $operations->safe_psql('wh', q{
  SELECT left(n, 12) FROM (SELECT record ->> 'customer_credit_card_number' FROM operations.change WHERE entity = 'customer'
    UNION SELECT record ->> 'cc_number' FROM operations.change WHERE entity = 'store_sales' UNION SELECT cc_number FROM in_store.store_sales WHERE store_sales_id < 900000) c(n) WHERE length(n) >= 12});
cmp_ok(scalar(keys %secret), '>', 1000, 'there are secrets to look for');

# As they are, and as PostgreSQL and others write bytes: hexadecimal.
my $patterns = "$tmp/patterns";
open(my $list, '>', $patterns) or die $!;
print $list "$_\n", unpack('H*', $_), "\n", uc unpack('H*', $_), "\n" for sort keys %secret;
close $list;

# Give "file: what" for each file below a directory with a secret in it.
sub search
{
	my ($directory) = @_;
	my %found;
	open(my $grep, '-|', 'grep', '-r', '-a', '-o', '-F', '-f', $patterns, $directory) or die $!;
	while (<$grep>)
	{
		chomp;
		my ($file, $text) = /^(.*?):(.*)$/ or next;
		my $what = $secret{$text} // $secret{ pack 'H*', $text } // '?';
		$found{ substr($file, length($directory) + 1) . ": $what" } = 1;
	}
	close $grep;
	return sort keys %found;
}

# Compression may hide a secret in a file, so each row of each table is written out as text, too.
sub rows
{
	my $directory = "$tmp/rows";
	mkdir $directory or -d $directory or die $!;
	for my $database (split /\n/, $warehouse->safe_psql('postgres', 'SELECT datname FROM pg_database WHERE datallowconn'))
	{
		$warehouse->safe_psql($database, qq{
DO \$\$ DECLARE r regclass; BEGIN
  FOR r IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'm') AND relpersistence <> 't' LOOP
    EXECUTE format('COPY (SELECT this_row::text FROM %s this_row) TO %L', r, '$directory/$database.' || r::oid);
  END LOOP;
END \$\$});
	}
	return $directory;
}
$warehouse->safe_psql('wh', 'CHECKPOINT');
is_deeply([ search($warehouse->data_dir) ], [], 'no file of the server has a secret');
is_deeply([ search(rows()) ], [], 'no row of a table has');
ok(-s $warehouse->logfile, 'there is a log');
open(my $log, '<', $warehouse->logfile) or die $!;
mkdir "$tmp/log" or die $!;
open(my $copy, '>', "$tmp/log/log") or die $!;
print $copy $_ while <$log>;
close $copy;
is_deeply([ search("$tmp/log") ], [], 'nor has the log');
$warehouse->stop;
is_deeply([ search($warehouse->data_dir) ], [], 'nor a file of the server that was stopped');
my @found = search($operations->data_dir);
cmp_ok(scalar(@found), '>', 3, 'the operational systems have them');

# One that was stored would be found, in a file, in WAL, and in a compressed value.
$warehouse->start;
my $canary = (sort keys %secret)[0];
$warehouse->safe_psql('wh', qq{CREATE TABLE canary AS SELECT '$canary' AS short, repeat('$canary', 1000) AS long, '$canary'::bytea AS bytes; CHECKPOINT});
@found = search($warehouse->data_dir);
ok((grep { /^base/ } @found) && (grep { /^pg_wal/ } @found), 'a secret that was stored would be found');
@found = search(rows());
is(scalar(@found), 1, 'also in rows');
$warehouse->stop;
$operations->stop;
done_testing();
