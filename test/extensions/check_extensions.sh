#!/bin/bash
# test/extensions/check_extensions.sh              checks what src/pg/facts/audited_extensions.cc says of extensions, on
#                                                  those that are installed
# test/extensions/check_extensions.sh --packages   prints Debian's packages that it would try
#
# Each extension's functions are run with arguments made by their types; those whose results change under other settings,
# or after what their tables hold was changed, are compared, cached and plain (test/lib/every_function.sql). What is in
# specific.sql is compared besides. One that is not installed counts as skipped.
#
# Needs the extension installed in the PostgreSQL of PG_CONFIG; starts a private server. Prints
# "extensions: N passed, M failed, K skipped".
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
. scripts/lib.sh

DEBIAN=/usr/lib/postgresql/15/bin/pg_config
PG_CONFIG=${PG_CONFIG:-$([ -x $DEBIAN ] && echo $DEBIAN || echo pg_config)}
BINDIR=$("$PG_CONFIG" --bindir) || exit 1

# Those of contrib, and the packages of others: extension=package. Not h3 and rdkit, some of whose functions take the
# server down for arguments that are only of the right type.
CONTRIB="bloom btree_gin btree_gist citext cube earthdistance fuzzystrmatch hstore intarray isn ltree pg_trgm pgcrypto
seg uuid-ossp unaccent"
OTHERS="asn1oid=asn1oid debversion=debversion first_last_agg=first-last-agg hll=hll ip4r=ip4r jsquery=jsquery
numeral=numeral orafce=orafce pg_rational=rational pg_similarity=similarity postgis=postgis-3
prefix=prefix q3c=q3c rum=rum semver=semver tdigest=tdigest unit=unit vector=pgvector"
VERSION=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
if [ "${1:-}" = --packages ]; then
  for other in $OTHERS; do echo "postgresql-$VERSION-${other#*=}"; done
  echo "postgresql-$VERSION-postgis-3-scripts"
  exit
fi

DIRECTORY=$(mktemp -d /tmp/pg_aggcache-extensions.XXXXXX)
[ "$(id -u)" != 0 ] || chown "$(test_user)" "$DIRECTORY"
trap 'stop_server "$DIRECTORY"; rm -rf "$DIRECTORY"' EXIT
if ! start_server "$DIRECTORY" "fsync = off" "jit = off" "autovacuum = off"; then
  tail -5 "$DIRECTORY/server.log" >&2
  echo "extensions: 0 passed, 1 failed"
  exit 1
fi
export PGHOST=$DIRECTORY PGUSER=postgres PGOPTIONS="-c client_min_messages=error"

FIRST="SET timezone = 'UTC'; SET extra_float_digits = 1; SET datestyle = 'ISO, MDY';"
OUTPUT="SET timezone = 'America/New_York'; SET datestyle = 'German, DMY'; SET intervalstyle = iso_8601;
SET extra_float_digits = -9; SET bytea_output = escape; SET quote_all_identifiers = on; SET array_nulls = off;"
ENCODING="SET client_encoding = 'LATIN1';"
PATHS="SET search_path = pg_catalog;"
# Of an extension: what sets its own settings and states to others.
declare -A OWN=(
  [isn]="SELECT isn_weak(true);"
  [pg_trgm]="SET pg_trgm.similarity_threshold = 0.9; SET pg_trgm.word_similarity_threshold = 0.1;"
  [pgcrypto]="SELECT set_config('pgcrypto.builtin_crypto_enabled', 'off', false);"
  [hll]="SELECT hll_set_defaults(9, 4, 0, 0); SELECT hll_set_max_sparse(0); SELECT hll_set_output_version(1);"
  [pg_similarity]="SELECT lev('a', 'b'); SET pg_similarity.levenshtein_is_normalized = off;
    SET pg_similarity.jaro_is_normalized = off; SET pg_similarity.cosine_tokenizer = 'word';
    SET pg_similarity.qgram_is_normalized = off; SET pg_similarity.block_is_normalized = off;"
  [vector]="SET hnsw.ef_search = 1; SET ivfflat.probes = 1;"
  [orafce]="SELECT set_config('orafce.nls_date_format', 'YY', false); SELECT set_config('nls_date_format', 'YY', false);"
)
# What is done to its tables, and to catalogs.
declare -A TABLES=(
  [postgis]="UPDATE spatial_ref_sys SET proj4text = CASE WHEN srid = 4326 THEN '+proj=longlat' ELSE '+proj=merc' END ||
    ' +a=6378137 +b=6000000 +no_defs', srtext = '', auth_name = 'other', auth_srid = srid + 7 WHERE srid IN (4326, 3857);"
  [unit]="UPDATE unit_units SET unit = '7 m' WHERE name IN ('foot', 'inch', 'mile'); UPDATE unit_prefixes SET factor = 3;"
)
CATALOGS="ALTER TYPE probe.mood RENAME VALUE 'good' TO 'fine';"

passed=0 failed=0 skipped=0
say() { # say NAME OUTPUT: no output is a success
  if [ -z "$2" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED $1"
    cut -c1-300 <<<"$2" | head -20
  fi
}
run() { "$BINDIR/psql" -XAtq -v ON_ERROR_STOP=1 -d "$DATABASE" -c "$1" 2>&1; }
compare() { "$BINDIR/psql" -XAtq -d "$DATABASE" -c "SET client_min_messages = error; $1" -c 'SELECT * FROM probe.compare()' 2>&1 | grep ' *|' | grep -v '^t$'; }
look() { "$BINDIR/psql" -XAtq -d "$DATABASE" -o /dev/null -c "$1" -c 'SELECT probe.look()' 2>&1; }

try_extension() {
  local extension=$1 own=${OWN[$1]:-} tables=${TABLES[$1]:-} surrounding found
  DATABASE=probe_${extension//-/_}
  run_postgres "CREATE DATABASE $DATABASE"
  if ! found=$(run "CREATE EXTENSION \"$extension\" CASCADE"); then
    skipped=$((skipped + 1))
    echo "skipped $extension: $found"
    return
  fi
  "$BINDIR/psql" -Xq -d "$DATABASE" -v ON_ERROR_STOP=1 -o /dev/null -c 'CREATE EXTENSION pg_aggcache' -f test/lib/every_function.sql \
    -c "INSERT INTO probe.wanted SELECT p.oid FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
        AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = '$extension'
        WHERE p.prokind IN ('f', 'a') AND p.provolatile IN ('i', 's') AND NOT 'internal'::regtype = ANY (p.proargtypes)
          -- what changes the state of the session, is random, depends on what was called before, reads on where a text
          -- ends early, or takes the server down
          AND p.proname !~ '^(hll_)?set_|^isn_weak|^st_linefromencodedpolyline'
          AND p.prosrc NOT IN ('geography_line_locate_point', 'ST_WrapX') AND p.pronamespace::regnamespace::text <> 'dbms_random'" \
    -c "$FIRST" -c 'CALL probe.make_values()' || { say "$extension" "cannot be prepared"; return; }
  "$BINDIR/psql" -Xq -d "$DATABASE" -o /dev/null 2>/dev/null <<<"$FIRST SET statement_timeout = '3s';
SELECT statement FROM probe.preparation \\gexec"
  for surrounding in "$OUTPUT" "$ENCODING" "$PATHS" "$own"; do
    [ -z "$surrounding" ] || look "$surrounding" >/dev/null
  done
  # what the tables and catalogs hold is changed, and changed back by a new database of the same calls: the twins must
  # have answered before
  run "$FIRST BEGIN; $tables $CATALOGS SELECT probe.look(); CREATE TEMP TABLE kept AS SELECT id FROM probe.call WHERE differs;
    COPY kept TO '$DIRECTORY/kept'; ROLLBACK;" >/dev/null
  run "CREATE TEMP TABLE kept (id int); COPY kept FROM '$DIRECTORY/kept';
    UPDATE probe.call SET differs = true WHERE id IN (SELECT id FROM kept);" >/dev/null
  found=$(run "$FIRST CALL probe.make_twins()")
  say "$extension: twins" "$found"
  found=$(run "SELECT count(DISTINCT f) || ' functions run, ' || count(DISTINCT f) FILTER (WHERE differs) || ' differ, ' ||
    (SELECT count(DISTINCT f) FROM probe.refused) || ' refused' FROM probe.call")
  echo "$extension $(run "SELECT extversion FROM pg_extension WHERE extname = '$extension'"): $found"
  say "$extension: the first answers" "$(compare "$FIRST")"
  for surrounding in "$OUTPUT" "$ENCODING" "$PATHS" "$own"; do
    [ -z "$surrounding" ] || say "$extension: $surrounding" "$(compare "$surrounding")"
  done
  run "$tables $CATALOGS" >/dev/null
  say "$extension: changed tables and catalogs" "$(compare "$FIRST")"
  if [ -e "test/extensions/$extension.sql" ]; then
    # the file says what differs
    run "CREATE SCHEMA specific" >/dev/null
    say "$extension: $extension.sql" "$("$BINDIR/psql" -XAtq -d "$DATABASE" -v ON_ERROR_STOP=1 -f "test/extensions/$extension.sql" 2>&1 | grep -v '^[t|]*$')"
  fi
}
run_postgres() { "$BINDIR/psql" -Xq -d postgres -c "$1"; }
# A function that takes the server down with it: the next extension waits until it is back.
await_server() {
  local i
  for i in $(seq 120); do "$BINDIR/psql" -Xq -d postgres -c '' 2>/dev/null && return; sleep 0.5; done
}

only=${*:-}
for extension in ${only:-$CONTRIB $OTHERS}; do
  try_extension "${extension%=*}"
  await_server
done
echo "extensions: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
