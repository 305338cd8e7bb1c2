#!/usr/bin/env bash
# bench/cycle.sh: a cycle that finds nothing new.
# Run as: scripts/with-server bench/cycle.sh
#
# A CSV file of SIZE sales is staged by an append feed, and one of 20,000 products by an upsert feed that a
# dimension reads. The wall time of psql -c 'CALL wh.run()' is taken beside that of
# psql -c 'SELECT 1', which is all of it that is not ours. What a cycle with changes costs, by the
# members of a dimension, is measured by bench/dimension.sh (PARTS=scale).
#
#   SIZE    staged rows (10000000: about 430 MB)
#   PAIRS   pairs of runs (9); the figures printed are their medians
set -euo pipefail
PAIRS=${PAIRS:-9}
. "$(dirname "$0")/common.sh"
size=${SIZE:-10000000}
sql <<SQL >/dev/null
COPY (SELECT i AS sale_id, i % 20000 + 1 AS product_id, timestamp '2024-01-01' + i * interval '3 seconds' AS sold_at, i % 10 AS quantity
      FROM generate_series(1, $size) i) TO '$WH_TMP/sale.csv' (FORMAT csv, HEADER);
COPY (SELECT i AS product_id, 'product ' || i AS name, timestamp '2024-01-01' AS updated_at
      FROM generate_series(1, 20000) i) TO '$WH_TMP/product.csv' (FORMAT csv, HEADER);
CREATE SCHEMA src;
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory '$WH_TMP');
CREATE FOREIGN TABLE src.sale (sale_id int, product_id int, sold_at timestamp, quantity int) SERVER files OPTIONS (filename 'sale.csv');
CREATE FOREIGN TABLE src.product (product_id int, name text, updated_at timestamp) SERVER files OPTIONS (filename 'product.csv');
SELECT wh.create_feed('sale', 'src.sale', 'append', sequence_by => 'sold_at');
SELECT wh.create_feed('product', 'src.product', 'upsert', key => '{product_id}', sequence_by => 'updated_at');
SELECT wh.create_dimension('product', 'SELECT product_id, name FROM product', '{product_id}');
SQL
cycle
must_equal 'staged sales' "$size" "$(sql -c 'SELECT count(*) FROM staging.sale')"
echo "staged: $size sales ($(($(stat -c %s "$WH_TMP/sale.csv") / 1000000)) MB of CSV), 20000 products; load average $(load_average)"
nothing= ours=
for pair in $(seq "$pairs"); do
  nothing+=$(seconds psql -X -q -c 'SELECT 1')$'\n'
  ours+=$(seconds cycle)$'\n'
done
nothing=$(median <<<"$nothing") ours=$(median <<<"$ours")
echo "psql -c 'SELECT 1': $(calc "$nothing * 1000" %.0f) ms"
verdict "psql -c 'CALL wh.run()' that finds nothing new, ms" "$(calc "$ours * 1000" %.0f)" '<=' 50
echo "  times that of SELECT 1: $(calc "$ours / $nothing") (load average $(load_average))"
