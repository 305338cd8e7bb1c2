#!/usr/bin/env bash
# bench/fact.sh: loading a fact with four as-of lookups, against a dbt incremental model of the same joins.
# Run as: scripts/with-server bench/fact.sh
#
# The source is a table of SIZE sales, indexed on sale_id and sold_at. Three SCD2 dimensions of
# 200,000, 20,000 and 500 members, half of them with two versions, and a date dimension are published
# before; both sides look their keys up in these tables, and both keep a unique index on the grain.
#
#   first load   dbt: dbt run of the model when its table is not there
#                we:  the first publish of the fact, over an append feed that has staged the sales
#   append       APPEND new sales: dbt run, which adds what is after the last sale_id (strategy append,
#                the cheapest of its strategies); CALL wh.run(), which also stages the new sales
#
#   SIZE     sales (5000000)
#   APPEND   sales appended by each pair (SIZE / 100)
#   MEMBERS  members of the largest dimension (200000)
#   PAIRS    pairs of runs (3); a ratio printed is the median of the pairs'
set -euo pipefail
. "$(dirname "$0")/common.sh"
size=${SIZE:-5000000}
append=${APPEND:-$((size / 100))}
customers=${MEMBERS:-200000}
products=$((customers / 10))
stores=$((customers / 400))

# members NAME KEYS: source, feed and dimension, half of the members with a second version by June 2024. Their
# times differ: a feed reads again what is within watermark_overlap of the last one.
members() {
  sql <<SQL >/dev/null
CREATE TABLE src.$1 AS SELECT i AS $1_id, '$1 ' || i AS name, i % 50 AS segment, timestamptz '2023-01-01' AS updated_at FROM generate_series(1, $2) i;
SELECT wh.create_feed('$1', 'src.$1', 'upsert', key => '{$1_id}', sequence_by => 'updated_at', watermark => 'updated_at');
SELECT wh.create_dimension('$1', 'SELECT $1_id, name, segment FROM $1', '{$1_id}');
CALL wh.run();
UPDATE src.$1 SET segment = segment + 1, updated_at = timestamptz '2024-06-01' - $1_id * interval '1 minute' WHERE $1_id % 2 = 0;
CALL wh.run();
SQL
}

# sales FROM TO: adds sales to the source, 5 seconds after each other.
sales() {
  sql <<SQL
INSERT INTO src.sale
  SELECT i, 1 + (random() * ($customers - 1))::int, 1 + (random() * ($products - 1))::int, 1 + (random() * ($stores - 1))::int,
         timestamptz '2024-01-01' + i * interval '5 seconds', (random() * 10)::int, (random() * 100)::numeric(10,2)
  FROM generate_series($1::bigint, $2::bigint) i;
ANALYZE src.sale;
SQL
}

sql <<SQL >/dev/null
CREATE SCHEMA src;
CREATE TABLE src.sale (sale_id bigint PRIMARY KEY, customer_id int, product_id int, store_id int, sold_at timestamptz, quantity int, amount numeric(10,2));
CREATE INDEX ON src.sale (sold_at);
SQL
members customer "$customers"
members product "$products"
members store "$stores"
sql -c "SELECT setseed(0.5)" -c "SELECT wh.create_date_dimension('date', '2024-01-01', '2025-12-31')" >/dev/null
sales 1 "$size"
sql -c "SELECT wh.create_feed('sale', 'src.sale', 'append', key => '{sale_id}', sequence_by => 'sold_at', watermark => 'sold_at')" >/dev/null
cycle
sql -c 'VACUUM ANALYZE'
echo "source: $size sales, $(sql -c "SELECT pg_size_pretty(pg_table_size('src.sale'))"); members $customers, $products, $stores, half with two versions; load average $(load_average)"

dbt_install
dbt_project
cat >"$dbt_project/models/sale.sql" <<'SQL'
{{ config(materialized='incremental', incremental_strategy='append', indexes=[{'columns': ['sale_id'], 'unique': True}]) }}
select s.sale_id, coalesce(c.customer_key, -1) as customer_key, coalesce(p.product_key, -1) as product_key,
       coalesce(t.store_key, -1) as store_key, coalesce(d.date_key, -1) as sold_date_key,
       s.customer_id, s.product_id, s.store_id, s.sold_at, s.quantity, s.amount
from src.sale s
left join mart.customer c on c.customer_id = s.customer_id and c.effective_from <= s.sold_at and s.sold_at < c.effective_to
left join mart.product p on p.product_id = s.product_id and p.effective_from <= s.sold_at and s.sold_at < p.effective_to
left join mart.store t on t.store_id = s.store_id and t.effective_from <= s.sold_at and s.sold_at < t.effective_to
left join mart.date d on d.date = (s.sold_at at time zone 'UTC')::date
{% if is_incremental() %} where s.sale_id > (select max(sale_id) from {{ this }}) {% endif %}
SQL
echo "peer: $(dbt_version); dbt run of an incremental model, strategy append"
dbt run --select nothing >"$WH_TMP/seconds.log" 2>&1 || { cat "$WH_TMP/seconds.log" >&2; exit 1; }
startup=$(for i in 1 2 3; do seconds dbt run --select nothing; echo; done | median)
echo "peer's start-up, in each of its times below: $startup s (dbt run --select nothing)"

same() {
  local sums='count(*), sum(customer_key), sum(product_key), sum(store_key), sum(sold_date_key), sum(quantity), sum(amount)'
  must_equal "$1" "$(sql -c "SELECT $sums FROM peer.sale")" "$(sql -c "SELECT $sums FROM mart.sale")"
}
ratios= bare=
for pair in $(seq "$pairs"); do
  sql -c 'DROP TABLE IF EXISTS peer.sale' -c 'CHECKPOINT'
  dbt=$(seconds dbt run)
  [ "$pair" = 1 ] || sql -c "SELECT wh.drop_fact('sale')" >/dev/null
  sql <<'SQL' >/dev/null
SELECT wh.create_fact('sale', 'SELECT sale_id, customer_id, product_id, store_id, sold_at, sold_at AS sold_date, quantity, amount FROM sale',
  '{sale_id}', 'sold_at', '{"customer_id": "customer", "product_id": "product", "store_id": "store", "sold_date": "date"}');
CHECKPOINT;
SQL
  ours=$(seconds cycle)
  same 'first load'
  ratios+=$(calc "$dbt / $ours")$'\n' bare+=$(calc "($dbt - $startup) / $ours")$'\n'
  echo "first load, pair $pair: dbt run $dbt s, CALL wh.run() $ours s, ratio $(calc "$dbt / $ours") (load average $(load_average))"
done
verdict "first load of $size fact rows, times as fast as dbt run" "$(median <<<"$ratios")" '>=' 2
echo "  without dbt's start-up: $(median <<<"$bare")"

ratios= bare=
sql -c 'VACUUM ANALYZE'
for pair in $(seq "$pairs"); do
  sales $((size + (pair - 1) * append + 1)) $((size + pair * append))
  sql -c 'CHECKPOINT'
  dbt=$(seconds dbt run)
  sql -c 'CHECKPOINT'
  ours=$(seconds cycle)
  same append
  ratios+=$(calc "$dbt / $ours")$'\n' bare+=$(calc "($dbt - $startup) / $ours")$'\n'
  echo "append, pair $pair: dbt run $dbt s, CALL wh.run() $ours s, ratio $(calc "$dbt / $ours") (load average $(load_average))"
done
verdict "appending $append rows to $size, times as fast as dbt run" "$(median <<<"$ratios")" '>=' 10
echo "  without dbt's start-up: $(median <<<"$bare")"
