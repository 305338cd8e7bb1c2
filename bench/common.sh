# bench/common.sh: timing, medians, and the peer dbt. Sourced by the benchmarks of this folder.
#
#   PAIRS   pairs of runs (3): ours and the peer's in turn
: "${WH_TMP:?run me under scripts/with-server}"
pairs=${PAIRS:-3}
export PGOPTIONS='-c client_min_messages=warning'

sql() { psql -X -qAt -v ON_ERROR_STOP=1 "$@"; }

# load_average: the machine's load of the last minute.
load_average() { cut -d ' ' -f 1 /proc/loadavg; }

# calc EXPRESSION [FORMAT]: computes with awk; not for text that anyone else wrote.
calc() { awk "BEGIN { printf \"${2:-%.2f}\", $1 }"; }

# seconds COMMAND...: runs it and prints its wall time in seconds; its output is shown when it fails.
seconds() {
  local start=$EPOCHREALTIME end
  if ! "$@" >"$WH_TMP/seconds.log" 2>&1; then cat "$WH_TMP/seconds.log" >&2; return 1; fi
  end=$EPOCHREALTIME
  calc "$end - $start" %.3f
}

# cycle [ARGUMENTS]: one cycle, as a user of psql runs it.
cycle() { psql -X -q -v ON_ERROR_STOP=1 -c "CALL wh.run(${1:-})"; }

# median: of the numbers on standard input, one per line (the lower one of an even count).
median() { sort -n | awk 'NF { r[++n] = $1 } END { print r[int((n + 1) / 2)] }'; }

# must_equal WHAT A B: the two sides computed the same, or the figures mean nothing.
must_equal() {
  [ "$2" = "$3" ] || { echo "$1: the peer has $2, we have $3" >&2; exit 1; }
}

# verdict NAME RATIO COMPARISON TARGET: prints a ratio beside its target; COMPARISON is >= or <=.
verdict() {
  local met
  met=$(awk "BEGIN { print ($2 $3 $4) ? \"met\" : \"MISSED\" }")
  echo "$1: $2 (target $3 $4: $met)"
}

# The peer: dbt-core with dbt-postgres from PyPI, in a virtual environment below the user's cache.
# From 2 on dbt-core is another program, which takes its engine from a site of its own.
dbt_home=${XDG_CACHE_HOME:-$HOME/.cache}/widgets_wh/dbt
dbt_install() {
  [ ! -e "$dbt_home/.complete" ] || return 0
  "$(dirname "$0")/../scripts/setup" python3-venv
  echo "installing dbt into $dbt_home" >&2
  rm -rf "$dbt_home"
  python3 -m venv "$dbt_home"
  "$dbt_home/bin/pip" install -q --disable-pip-version-check 'dbt-core<1.11' 'dbt-postgres<1.11' >&2
  touch "$dbt_home/.complete"
}
dbt_version() {
  "$dbt_home/bin/python" -c 'from importlib.metadata import version as v
print("dbt-core", v("dbt-core"), "with dbt-postgres", v("dbt-postgres"))'
}

# dbt_project: makes an empty project in $dbt_project for this server; its tables go to schema "peer".
dbt_project=$WH_TMP/dbt
dbt_project() {
  mkdir -p "$dbt_project/models" "$dbt_project/snapshots"
  cat >"$dbt_project/dbt_project.yml" <<YAML
name: bench
version: '1.0'
config-version: 2
profile: bench
flags: {send_anonymous_usage_stats: false}
YAML
  cat >"$dbt_project/profiles.yml" <<YAML
bench:
  target: bench
  outputs:
    bench: {type: postgres, host: '$PGHOST', port: $PGPORT, user: '$PGUSER', password: '', dbname: '$PGDATABASE', schema: peer, threads: 1}
YAML
}

# dbt ARGUMENTS...: runs dbt in the project, as its user would.
dbt() { (cd "$dbt_project" && "$dbt_home/bin/dbt" "$@" --profiles-dir .); }
