#!/usr/bin/env bash
# bench/widgets.sh: the whole company Widgets Unlimited, at its full size, on this machine.
#
# 1 million customers, 50,000 products, 10 million order lines and 3 million store sales over 90 days are
# simulated, handed out as Kafka messages, CSV files and tables, ingested and published by one wh.run();
# then comes day 91. A table says what each stage did, how fast, and how much memory the server had:
# the sum of the proportional set sizes (PSS) of all its processes, so shared buffers count once.
# The peer of the publish is plain SQL that makes the fact from the same staged tables and dimensions.
#
# Runs under with-kafka and with-server, which it starts itself.
#
#   SCALE     1 is the full size
#   DIRT      share of faulty values (0.01)
#   WORKERS   processes that generate rows (1: a day's rows are few)
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${KAFKA_BOOTSTRAP:-}" ]; then exec scripts/with-kafka "bench/$(basename "$0")"; fi
if [ -z "${WH_TMP:-}" ]; then exec scripts/with-server "bench/$(basename "$0")"; fi
. bench/common.sh
scale=${SCALE:-1} dirt=${DIRT:-0.01} workers=${WORKERS:-1} days=90
operations() { sql -d operations "$@"; }
free_kb() { df -k --output=avail "$1" | tail -1; }
need_kb=$(calc "25e6 * $scale" %.0f)
[ "$(free_kb "$WH_TMP")" -gt "$need_kb" ] || { echo "widgets.sh: needs $((need_kb / 1000000)) GB of disk below $WH_TMP" >&2; exit 1; }

# The memory of the server and of Kafka, every second: time, PSS, PSS without shared memory, Kafka's PSS; kB.
pss() { cat $(printf '/proc/%s/smaps_rollup ' "$@") 2>/dev/null | awk '/^Pss:/ { p += $2 } /^Pss_Anon:/ { a += $2 } END { printf "%d %d\n", p, a }'; }
watch_memory() {
  local server
  server=$(head -n 1 "$WH_PGDATA/postmaster.pid")
  while :; do
    echo "$EPOCHREALTIME $(pss "$server" $(cat "/proc/$server/task/$server/children")) $(pss $(cat "$KAFKA_DIR"/node*/pid) | cut -d ' ' -f 1)"
    read -rt 1 <> <(:) || true
  done >"$WH_TMP/memory"
}
swapped() { awk '/^pswp(in|out) / { n += $2 } END { print n + 0 }' /proc/vmstat; }
swap=$(swapped)
watch_memory &
watcher=$!
trap 'kill $watcher 2>/dev/null || true' EXIT

files=$WH_TMP/inventory
mkdir -p "$files" && chmod 777 "$files"
for topic in customer customer_address loyalty_number order order_line_item; do "$KAFKA_CTL" topic $topic 1; done
psql -X -q -d postgres -c 'CREATE DATABASE operations'
operations -c 'CREATE EXTENSION widgets_wh' -c "SELECT wh.create_model('widgets', role => 'operations', options => jsonb_build_object(
  'bootstrap_servers', '$KAFKA_BOOTSTRAP', 'directory', '$files', 'dirt', $dirt, 'change_log', false))" >/dev/null
# Half of the customers and four products of five are there on the first day; the rest comes evenly.
operations <<SQL
CREATE OR REPLACE FUNCTION operations.plan(day int, date date, scale float8, growth float8) RETURNS SETOF operations.step
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS \$\$
    SELECT s.entity, CASE WHEN s.link_parent THEN s.every_day WHEN day = 1 THEN first + a_day ELSE a_day END,
        CASE WHEN day > 1 THEN updates ELSE 0 END, s.link_parent
    FROM (SELECT *, round(first_day * scale)::bigint AS first, round(changed * scale)::bigint AS updates,
            round(every_day::float8 * scale * day / $days)::bigint - round(every_day::float8 * scale * (day - 1) / $days)::bigint AS a_day
        FROM (VALUES
            ('supplier', 1500, 500, 10, false), ('product', 40000, 10000, 200, false),
            ('customer', 500000, 500000, 1000, false), ('customer_address', 0, 1, 1000, true), ('loyalty_number', 0, 1, 200, true),
            ('order', 0, 2000000, 400, false), ('order_line_item', 0, 5, 400, true),
            ('store', 400, 100, 5, false), ('store_location', 0, 1, 5, true), ('store_sales', 0, 3000000, 100, false),
            ('inventory', 0, 500000, 0, false)) v(entity, first_day, every_day, changed, link_parent)) s
    JOIN operations.entity e USING (entity)
    ORDER BY e.position
\$\$;
SQL
sql -c "SELECT wh.create_model('widgets', options => jsonb_build_object('bootstrap_servers', '$KAFKA_BOOTSTRAP',
  'directory', '$files', 'operations', jsonb_build_object('host', '$PGHOST', 'port', '$PGPORT', 'dbname', 'operations', 'user', '$PGUSER')))" >/dev/null

echo "Widgets Unlimited at scale $scale, a share of $dirt of its values faulty; $(nproc) processors, $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo) of memory," \
  "shared_buffers $(sql -c 'SHOW shared_buffers'); load average $(load_average)"

# stages of the table: name, rows, seconds, and the time in which its memory was used.
psql -X -q -d postgres -c 'CREATE TABLE stage (n int GENERATED ALWAYS AS IDENTITY, name text, rows bigint, seconds float8, from_time float8, to_time float8)' \
  -c 'CREATE TABLE memory (at float8, pss bigint, private bigint, kafka bigint)'
stages() { psql -X -q -d postgres -v ON_ERROR_STOP=1 -c "COPY stage (name, rows, seconds, from_time, to_time) FROM STDIN (DELIMITER '|')"; }

# warehouse NAME: runs a cycle; its stages are what wh.batch and wh.batch_step say of it.
warehouse() {
  local start=$EPOCHREALTIME before
  before=$(sql -c 'SELECT coalesce(max(batch_id), 0) FROM wh.batch')
  cycle
  sql -P null='\N' -F '|' -c "
    WITH step AS (
        SELECT s.*, b.kind, extract(epoch FROM b.started_at) AS from_time, extract(epoch FROM b.finished_at) AS to_time, replace(s.object, 'widgets_staging.', '') AS name
        FROM wh.batch_step s JOIN wh.batch b USING (batch_id) WHERE batch_id > $before),
    part AS (
        SELECT CASE WHEN name IN ('product', 'supplier', 'inventory') THEN 2 WHEN name IN ('store', 'store_location', 'store_sales', 'web_shop') THEN 3 ELSE 1 END AS n,
            rows_read AS rows, to_time - from_time AS seconds, from_time, to_time FROM step WHERE kind = 'ingest')
    SELECT '$1', coalesce(sum(rows_read) FILTER (WHERE kind = 'ingest'), 0), $EPOCHREALTIME - $start, $start, $EPOCHREALTIME FROM step
    UNION ALL SELECT * FROM (SELECT '  ingest ' || (array['e-commerce (Kafka)', 'inventory (CSV)', 'stores (postgres_fdw)'])[n], sum(rows), sum(seconds), min(from_time), max(to_time)
        FROM part GROUP BY n ORDER BY n) i
    UNION ALL SELECT * FROM (SELECT '  publish ' || name, rows_inserted + rows_updated + rows_deleted, extract(epoch FROM duration),
            to_time - extract(epoch FROM sum(duration) OVER (ORDER BY step DESC)),
            to_time - extract(epoch FROM sum(duration) OVER (ORDER BY step DESC) - duration)
        FROM step WHERE kind = 'publish' AND rows_inserted + rows_updated + rows_deleted > 0 ORDER BY step) p" | stages
}

# simulate NAME DAYS: the operational systems make and hand out their rows.
simulate() {
  local start=$EPOCHREALTIME before
  before=$(operations -c 'SELECT coalesce(max(day), 0) FROM operations.day')
  operations -c "CALL wh.simulate($2, scale => $scale, workers => $workers)"
  operations -P null='\N' -F '|' -c "
    WITH made AS (SELECT inserted + updated AS rows, made_at - coalesce(lag(made_at) OVER (PARTITION BY batch_id ORDER BY step), d.simulated_at) AS duration
        FROM wh.generator_batch b JOIN operations.day d ON d.day = b.batch_id WHERE batch_id > $before),
    part AS (SELECT 1 AS n, 'generate rows' AS name, rows, duration FROM made
        UNION ALL SELECT CASE WHEN system = 'ecommerce' THEN 2 ELSE 3 END, CASE WHEN system = 'ecommerce' THEN 'produce to Kafka' ELSE 'write CSV files' END,
            inserted + updated + duplicates, duration FROM operations.exposed WHERE day > $before AND system <> 'in_store')
    SELECT '$1', sum(rows), $EPOCHREALTIME - $start, $start, $EPOCHREALTIME FROM made
    UNION ALL SELECT * FROM (SELECT '  ' || name, sum(rows), extract(epoch FROM sum(duration)), NULL::numeric, NULL::numeric FROM part GROUP BY n, name ORDER BY n) p" | stages
}

simulate "simulate $days days" $days
warehouse "CALL wh.run(): $days days at once"
simulate "simulate one more day" 1
warehouse 'CALL wh.run(): one more day'
warehouse 'CALL wh.run(): nothing new'
start=$EPOCHREALTIME
must_equal 'failures of wh.check()' 0 "$(sql -c 'SELECT count(*) FROM wh.check()')"
stages <<<"SELECT * FROM wh.check(): no failures|\N|$(calc "$EPOCHREALTIME - $start")|$start|$EPOCHREALTIME"

# What operations sold is what the fact and the error events have.
kill $watcher
must_equal 'lines and sales' \
  "$(operations -c 'SELECT (SELECT count(*) FROM ecommerce.order_line_item) + (SELECT count(*) FROM in_store.store_sales)')" \
  "$(sql -c "SELECT (SELECT count(*) FROM widgets.sales) + (SELECT count(*) FROM wh.error_event WHERE feed ~ 'order_line_item|store_sales')")"
must_equal value \
  "$(operations -c 'SELECT (SELECT sum(order_line_item_total_price) FROM ecommerce.order_line_item) + (SELECT sum(total_price) FROM in_store.store_sales)')" \
  "$(sql -c "SELECT sum(total) FROM widgets.sales")"

# The peer: what a script of plain SQL would run every day (without jit, which takes longer here).
peer() {
  sql -c 'SET jit = off' -c "
    CREATE TABLE peer_sales AS
    SELECT q.*, coalesce(d.date_key, -1) AS date_key, coalesce(c.customer_key, -1) AS customer_key, coalesce(p.product_key, -1) AS product_key, coalesce(s.store_key, -1) AS store_key
    FROM (SELECT *, sold_at AT TIME ZONE 'UTC' AS at FROM widgets.sales_definition) q
    LEFT JOIN widgets.date d ON d.date = q.sale_date
    LEFT JOIN widgets.customer c ON c.customer_id = q.customer_id AND q.at >= c.effective_from AND q.at < c.effective_to
    LEFT JOIN widgets.product p ON p.product_id = q.product_id AND q.at >= p.effective_from AND q.at < p.effective_to
    LEFT JOIN widgets.store s ON s.store_id = q.store_id AND q.at >= s.effective_from AND q.at < s.effective_to" \
    -c 'CREATE UNIQUE INDEX ON peer_sales (channel, sale_id)'
}
peer=$(seconds peer)
must_equal 'rows and value' "$(sql -c 'SELECT count(*), sum(total), sum(cost) FROM peer_sales')" "$(sql -c 'SELECT count(*), sum(total), sum(cost) FROM widgets.sales')"

psql -X -q -d postgres -c "COPY memory FROM STDIN (DELIMITER ' ')" <"$WH_TMP/memory"
psql -X -qAt -d postgres -v peer="$peer" <<'SQL'
\set line '%-41s %12s %9s %11s %10s %10s'
SELECT format(:'line', 'stage', 'rows', 'seconds', 'rows/s', 'peak MiB', 'unshared');
SELECT format(:'line', repeat('-', 41), repeat('-', 12), repeat('-', 9), repeat('-', 11), repeat('-', 10), repeat('-', 10));
SELECT format(:'line', name, to_char(rows, '999,999,999'), to_char(seconds, '9,990.0'), to_char(rows / nullif(seconds, 0), '99,999,999'),
    to_char(max(pss) / 1024, '99,999'), to_char(max(private) / 1024, '99,999'))
FROM stage LEFT JOIN memory ON at BETWEEN from_time - 1 AND to_time + 1 GROUP BY n, name, rows, seconds ORDER BY n;
SELECT E'\nfact, plain SQL that makes all of it and its index: ' || :'peer' || ' s';
SELECT format('  publish widgets.sales takes %s times as long %s', round((seconds / :'peer')::numeric, 2), CASE row_number() OVER (ORDER BY n) WHEN 1 THEN 'for 90 days' ELSE 'for one more day' END)
FROM stage WHERE name = '  publish widgets.sales' ORDER BY n;
SELECT format('memory of the server at most %s MiB (shared buffers included), of which not shared %s MiB; Kafka''s Java machine besides: %s MiB', to_char(max(pss) / 1024, 'FM99,999'), to_char(max(private) / 1024, 'FM99,999'), to_char(max(kafka) / 1024, 'FM99,999')) FROM memory;
SELECT format('disk: warehouse %s, operations %s', pg_size_pretty(pg_database_size('wh')), pg_size_pretty(pg_database_size('operations')));
SQL
echo "      Kafka $(du -sh "$KAFKA_DIR" | cut -f 1), CSV files $(du -sh "$files" | cut -f 1)"
echo "pages swapped meanwhile by this machine: $(($(swapped) - swap)); load average $(load_average)"
