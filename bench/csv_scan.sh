#!/usr/bin/env bash
# csv_scan.sh [ROWS]: scan a CSV file as a foreign table, beside file_fdw on the same file.
#
# Makes a file of ROWS (5,000,000) rows of 10 mixed columns, about 480 MB, and prints for
# each query the better of two times of each, and their ratio. One process, one core each.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${WH_TMP:-}" ] || exec scripts/with-server bench/csv_scan.sh "$@"
rows=${1:-5000000}
file=$WH_TMP/bench_scan.csv
trap 'rm -f "$file"' EXIT
columns="id int, customer_id int, name text, quantity int, price numeric, weight float8,
         is_open bool, day date, at timestamp, note text"

psql -X -q -v ON_ERROR_STOP=1 <<SQL
COPY (SELECT i AS id, (i::bigint * 7919) % 100000 AS customer_id, 'Product ' || i % 5000 AS name, i % 97 + 1 AS quantity,
        round((i::bigint * 37 % 100000) / 100.0, 2) AS price, random() * 1000 AS weight, i % 3 = 0 AS is_open,
        date '2015-01-01' + i % 2000 AS day, timestamp '2015-01-01' + i * interval '13 seconds' AS at,
        CASE WHEN i % 10 > 0 THEN 'note ' || substr(md5(i::text), 1, 6) || CASE WHEN i % 5 = 0 THEN ', more' ELSE '' END END AS note
      FROM generate_series(1, $rows) i) TO '$file' (FORMAT csv, HEADER);
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS file_fdw;
DROP SERVER IF EXISTS bench_file_fdw, bench_wh_csv CASCADE;
CREATE SERVER bench_file_fdw FOREIGN DATA WRAPPER file_fdw;
CREATE SERVER bench_wh_csv FOREIGN DATA WRAPPER wh_csv OPTIONS (directory '$WH_TMP');
CREATE FOREIGN TABLE bench_peer ($columns) SERVER bench_file_fdw OPTIONS (filename '$file', format 'csv', header 'true');
CREATE FOREIGN TABLE bench_ours ($columns) SERVER bench_wh_csv OPTIONS (filename 'bench_scan.csv');
SQL
echo "file: $rows rows of 10 columns, $(($(stat -c %s "$file") / 1000000)) MB"

# seconds TABLE QUERY: the time of one run.
seconds() {
  psql -X -q -A -t <<SQL | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | awk '{ printf "%.3f\n", $1 / 1000 }'
SET max_parallel_workers_per_gather = 0;
\timing on
${2//TABLE/$1};
SQL
}
compare() {
  local peer=999999 ours=999999 t
  for _ in 1 2; do
    t=$(seconds bench_peer "$2"); peer=$(echo "$t $peer" | awk '{ print ($1 < $2) ? $1 : $2 }')
    t=$(seconds bench_ours "$2"); ours=$(echo "$t $ours" | awk '{ print ($1 < $2) ? $1 : $2 }')
  done
  awk -v name="$1" -v p="$peer" -v o="$ours" 'BEGIN { printf "%-22s file_fdw %7.3f s   wh_csv %7.3f s   %5.2f times as fast\n", name, p, o, p / o }'
}
compare 'count(*)' 'SELECT count(*) FROM TABLE'
compare 'two-column aggregate' 'SELECT sum(quantity), sum(price) FROM TABLE'
compare 'all columns converted' 'SELECT count(id), count(customer_id), count(name), count(quantity), count(price), count(weight), count(is_open), count(day), count(at), count(note) FROM TABLE'
psql -X -q -c 'DROP SERVER bench_file_fdw, bench_wh_csv CASCADE' 2>/dev/null
