#!/usr/bin/env bash
# bench/kafka_memory.sh [MESSAGES]: is the memory of a worker flat, however many messages it loads?
#
# MESSAGES (10000000) JSON messages of about 230 bytes are produced in ten steps; after each step, when
# the worker has loaded it, its memory is printed: RSS (with the part of shared_buffers it has touched),
# its own (PSS of anonymous memory), and the highest RSS so far. Flat: the most that is its own after one
# of the last five steps is at most 10 % above that after one of the first five.
#
# Runs under with-kafka and with-server, which it starts itself.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${KAFKA_BOOTSTRAP:-}" ]; then exec scripts/with-kafka "bench/$(basename "$0")" "$@"; fi
if [ -z "${WH_TMP:-}" ]; then
  WH_SERVER_CONF="widgets_wh.databases = 'worker'" exec scripts/with-server "bench/$(basename "$0")" "$@"
fi
. bench/common.sh
messages=${1:-10000000} step=$((${1:-10000000} / 10))
columns='id bigint, customer text, product text, quantity int, price numeric, discount float8, paid boolean, ordered_at timestamptz, city text, note text'

psql -X -q -d postgres -c 'CREATE DATABASE worker'
export PGDATABASE=worker
"$KAFKA_CTL" topic bench 4
sql -c 'CREATE EXTENSION widgets_wh' \
  -c "CREATE SERVER bench FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '$KAFKA_BOOTSTRAP')" \
  -c "CREATE FOREIGN TABLE bench_topic ($columns) SERVER bench OPTIONS (topic 'bench', key_column 'id')" \
  -c "SELECT wh.create_feed('bench', 'bench_topic', 'append', sequence_by => 'ordered_at')" >/dev/null
until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker'")" = 1 ]; do read -rt 0.2 <> <(:) || true; done
pid=$(sql -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker'")

kilobytes() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$pid/$2"; }
early=0 late=0
for i in $(seq 10); do
  sql -c "INSERT INTO bench_topic SELECT i, 'customer-' || i % 50000, 'product-' || i % 2000, i % 9 + 1, (i % 10000) / 100.0, (i % 30) / 100.0, i % 3 = 0,
        '2024-01-01'::timestamptz + i * interval '1 second', 'city-' || i % 300, 'note ' || i FROM generate_series($(((i - 1) * step + 1)), $((i * step))) i"
  until [ "$(sql -c 'SELECT coalesce(sum(next_offset), 0) FROM wh.kafka_offset')" = $((i * step)) ]; do read -rt 0.2 <> <(:) || true; done
  own=$(kilobytes Pss_Anon smaps_rollup)
  if [ "$i" -le 5 ]; then early=$((own > early ? own : early)); else late=$((own > late ? own : late)); fi
  echo "$((i * step)) messages: RSS $(calc "$(kilobytes VmRSS status) / 1024" %.1f) MB, its own $(calc "$own / 1024" %.1f) MB, highest RSS $(calc "$(kilobytes VmHWM status) / 1024" %.1f) MB"
done
must_equal 'the worker that was measured' "$pid" "$(sql -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'widgets_wh worker'")"
must_equal rows "$((step * 10))" "$(sql -c 'SELECT count(*) FROM staging.bench')"
verdict "own memory during the second half of the messages, times that during the first" "$(calc "$late / $early")" '<=' 1.1
