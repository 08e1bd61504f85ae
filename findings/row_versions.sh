#!/bin/bash
# Row values know the version of their type (PostgreSQL 15.20, a minor release).
#
# A value of a composite type carries a version of the type since this release. A value that a session keeps while the
# type changes, here in the rows of a cursor WITH HOLD, is checked against it:
#
#   ALTER TYPE ... ALTER ATTRIBUTE b TYPE text, where b is text already   the rest of the rows cannot be read: 22P07
#   ALTER TYPE ... RENAME, ADD and DROP ATTRIBUTE                         they can be read, with the new columns
#
# So a statement that changes nothing is the one that makes kept rows useless. Whoever stores such values as bytes (a
# cache, say) finds that the version is part of them: two values that print alike, made before and after the statement,
# differ, and an old one is an error to who reads it. It has to be given the header of a new value.
#
# Installs the pinned packages into a temporary folder, runs a server there on a Unix socket, and fails if what it saw
# has changed. As root it needs a user to run the server as (default: nobody).

set -euo pipefail
VERSION=15.20-0+deb12u1
USER_TO_RUN=${1:-nobody}
DIRECTORY=$(mktemp -d /tmp/row-versions.XXXXXX)
trap 'cd /; [ ! -f "$DIRECTORY/data/postmaster.pid" ] || run "$BIN/pg_ctl" -D "$DIRECTORY/data" -m immediate stop >/dev/null; rm -rf "$DIRECTORY"' EXIT
cd "$DIRECTORY"
run() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid="$USER_TO_RUN" --regid="$(id -g "$USER_TO_RUN")" --clear-groups "$@"; else "$@"; fi
}
apt-get download "postgresql-15=$VERSION" "postgresql-client-15=$VERSION" >/dev/null
for package in *.deb; do dpkg -x "$package" root; done
BIN=$DIRECTORY/root/usr/lib/postgresql/15/bin
chmod 755 "$DIRECTORY"
[ "$(id -u)" != 0 ] || chown "$USER_TO_RUN" "$DIRECTORY"
run "$BIN/initdb" -D "$DIRECTORY/data" -U postgres -A trust -N --no-locale -E UTF8 >/dev/null
run "$BIN/pg_ctl" -D "$DIRECTORY/data" -l "$DIRECTORY/log" -w \
  -o "-c listen_addresses='' -c unix_socket_directories=$DIRECTORY" start >/dev/null

# what is read of a row that was made before the change
after() {
  "$BIN/psql" -XAtq -h "$DIRECTORY" -U postgres postgres 2>&1 <<SQL | tail -1
\\set VERBOSITY sqlstate
SET client_min_messages = error;
DROP TYPE IF EXISTS pair;
CREATE TYPE pair AS (a int, b text);
BEGIN;
DECLARE kept CURSOR WITH HOLD FOR SELECT ROW(i, 'x')::pair FROM generate_series(1, 2) i;
COMMIT;
$1;
FETCH 1 FROM kept;
SQL
}
status=0
expect() {
  local seen
  seen=$(after "$1")
  echo "$1: $seen"
  [ "$seen" = "$2" ] || { echo "  expected: $2"; status=1; }
}
"$BIN/postgres" --version
expect "COMMENT ON TYPE pair IS 'nothing changed'" "(1,x)"
expect "ALTER TYPE pair RENAME ATTRIBUTE b TO c" "(1,x)"
expect "ALTER TYPE pair ADD ATTRIBUTE c int" "(1,x,)"
expect "ALTER TYPE pair DROP ATTRIBUTE b" "(1)"
expect "ALTER TYPE pair ALTER ATTRIBUTE b TYPE text" "ERROR:  22P07"
exit $status
