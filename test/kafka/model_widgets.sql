-- The model widgets with a broker: the web shop's messages through Kafka, the star against the oracle.
\getenv bootstrap KAFKA_BOOTSTRAP
\getenv host PGHOST
\getenv port PGPORT
\getenv user PGUSER
SELECT no_plan();
CREATE EXTENSION dblink;
SELECT :'tmp' || '/widgets_kafka' AS dir, :'DBNAME' || '_ops' AS ops \gset
\setenv DIR :dir
\! mkdir -p "$DIR" && chmod 777 "$DIR"
\! for t in customer customer_address loyalty_number order order_line_item; do $KAFKA_CTL topic "widgets.$t" 3; done
SELECT format('CREATE DATABASE %I TEMPLATE wh_template', :'ops') \gexec
SELECT dblink_connect('ops', format('host=%s port=%s user=%s dbname=%s', :'host', :'port', :'user', :'ops')) \gset
SELECT jsonb_build_object('directory', :'dir', 'bootstrap_servers', :'bootstrap', 'topic_prefix', 'widgets.') AS options \gset
SELECT FROM dblink('ops', format($$SELECT wh.create_model('widgets', 'operations', %L)$$, :'options'::jsonb || '{"dirt": 0.03, "seed": 11}')) t(x text);
SELECT wh.create_model('widgets', options => :'options'::jsonb || jsonb_build_object('operations', jsonb_build_object('host', :'host', 'port', :'port', 'user', :'user', 'dbname', :'ops'))) \gset
SELECT dblink_exec('ops', 'CALL wh.simulate(1)') \gset
CALL wh.run();
SELECT dblink_exec('ops', 'CALL wh.simulate(2)') \gset
CALL wh.run();
SELECT dblink_exec('ops', 'CALL wh.simulate(1)') \gset
CALL wh.run();
CREATE TEMP TABLE change AS SELECT * FROM dblink('ops', 'SELECT change_id, day, entity, key, record FROM operations.change') c(change_id bigint, day int, entity text, key bigint, record jsonb);
SELECT cmp_ok(count(*), '>', 12000::bigint, 'there are changes to compare with') FROM change;
\ir ../lib/widgets_oracle.sql
SELECT pg_temp.compare('through topics of three partitions');
SELECT is((SELECT sum(rows_read)::bigint FROM wh.batch_step WHERE object LIKE '%customer' OR object LIKE '%address' OR object LIKE '%order%' OR object LIKE '%loyalty%'),
    (SELECT n FROM dblink('ops', 'SELECT sum(inserted + updated + duplicates)::bigint FROM operations.exposed WHERE system = ''ecommerce''') x(n bigint)), 'each message is read once');
SELECT dblink_disconnect('ops') \gset
DROP VIEW pg_temp.actual_sales, pg_temp.actual_dimension;
SELECT * FROM finish();
