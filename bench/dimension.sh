#!/usr/bin/env bash
# bench/dimension.sh: an SCD2 dimension against dbt snapshot, and the cost of a change by members.
# Run as: scripts/with-server bench/dimension.sh
#
# The source is a table of SIZE keys with six attributes and updated_at, which is indexed. dbt takes
# it by a snapshot with the check strategy over all columns; we by an upsert feed and a dimension
# over it, in one cycle. Both are timed as their users see them: the whole command, from the shell.
#
#   SIZE    keys (1000000)
#   PAIRS   pairs of runs (3); a ratio printed is the median of the pairs'
#   PARTS   what to measure (load change scale)
set -euo pipefail
. "$(dirname "$0")/common.sh"
size=${SIZE:-1000000}
parts=" ${PARTS:-load change scale} "

# source_table NAME KEYS
source_table() {
  sql <<SQL
CREATE SCHEMA IF NOT EXISTS src;
CREATE TABLE src.$1 AS
  SELECT i AS customer_id, 'customer number ' || i AS name, 'c' || i || '@example.com' AS email, 'city ' || i % 5000 AS city,
         i % 50 AS segment, (i * 31::bigint % 1000000 / 100.0)::numeric(12,2) AS credit_limit, i % 3 = 0 AS is_company,
         timestamptz '2023-01-01' + i * interval '10 seconds' AS updated_at
  FROM generate_series(1, $2) i;
ALTER TABLE src.$1 ADD PRIMARY KEY (customer_id);
CREATE INDEX ON src.$1 (updated_at);
VACUUM ANALYZE src.$1;
SQL
}

# warehouse NAME SOURCE [WATERMARK]: makes feed and dimension NAME over src.SOURCE.
warehouse() {
  sql <<SQL >/dev/null
SELECT wh.create_feed('$1', 'src.$2', 'upsert', key => '{customer_id}', sequence_by => 'updated_at'${3:+, watermark => '$3'});
SELECT wh.create_dimension('$1', 'SELECT customer_id, name, email, city, segment, credit_limit, is_company FROM $1', '{customer_id}');
SQL
}

# change TABLE KEYS: changes so many keys, spread evenly over the table and over a day, a day later each time.
day=0
change() {
  day=$((day + 1))
  sql -c "UPDATE src.$1 t SET city = 'moved ' || $day, segment = segment + 1, updated_at = timestamptz '2034-01-01' + ($day + t.customer_id / s.keys::float8) * interval '1 day'
          FROM (SELECT count(*) AS keys, count(*) / $2 AS step FROM src.$1) s WHERE t.customer_id % s.step = $day % s.step" -c "ANALYZE src.$1"
}
versions() { sql -c "SELECT count(*) || ' versions, ' || count(*) FILTER (WHERE $2) || ' open' FROM $1"; }
peer_versions() { versions peer.customer_snapshot 'dbt_valid_to IS NULL'; }
our_versions() { versions "(SELECT * FROM mart.$1 WHERE ${1}_key > 0) v" is_current; }

peer() {
  dbt_install
  dbt_project
  cat >"$dbt_project/snapshots/customer.yml" <<YAML
sources:
  - {name: src, schema: src, tables: [{name: customer}]}
snapshots:
  - name: customer_snapshot
    relation: source('src', 'customer')
    config: {schema: peer, unique_key: customer_id, strategy: check, check_cols: all}
YAML
  # Without this, dbt would put it into schema peer_peer.
  mkdir -p "$dbt_project/macros"
  echo '{% macro generate_schema_name(name, node) %}{{ name or target.schema }}{% endmacro %}' >"$dbt_project/macros/schema.sql"
  echo "peer: $(dbt_version); dbt snapshot, strategy check, check_cols all"
  dbt snapshot --select nothing >"$WH_TMP/seconds.log" 2>&1 || { cat "$WH_TMP/seconds.log" >&2; exit 1; }
  startup=$(for i in 1 2 3; do seconds dbt snapshot --select nothing; echo; done | median)
  echo "peer's start-up, in each of its times below: $startup s (dbt snapshot --select nothing)"
}

load_and_change() {
  local pair dbt ours full ratios= full_ratios= bare=
  source_table customer "$size"
  echo "source: $size keys, $(sql -c "SELECT pg_size_pretty(pg_table_size('src.customer'))"); load average $(load_average)"
  peer
  for pair in $(seq "$pairs"); do
    sql -c 'DROP TABLE IF EXISTS peer.customer_snapshot' -c 'CHECKPOINT'
    dbt=$(seconds dbt snapshot)
    [ "$pair" = 1 ] || sql -c "SELECT wh.drop_dimension('customer')" -c "SELECT wh.drop_feed('customer')" >/dev/null
    warehouse customer customer updated_at
    sql -c 'CHECKPOINT'
    ours=$(seconds cycle)
    must_equal 'first load' "$(peer_versions)" "$(our_versions customer)"
    ratios+=$(calc "$dbt / $ours")$'\n' bare+=$(calc "($dbt - $startup) / $ours")$'\n'
    echo "first load, pair $pair: dbt snapshot $dbt s, CALL wh.run() $ours s, ratio $(calc "$dbt / $ours") (load average $(load_average))"
  done
  verdict "first load of $size keys, times as fast as dbt snapshot" "$(median <<<"$ratios")" '>=' 2
  echo "  without dbt's start-up: $(median <<<"$bare")"
  [[ $parts = *' change '* ]] || return 0

  # The same source once more, by a feed that has no watermark and reads all of it each time.
  warehouse customer_full customer
  cycle
  sql -c 'VACUUM ANALYZE'
  ratios= bare=
  for pair in $(seq "$pairs"); do
    change customer $((size / 100))
    sql -c 'CHECKPOINT'
    dbt=$(seconds dbt snapshot)
    sql -c 'CHECKPOINT'
    ours=$(seconds cycle "feeds => '{customer}'")
    sql -c 'CHECKPOINT'
    full=$(seconds cycle "feeds => '{customer_full}'")
    must_equal 'change' "$(peer_versions)" "$(our_versions customer)"
    must_equal 'change, read in full' "$(peer_versions)" "$(our_versions customer_full)"
    ratios+=$(calc "$dbt / $ours")$'\n' bare+=$(calc "($dbt - $startup) / $ours")$'\n' full_ratios+=$(calc "$dbt / $full")$'\n'
    echo "1 % changed, pair $pair: dbt snapshot $dbt s, CALL wh.run() $ours s, without a watermark $full s," \
      "ratios $(calc "$dbt / $ours") and $(calc "$dbt / $full") (load average $(load_average))"
  done
  verdict "$((size / 100)) of $size keys changed, times as fast as dbt snapshot" "$(median <<<"$ratios")" '>=' 10
  echo "  without dbt's start-up: $(median <<<"$bare")"
  echo "  without a watermark, reading the whole source: $(median <<<"$full_ratios")"
}

# The same number of changed keys on SIZE members and on a tenth.
scale() {
  local changed pair small big ratios
  source_table many "$size"
  source_table few $((size / 10))
  warehouse many many updated_at
  warehouse few few updated_at
  cycle
  sql -c 'VACUUM ANALYZE'
  for changed in $((size / 100)) $((size / 1000)); do
    ratios=
    for pair in $(seq "$pairs"); do
      change few "$changed"
      change many "$changed"
      sql -c 'CHECKPOINT'
      small=$(seconds cycle "feeds => '{few}'")
      sql -c 'CHECKPOINT'
      big=$(seconds cycle "feeds => '{many}'")
      ratios+=$(calc "$big / $small")$'\n'
      echo "$changed changed, pair $pair: $((size / 10)) members $small s, $size members $big s, ratio $(calc "$big / $small") (load average $(load_average))"
    done
    verdict "$changed changed keys, time on $size members by that on $((size / 10))" "$(median <<<"$ratios")" '<=' 1.5
  done
}

if [[ $parts = *' load '* || $parts = *' change '* ]]; then load_and_change; fi
if [[ $parts = *' scale '* ]]; then scale; fi
