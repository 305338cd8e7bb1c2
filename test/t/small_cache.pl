# Loads much larger than the server's cache: the bulk writer changes to a ring of buffers on the way.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = PostgreSQL::Test::Cluster->new('small_cache');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'widgets_wh'\nshared_buffers = '2MB'");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION widgets_wh;
CREATE TABLE sale AS SELECT i AS id, i % 30000 AS product, timestamp '2024-01-01' + i * interval '1 second' AS at, 'note ' || i AS note FROM generate_series(1, 200000) i;
SELECT wh.create_feed('sale', 'sale', 'append', key => '{id}', sequence_by => 'at');
SELECT wh.create_feed('product', 'sale', 'upsert', key => '{product}', sequence_by => 'at');
SELECT wh.create_dimension('product', 'SELECT product, note FROM product', '{product}');
SELECT wh.create_fact('sale', 'SELECT id, product, at, note FROM sale', '{id}', 'at', '{"product": "product"}')});
is($node->psql('postgres', 'CALL wh.run()'), 0, 'a run');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id), min(product_key) > 0 FROM mart.sale'), '200000|200000|t', 'every row is there');
is($node->safe_psql('postgres', 'SELECT count(*) FROM wh.check()'), '0', 'wh.check() finds nothing');
$node->stop;
done_testing();
