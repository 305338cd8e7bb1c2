#!/usr/bin/env bash
# bench/generate.sh [ROWS]: the data generator against plain SQL, side by side.
#
# Makes ROWS order lines (5 million when not given), five to an order, with a product and its
# price from a table of 50,000 products, a quantity, a total and the order's time:
#
#   generate    wh.generate by one process, and by two
#   sql         the best single statement we know for the same columns:
#               INSERT ... SELECT ... FROM orders, generate_series(1, 5), with random()
#   copy        INSERT ... SELECT of the generated rows from an existing table
#
# Three rounds, the fastest of each counts; prints times, ratios, and for one process the seconds of
# its processor, which a busy machine distorts less. Run it on an idle machine:
#
#   scripts/with-server bench/generate.sh
set -euo pipefail
rows=${1:-5000000}
rounds=${ROUNDS:-3}
orders=$((rows / 5))
sql() { psql -X -q -v ON_ERROR_STOP=1 "$@"; }
export PGOPTIONS='-c client_min_messages=warning'
ticks=$(getconf CLK_TCK)
seconds() { # seconds STATEMENT: run it, print its time and the backend's processor time
  WH_STATEMENT=$1 WH_TICKS=$ticks psql -X -q -A -t -v ON_ERROR_STOP=1 <<'SQL'
\getenv statement WH_STATEMENT
SELECT pg_backend_pid() AS pid \gset
\setenv WH_PID :pid
\set start `awk '{printf "%s ", $14 + $15}' /proc/$WH_PID/stat 2>/dev/null || printf '0 '; date +%s.%N`
:statement \g /dev/null
\set end `awk '{printf "%s ", $14 + $15}' /proc/$WH_PID/stat 2>/dev/null || printf '0 '; date +%s.%N`
\setenv WH_START :start
\setenv WH_END :end
\! echo "$WH_START $WH_END" | awk "{printf \"%.3f %.2f\", \$4 - \$2, (\$3 - \$1) / $WH_TICKS}"
SQL
}
# least A B: each of the two numbers, the smaller of both.
least() { echo "${1:-$2} $2" | awk '{printf "%s %s", ($1 < $3 ? $1 : $3), ($2 < $4 ? $2 : $4)}'; }
ratio() { echo "$1 $2" | awk '{printf "%.2f", $1 / $3}'; }
cpu_ratio() { echo "$1 $2" | awk '{printf "%.2f", $2 / $4}'; }

sql <<SQL
DROP SCHEMA IF EXISTS bench_generate CASCADE;
CREATE SCHEMA bench_generate;
SET search_path = bench_generate;
CREATE TABLE product (product_id int PRIMARY KEY, name text, unit_price numeric(10,2));
CREATE TABLE customer_order (order_id int PRIMARY KEY, ordered_at timestamp);
CREATE TABLE line (order_line_item_id int, order_id int, product_id int, quantity int, unit_price numeric(10,2),
                   total_price numeric(12,2), comments text, inserted_at timestamp, updated_at timestamp);
CREATE TABLE line_sql (LIKE line);
CREATE TABLE line_copy (LIKE line);
SELECT wh.create_generator('product', '{
  "product_id": {"kind": "sequence"}, "name": {"kind": "product"},
  "unit_price": {"kind": "money", "min": 1, "max": 900, "distribution": "lognormal", "median": 25}}') \g /dev/null
SELECT wh.create_generator('customer_order', '{
  "order_id": {"kind": "sequence"},
  "ordered_at": {"kind": "timestamp", "from": "2024-01-01", "to": "2025-01-01", "distribution": "seasonal",
                 "order": "ascending"}}') \g /dev/null
SELECT wh.create_generator('line', '{
  "order_line_item_id": {"kind": "sequence"},
  "order_id": {"kind": "parent", "relation": "customer_order"},
  "product_id": {"kind": "reference", "relation": "product", "popularity": 1},
  "quantity": {"kind": "integer", "min": 1, "max": 20, "distribution": "zipf", "exponent": 1},
  "unit_price": {"kind": "reference", "relation": "product"},
  "total_price": {"kind": "expression", "expression": "quantity * unit_price"},
  "comments": {"kind": "text", "min": 1, "max": 1, "null_share": 0.9},
  "inserted_at": {"kind": "parent", "relation": "customer_order", "column": "ordered_at"},
  "delay": {"kind": "integer", "type": "int", "min": 0, "max": 3600},
  "updated_at": {"kind": "expression", "expression": "inserted_at + delay * interval ''1 second''"}}') \g /dev/null
SELECT wh.generate('product', 50000, batch_id => 1) \g /dev/null
SELECT wh.generate('customer_order', $orders, batch_id => 1) \g /dev/null
ANALYZE product, customer_order;
SQL

generate_one() { seconds "SELECT wh.generate('bench_generate.line', 5, link_parent => true, batch_id => 1, workers => $1)"; }
# Once without counting: the server makes its log files.
sql -c "SELECT wh.generate('bench_generate.line', 5, link_parent => true, batch_id => 1)" \
  -c 'INSERT INTO bench_generate.line_copy SELECT * FROM bench_generate.line' \
  -c 'INSERT INTO bench_generate.line_copy SELECT * FROM bench_generate.line' -o /dev/null
one= two= plain= copy=
for round in $(seq "$rounds"); do
  sql -c 'TRUNCATE bench_generate.line, bench_generate.line_sql, bench_generate.line_copy' -c 'CHECKPOINT'
  two=$(least "$two" "$(generate_one 2)")
  sql -c 'TRUNCATE bench_generate.line' -c 'CHECKPOINT'
  one=$(least "$one" "$(generate_one 1)")
  sql -c 'CHECKPOINT'
  # One scan of the orders and one hash join on a computed key. exp(random() * ln(n)) is the cheapest
  # way to Zipf's law in SQL, though only near it; the remarks have the same four parts; keys by
  # arithmetic are faster than row_number(), make_interval() than a product with an interval.
  plain=$(least "$plain" "$(seconds "
    INSERT INTO bench_generate.line_sql
    SELECT o.order_line_item_id, o.order_id, p.product_id, o.quantity, p.unit_price, o.quantity * p.unit_price,
           o.comments, o.inserted_at, o.updated_at
    FROM (SELECT (order_id - 1) * 5 + n AS order_line_item_id, order_id,
                 floor(exp(random() * ln(50001::float8)))::int AS product_id,
                 floor(exp(random() * ln(21::float8)))::int AS quantity,
                 CASE WHEN random() < 0.1 THEN
                   (ARRAY['Please','Kindly','If possible,','As agreed,','Before delivery,','After noon,','On arrival,','Next week,'])[1 + floor(random() * 8)::int] || ' ' ||
                   (ARRAY['leave','wrap','label','inspect','replace','ship','check','pack'])[1 + floor(random() * 8)::int] || ' ' ||
                   (ARRAY['the parcel','every item','the larger box','the receipt','the gift','the invoice'])[1 + floor(random() * 6)::int] || ' ' ||
                   (ARRAY['at the front door','with the neighbor','in plain paper','with extra care','behind the gate'])[1 + floor(random() * 5)::int] || '.'
                 END AS comments,
                 ordered_at AS inserted_at, ordered_at + make_interval(secs => floor(random() * 3601)) AS updated_at
          FROM bench_generate.customer_order, generate_series(1, 5) AS n) o
    JOIN bench_generate.product p USING (product_id)")")
  sql -c 'TRUNCATE bench_generate.line_sql' -c 'CHECKPOINT'
  copy=$(least "$copy" "$(seconds 'INSERT INTO bench_generate.line_copy SELECT * FROM bench_generate.line')")
done

cat <<TEXT
rows                               $rows
wh.generate, one process           ${one% *} s   (processor ${one#* } s)
wh.generate, two processes         ${two% *} s   ($(ratio "$one" "$two") times as fast as one)
INSERT ... SELECT with random()    ${plain% *} s   (processor ${plain#* } s; wh.generate by one: $(ratio "$plain" "$one") times as fast, by two: $(ratio "$plain" "$two"); by processor time: $(cpu_ratio "$plain" "$one"))
INSERT ... SELECT of the same rows ${copy% *} s   (processor ${copy#* } s; wh.generate by one takes $(ratio "$one" "$copy") times as long, by two: $(ratio "$two" "$copy"))
TEXT
sql -c 'DROP SCHEMA bench_generate CASCADE'
