#!/usr/bin/env bash
# bench/kafka.sh: a topic of JSON messages (10 fields, about 230 bytes, 4 partitions) into staging.
#
#   peer 1   kcat | COPY of raw json, then INSERT ... SELECT json_populate_record
#   peer 2   librdkafka alone (kcat without output), then COPY BINARY of the same rows
#   latency  from produce to the commit of the fact row, at RATE messages a second, with the worker
#
# Runs under with-kafka and with-server, which it starts itself. MESSAGES (2000000), PAIRS (3), RATE (2000),
# LATENCY_SECONDS (20).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${KAFKA_BOOTSTRAP:-}" ]; then exec scripts/with-kafka "bench/$(basename "$0")"; fi
if [ -z "${WH_TMP:-}" ]; then
  WH_SERVER_CONF="widgets_wh.databases = 'worker'
widgets_wh.publish_interval = '500ms'" exec scripts/with-server "bench/$(basename "$0")"
fi
. bench/common.sh
messages=${MESSAGES:-2000000} rate=${RATE:-2000} latency_seconds=${LATENCY_SECONDS:-20}
columns='id bigint, customer text, product text, quantity int, price numeric, discount float8, paid boolean, ordered_at timestamptz, city text, note text'

"$KAFKA_CTL" topic bench 4
sql -c "CREATE SERVER bench FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$KAFKA_BOOTSTRAP')" \
  -c "CREATE FOREIGN TABLE bench_topic ($columns) SERVER bench OPTIONS (topic 'bench', key_column 'id')" \
  -c "INSERT INTO bench_topic SELECT i, 'customer-' || i % 50000, 'product-' || i % 2000, i % 9 + 1, (i % 10000) / 100.0, (i % 30) / 100.0, i % 3 = 0,
        '2024-01-01'::timestamptz + i * interval '1 second', 'city-' || i % 300, 'note ' || i || ' for the driver' FROM generate_series(1, $messages) i"
bytes=$(kcat -C -b "$KAFKA_BOOTSTRAP" -t bench -o beginning -c 1000 -e -q -f '%S\n' | awk '{ s += $1 } END { printf "%.0f", s / NR }')
echo "$messages messages of $bytes bytes, 4 partitions; load average $(load_average)"

ours() { sql -c "SELECT wh.ingest('bench')"; }
ours_new() { sql -c "SELECT wh.drop_feed('bench') FROM wh.feed WHERE relation::text = 'staging.bench'" -c "SELECT wh.create_feed('bench', 'bench_topic', 'append', sequence_by => 'ordered_at')"; }
peer_copy() {
  sql -c 'DROP TABLE IF EXISTS raw, peer' -c 'CREATE TABLE raw (message json)' -c "CREATE TABLE peer ($columns)"
  # no message has a tab, a backslash or a quote \x01
  kcat -C -b "$KAFKA_BOOTSTRAP" -t bench -o beginning -e -q | sql -c "COPY raw FROM STDIN (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')"
  sql -c 'INSERT INTO peer SELECT r.* FROM raw, json_populate_record(NULL::peer, message) r'
}
drain() { kcat -C -b "$KAFKA_BOOTSTRAP" -t bench -o beginning -e -q -f ''; }
copy_binary() { sql -c 'TRUNCATE binary_peer' -c "COPY binary_peer FROM '$WH_TMP/bench.bin' (FORMAT binary)"; }

for _ in $(seq "$pairs"); do
  ours_new >/dev/null
  a=$(seconds ours)
  b=$(seconds peer_copy)
  must_equal rows "$(sql -c 'SELECT count(*), sum(price), sum(quantity) FROM peer')" "$(sql -c 'SELECT count(*), sum(price), sum(quantity) FROM staging.bench')"
  sql -c "COPY (SELECT id, customer, product, quantity, price, discount, paid, ordered_at, city, note, effective_from, batch_id, source_position FROM staging.bench) TO '$WH_TMP/bench.bin' (FORMAT binary)" \
    -c 'DROP TABLE IF EXISTS binary_peer' -c 'CREATE TABLE binary_peer (LIKE staging.bench)'
  c=$(seconds drain)
  d=$(seconds copy_binary)
  echo "$a $b $c $d"
done > "$WH_TMP/runs"
awk '{ printf "ours %s s; kcat, COPY and json_populate_record %s s; librdkafka %s s and COPY BINARY %s s\n", $1, $2, $3, $4 }' "$WH_TMP/runs"
verdict "into staging, times as fast as kcat | COPY and json_populate_record" "$(awk '{ printf "%.2f\n", $2 / $1 }' "$WH_TMP/runs" | median)" '>=' 4
verdict "into staging, times the time of librdkafka alone and COPY BINARY" "$(awk '{ printf "%.2f\n", $1 / ($3 + $4) }' "$WH_TMP/runs" | median)" '<=' 1.5

if [ "$(sql -c 'SHOW widgets_wh.databases')" != worker ]; then
  echo "latency: not measured, as widgets_wh.databases is not 'worker' on this server"
  exit 0
fi
# Latency: message time to the end of the publish that brought the fact row.
psql -X -q -d postgres -c 'CREATE DATABASE worker'
export PGDATABASE=worker
"$KAFKA_CTL" topic latency 4
sql -c 'CREATE EXTENSION widgets_wh' \
  -c "CREATE SERVER bench FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$KAFKA_BOOTSTRAP')" \
  -c "CREATE FOREIGN TABLE latency ($columns) SERVER bench OPTIONS (topic 'latency', key_column 'id')" \
  -c "SELECT wh.create_feed('latency', 'latency', 'append')" \
  -c "SELECT wh.create_fact('sale', 'SELECT id, quantity, price, effective_from AS at FROM staging.latency', '{id}', 'at', '{}', mode => 'append')" >/dev/null
echo 'waiting for the worker' >&2
until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker'")" = 1 ]; do read -rt 0.2 <> <(:) || true; done
total=$((rate * latency_seconds))
perl -MTime::HiRes=time,usleep -e '
  $| = 1; my ($rate, $total) = @ARGV; my $start = time; my $sent = 0;
  while ($sent < $total) {
    my $due = int((time - $start) * $rate); $due = $total if $due > $total;
    for (; $sent < $due; $sent++) { print "{\"id\":$sent,\"customer\":\"c\",\"product\":\"p\",\"quantity\":1,\"price\":1.25,\"discount\":0.1,\"paid\":true,\"ordered_at\":\"2024-01-01T00:00:00Z\",\"city\":\"x\",\"note\":\"", "n" x 100, "\"}\n" }
    usleep(2000);
  }' "$rate" "$total" | kcat -P -b "$KAFKA_BOOTSTRAP" -t latency -X linger.ms=5
for _ in $(seq 300); do [ "$(sql -c 'SELECT count(*) FROM mart.sale')" != "$total" ] || break; read -rt 0.2 <> <(:) || true; done
read -r p50 p99 n < <(sql -F ' ' -c "
  SELECT round((percentile_cont(0.5) WITHIN GROUP (ORDER BY s))::numeric, 3), round((percentile_cont(0.99) WITHIN GROUP (ORDER BY s))::numeric, 3), count(*)
  FROM (SELECT extract(epoch FROM b.finished_at - f.at) AS s FROM mart.sale f JOIN wh.batch b USING (batch_id)) x")
must_equal 'fact rows' "$total" "$n"
verdict "produce to fact row, median of $n messages at $rate a second, seconds" "$p50" '<=' 1
verdict "produce to fact row, 99th percentile, seconds" "$p99" '<=' 2
