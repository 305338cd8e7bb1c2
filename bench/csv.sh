#!/usr/bin/env bash
# bench/csv.sh: staging a CSV file through an append feed, against COPY of the same file; then scans,
# an empty cycle and the cost of changes, by bench/csv_scan.sh, bench/cycle.sh and bench/dimension.sh.
# Run as: scripts/with-server bench/csv.sh
#
#   ROWS    rows of the file (5000000: about 480 MB)
#   PAIRS   pairs of runs (3); the ratio printed is the median of the pairs'
set -euo pipefail
rows=${ROWS:-5000000}
pairs=${PAIRS:-3}
: "${WH_TMP:?run me under scripts/with-server}"
file=$WH_TMP/bench.csv
run() { psql -X -qAt -v ON_ERROR_STOP=1 "$@"; }

columns='id int, account bigint, amount float8, price numeric(12,2), booked date, happened timestamp, paid boolean, code varchar(12), name text, note text'
run <<SQL
COPY (SELECT i AS id, i * 7919::bigint % 1000003 + 10000000000 AS account, round(i % 10007 * 1.37, 4) AS amount,
        (i * 31::bigint % 1000000 / 100.0)::numeric(12,2) AS price, date '2020-01-01' + i % 1500 AS booked,
        timestamp '2020-01-01' + i * interval '13 seconds' AS happened, i % 3 = 0 AS paid, 'C' || i % 99991 AS code,
        'customer number ' || i % 500009 AS name,
        CASE WHEN i % 4 = 0 THEN NULL WHEN i % 17 = 0 THEN 'said "so", then left' ELSE 'a note of usual length' END AS note
      FROM generate_series(1, $rows) i)
  TO '$file' (FORMAT csv, HEADER);
CREATE SCHEMA bench;
CREATE SERVER bench FOREIGN DATA WRAPPER wh_csv OPTIONS (directory '$WH_TMP');
CREATE FOREIGN TABLE bench.source
  (id int, account bigint, amount float8, price numeric(12,2), booked date, happened timestamp, paid boolean, code varchar(12), name text, note text)
  SERVER bench OPTIONS (filename 'bench.csv');
CREATE TABLE bench.copied ($columns);
SQL

# seconds SQL: runs one statement and gives its time in seconds.
seconds() {
  run -c '\timing on' -c "$1" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | awk '{ printf "%.3f", $1 / 1000 }'
}
ratios=
for pair in $(seq "$pairs"); do
  run -c 'TRUNCATE bench.copied' -c 'CHECKPOINT'
  copy=$(seconds "COPY bench.copied FROM '$file' (FORMAT csv, HEADER)")
  run -c "SELECT FROM wh.create_feed('bench.staged', 'bench.source', 'append', sequence_by => 'happened')" -c 'CHECKPOINT'
  feed=$(seconds "SELECT FROM wh.ingest('bench.staged')")
  staged=$(run -c 'SELECT count(*) FROM bench.staged')
  [ "$staged" = "$rows" ] || { echo "staged $staged of $rows rows" >&2; exit 1; }
  run -c "SELECT FROM wh.drop_feed('bench.staged')" >/dev/null
  ratio=$(awk -v c="$copy" -v f="$feed" 'BEGIN { printf "%.2f", c / f }')
  echo "pair $pair: COPY $copy s, feed $feed s, ratio $ratio"
  ratios="$ratios$ratio"$'\n'
done
median=$(printf %s "$ratios" | sort -n | awk '{ r[NR] = $1 } END { print r[int((NR + 1) / 2)] }')
echo "staging $rows rows ($(($(stat -c %s "$file") / 1000000)) MB) through an append feed: $median times as fast as COPY ... (FORMAT csv, HEADER)"

run -c 'DROP SCHEMA bench CASCADE' -c 'DROP SERVER bench' 2>/dev/null
rm -f "$file"

# Scans against file_fdw, an empty cycle, and what a change costs by the members of a dimension.
here=$(dirname "$0")
"$here/csv_scan.sh" "$rows"
SIZE=$((rows * 2)) "$here/cycle.sh"
PARTS=scale "$here/dimension.sh"
