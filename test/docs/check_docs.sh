#!/bin/bash
# test/docs/check_docs.sh            checks that the documents say what the extension does
# test/docs/check_docs.sh --update   puts what the server printed into the README's output blocks; read the difference
#                                    before committing it
#
# - README.md: its sql blocks, pasted in order into one session, print what the output blocks after them show.
# - docs/reference.md: every setting, every function, table and view of the installed extension with every column, and
#   every error message and reason of the source has an entry.
# - Links between the documents lead somewhere.
#
# Needs the extension installed in the PostgreSQL of PG_CONFIG; starts a private server. Prints
# "docs: N passed, M failed".
set -euo pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
DEBIAN=/usr/lib/postgresql/15/bin/pg_config
PG_CONFIG=${PG_CONFIG:-$([ -x $DEBIAN ] && echo $DEBIAN || echo pg_config)}
BIN=$("$PG_CONFIG" --bindir)

# PostgreSQL refuses to run as root.
as_server() { "$@"; }
OWNER=$(id -un)
if [ "$(id -u)" = 0 ]; then
  OWNER=postgres
  id postgres >/dev/null 2>&1 || OWNER=nobody
  as_server() { (cd / && exec runuser -u "$OWNER" -- "$@"); }
fi

# /tmp rather than TMPDIR: the path of a socket must be short
DIRECTORY=$(as_server mktemp -d /tmp/pg_aggcache-docs.XXXXXX)
DATA=$DIRECTORY/data
cleanup() {
  as_server "$BIN/pg_ctl" -D "$DATA" -m immediate -w stop >/dev/null 2>&1 || true
  as_server rm -rf "$DIRECTORY"
}
trap cleanup EXIT

as_server "$BIN/initdb" -D "$DATA" -N -A trust -U docs -E UTF8 --locale=C.UTF-8 >/dev/null
as_server tee -a "$DATA/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$DIRECTORY'
shared_preload_libraries = 'pg_aggcache'
autovacuum = off
fsync = off
CONF
as_server "$BIN/pg_ctl" -D "$DATA" -l "$DIRECTORY/log" -w start >/dev/null || {
  as_server cat "$DIRECTORY/log" >&2
  echo "docs: 0 passed, 1 failed"
  exit 1
}

cd "$HERE/../.."
PSQL() { as_server "$BIN/psql" -X -q -h "$DIRECTORY" -U docs -d postgres "$@"; }

perl "$HERE/docs.pl" script README.md >"/tmp/${DIRECTORY##*/}.sql"
PSQL <"/tmp/${DIRECTORY##*/}.sql" >"/tmp/${DIRECTORY##*/}.out" 2>&1 || true
rm -f "/tmp/${DIRECTORY##*/}.sql"
PSQL -At -c "
  WITH member AS (
    SELECT classid, objid FROM pg_depend JOIN pg_extension e ON e.oid = refobjid AND extname = 'pg_aggcache'
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e')
  SELECT 'function', nspname || '.' || proname
  FROM member JOIN pg_proc p ON classid = 'pg_proc'::regclass AND objid = p.oid
    JOIN pg_namespace n ON n.oid = pronamespace
  UNION
  SELECT 'relation', nspname || '.' || relname || ':' || (
    SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
  FROM member JOIN pg_class c ON classid = 'pg_class'::regclass AND objid = c.oid
    JOIN pg_namespace n ON n.oid = relnamespace
  ORDER BY 1, 2" >"/tmp/${DIRECTORY##*/}.objects"

status=0
perl "$HERE/docs.pl" "$([ "${1:-}" = --update ] && echo update || echo check)" README.md \
  "/tmp/${DIRECTORY##*/}.out" "/tmp/${DIRECTORY##*/}.objects" || status=$?
rm -f "/tmp/${DIRECTORY##*/}.out" "/tmp/${DIRECTORY##*/}.objects"
exit $status
