#!/usr/bin/env bash
# bench/kafka_workers.sh: how much faster several workers load one topic of 4 partitions than one does.
#
# A topic of JSON messages (10 fields, about 230 bytes) is loaded by the background worker, from the
# start of the feed to a lag of 0, with widgets_wh.kafka_workers of 1 and of WORKERS (2) in turn. The
# broker is down to its page cache, and has the same processors as the server.
#
# Runs under with-kafka and with-server, which it starts itself. MESSAGES (1000000), PAIRS (3), LOAD
# (append, upsert).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${KAFKA_BOOTSTRAP:-}" ]; then exec scripts/with-kafka "bench/$(basename "$0")"; fi
if [ -z "${WH_TMP:-}" ]; then
  WH_SERVER_CONF="widgets_wh.databases = 'worker'
widgets_wh.publish_interval = '1h'" exec scripts/with-server "bench/$(basename "$0")"
fi
. bench/common.sh
messages=${MESSAGES:-1000000} workers=${WORKERS:-2} load=${LOAD:-append}
columns='id bigint, customer text, product text, quantity int, price numeric, discount float8, paid boolean, ordered_at timestamptz, city text, note text'

psql -X -q -d postgres -c 'CREATE DATABASE worker'
export PGDATABASE=worker
"$KAFKA_CTL" topic bench 4
sql -c 'CREATE EXTENSION widgets_wh' \
  -c "CREATE SERVER bench FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$KAFKA_BOOTSTRAP')" \
  -c "CREATE FOREIGN TABLE bench_topic ($columns) SERVER bench OPTIONS (topic 'bench', key_column 'id')" \
  -c "INSERT INTO bench_topic SELECT i, 'customer-' || i % 50000, 'product-' || i % 2000, i % 9 + 1, (i % 10000) / 100.0, (i % 30) / 100.0, i % 3 = 0,
        '2024-01-01'::timestamptz + i * interval '1 second', 'city-' || i % 300, 'note ' || i FROM generate_series(1, $messages) i"
echo "$messages messages, 4 partitions, load '$load'; $(nproc) processors, load average $(load_average)"

pause() { read -rt "$1" <> <(:) || true; }

# use N: the setting, and its workers waiting.
use() {
  local n=$1
  sql -c "ALTER SYSTEM SET widgets_wh.kafka_workers = $n" -c 'SELECT pg_reload_conf()' >/dev/null
  [ "$n" -gt 1 ] || n=0
  until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'widgets_wh kafka worker'")" = "$n" ]; do pause 0.1; done
  pause 2 # each is connected to its database
}

# load_all: makes the feed and waits until the workers have loaded all; prints the seconds from the
# first batch's start to the last one's end.
load_all() {
  local key="'{}'"
  [ "$load" = append ] || key="'{id}'"
  sql -c "SELECT wh.drop_feed('bench') FROM wh.feed" -c 'DELETE FROM wh.batch' -c CHECKPOINT \
    -c "SELECT wh.create_feed('bench', 'bench_topic', '$load', $key, sequence_by => 'ordered_at')" >/dev/null
  until [ "$(sql -c 'SELECT coalesce(sum(next_offset), 0) FROM wh.kafka_offset')" = "$messages" ]; do pause 0.1; done
  must_equal rows "$messages" "$(sql -c 'SELECT count(*) FROM staging.bench')"
  sql -c "SELECT round(extract(epoch FROM max(finished_at) - min(started_at)), 3) FROM wh.batch WHERE kind = 'ingest'"
}

for _ in $(seq "$pairs"); do
  use 1
  one=$(load_all)
  use "$workers"
  echo "$one $(load_all)"
done > "$WH_TMP/runs"
awk -v n="$workers" '{ printf "1 worker %s s; %d workers %s s\n", $1, n, $2 }' "$WH_TMP/runs"
verdict "$workers workers, times as fast as one" "$(awk '{ printf "%.2f\n", $1 / $2 }' "$WH_TMP/runs" | median)" '>=' 1.1
