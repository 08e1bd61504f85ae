#!/bin/bash
# test/granularity/check_granularity.sh           checks docs/granularity.md: which writes invalidate which results
# test/granularity/check_granularity.sh --write   writes it anew; read the difference before committing it
#
# granularity.pl has the query shapes, the write shapes, and how they are tried. Needs the extension installed in the
# PostgreSQL of PG_CONFIG; starts a private server. Prints "granularity: N passed, M failed".
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
. scripts/lib.sh

DEBIAN=/usr/lib/postgresql/15/bin/pg_config
PG_CONFIG=${PG_CONFIG:-$([ -x $DEBIAN ] && echo $DEBIAN || echo pg_config)}
BINDIR=$("$PG_CONFIG" --bindir) || exit 1
# /tmp rather than TMPDIR: the path of a socket must be short
DIRECTORY=$(mktemp -d /tmp/pg_aggcache-granularity.XXXXXX)
[ "$(id -u)" != 0 ] || chown "$(test_user)" "$DIRECTORY"
trap 'stop_server "$DIRECTORY"; rm -rf "$DIRECTORY"' EXIT

# Many slots, so that hardly any two tags share one. Nothing but the test may write.
if ! start_server "$DIRECTORY" "aggcache.stamp_slots = 1048576" "autovacuum = off" "fsync = off" "jit = off"; then
  tail -5 "$DIRECTORY/server.log" >&2
  echo "granularity: 0 passed, 1 failed"
  exit 1
fi
PSQL="$BINDIR/psql" PGHOST=$DIRECTORY PGUSER=postgres perl test/granularity/granularity.pl "$@"
