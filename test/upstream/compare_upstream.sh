#!/bin/bash
# Runs PostgreSQL's own test suites with the library preloaded, and compares with a server that does not have it.
#
#   test/upstream/compare_upstream.sh [--source DIRECTORY] [--suites LIST] [--modes LIST] [--work DIRECTORY]
#
#   --source  PostgreSQL's source tree of the installed version, or a folder that holds its src/test (default: Debian's
#             source package, fetched by apt with a configuration of our own; nothing of the machine's changes)
#   --suites  of: regress isolation (default: both)
#   --modes   of: preloaded extension (default: both). "extension" also creates the extension in the database that the
#             tests run in, so that the hooks have something to do
#   --work    keep everything in DIRECTORY (default: a temporary one, kept only if something failed)
#
# A test that fails without the library as well says nothing about the library: it is reported and counted as skipped.
# Prints 'upstream: N passed, M failed, K skipped'.

set -uo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../../scripts/lib.sh"

SOURCE= SUITES="regress isolation" MODES="preloaded extension" WORK= KEEP=0
while [ $# -gt 0 ]; do
  case $1 in
    --source) SOURCE=$2; shift ;;
    --suites) SUITES=${2//,/ }; shift ;;
    --modes) MODES=${2//,/ }; shift ;;
    --work) WORK=$2; KEEP=1; shift ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done

PG_CONFIG=${PG_CONFIG:-pg_config}
BINDIR=$("$PG_CONFIG" --bindir) || exit 2
export BINDIR
PGXS=$("$PG_CONFIG" --pgxs)
PGXS_TEST=$(dirname "$PGXS")/../test
PKGLIB=$("$PG_CONFIG" --pkglibdir)
VERSION=$("$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9.a-z]*\).*/\1/')
MAJOR=${VERSION%%[!0-9]*}

if [ -z "$WORK" ]; then
  WORK=$(mktemp -d "${TMPDIR:-/tmp}/aggcache-upstream.XXXXXX")
else
  mkdir -p "$WORK"
  WORK=$(cd "$WORK" && pwd)
fi
[ "$(id -u)" != 0 ] || chown "$(test_user)" "$WORK"
rm -rf "$WORK"/s? "$WORK/out"
passed=0 failed=0 skipped=0
cleanup() {
  local server
  for server in "$WORK"/s?; do stop_server "$server"; done
  [ "$KEEP" = 1 ] || [ "$failed" != 0 ] || rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Without the sources there is nothing to run: no failure, but said.
cannot() {
  echo "upstream: not run: $1"
  echo "upstream: 0 passed, 0 failed, 1 skipped"
  exit 0
}

# ---- The source -----------------------------------------------------------------------------------------------------

# Debian's source package of the installed version or, where the archive has that no more, another one of the same major
# version: what that changes, it changes without the library too. The machine's own sources say where to look; apt works
# on lists and states of our own below the work directory.
fetch_source() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg version versions apt=$WORK/apt
  command -v apt-get >/dev/null || cannot "no apt-get, and no --source"
  command -v dpkg-source >/dev/null || cannot "no dpkg-source to unpack a source package with, and no --source"
  mkdir -p "$apt"/{lists/partial,archives/partial,empty} "$WORK/source"
  apt-cache madison "postgresql-$MAJOR" 2>/dev/null |
    awk -F ' *[|] *' '$3 ~ / Packages$/ { print $2, $3 }' >"$apt/known"
  while read -r _ uri place _; do
    echo "deb-src $([ ! -e "$keyring" ] || echo "[signed-by=$keyring] ")$uri ${place%/*} ${place##*/}"
  done <"$apt/known" | sort -u >"$apt/sources.list"
  [ -s "$apt/sources.list" ] || cannot "apt knows no place that has postgresql-$MAJOR, and no --source"
  # of the machine's configuration what is about reaching the archive; not its hooks
  apt-config dump 2>/dev/null | grep -E '^Acquire::.*";$' >"$apt/apt.conf"
  cat >>"$apt/apt.conf" <<END
Dir::State "$apt"; Dir::State::status "/var/lib/dpkg/status"; Dir::State::lists "$apt/lists";
Dir::Cache "$apt"; Dir::Cache::archives "$apt/archives"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "$apt/empty";
Dir::Etc::main "/dev/null"; Dir::Etc::parts "$apt/empty";
Acquire::Languages "none"; APT::Sandbox::User ""; Debug::NoLocking "true";
END
  version=$(dpkg-query -W -f '${source:Version}' "postgresql-$MAJOR" 2>/dev/null)
  versions=$({ echo "$version"; awk '{ print $1 }' "$apt/known"; } | awk 'NF && !seen[$1]++')
  export APT_CONFIG=$apt/apt.conf
  apt-get update -qq >"$WORK/fetch.log" 2>&1
  for version in $versions; do
    (cd "$WORK/source" && apt-get source -qq "postgresql-$MAJOR=$version") >>"$WORK/fetch.log" 2>&1 && break
    version=
  done
  unset APT_CONFIG
  if [ -z "$version" ]; then
    tail -3 "$WORK/fetch.log"
    cannot "could not fetch a source package of postgresql-$MAJOR"
  fi
  SOURCE=$(echo "$WORK"/source/postgresql-*/)
  SOURCE=${SOURCE%/}
  echo "sources of $version, server $VERSION"
}

[ -n "$SOURCE" ] || fetch_source
[ -f "$SOURCE/src/test/regress/parallel_schedule" ] || cannot "no src/test/regress in $SOURCE"

# The tests write beside themselves, so they are copied. regress.so holds the C functions they call; refint and autoinc
# are extensions of contrib that they expect at the same place.
prepare() {
  rm -rf "$WORK/test"
  mkdir -p "$WORK/test"
  cp -r "$SOURCE/src/test/regress" "$SOURCE/src/test/isolation" "$WORK/test/"
  cat >"$WORK/test/regress/Makefile.library" <<END
MODULES = regress
PG_CONFIG = $PG_CONFIG
override with_llvm = no
PGXS = $PGXS
include \$(PGXS)
END
  rm -f "$WORK/test/regress/GNUmakefile" # or 'make' would prefer it
  [ "$(id -u)" != 0 ] || chown -R "$(test_user)" "$WORK/test"
  (cd "$WORK/test/regress" && as_user make -f Makefile.library regress.so) >"$WORK/build.log" 2>&1 || {
    tail -20 "$WORK/build.log"
    cannot "could not build regress.so"
  }
  local module
  for module in refint autoinc; do
    [ ! -e "$PKGLIB/$module.so" ] || as_user cp "$PKGLIB/$module.so" "$WORK/test/regress/"
  done
}

# ---- Runs -----------------------------------------------------------------------------------------------------------

# run_suite SUITE MODE: leaves in $WORK/SUITE.MODE.outcome a line "ok NAME" or "failed NAME" for each test
run_suite() {
  local suite=$1 mode=$2 out=$WORK/out/$1.$2 log=$WORK/$1.$2.log server=$WORK/s$3 options=() lines=()
  as_user mkdir -p "$out/sql" "$out/expected"
  [ "$mode" != none ] || lines+=("shared_preload_libraries = ''")
  start_server "$server" "max_prepared_transactions = 10" "max_connections = 100" "autovacuum_naptime = 1min" \
    "${lines[@]}" || return 1
  [ "$mode" != extension ] || options+=(--load-extension=pg_aggcache)
  if [ "$suite" = regress ]; then
    options+=(--dlpath="$WORK/test/regress" --schedule="$WORK/test/regress/parallel_schedule" --dbname=regression)
    set -- "$PGXS_TEST/regress/pg_regress"
  else
    options+=(--schedule="$WORK/test/isolation/isolation_schedule" --dbname=isolation_regression)
    set -- "$PGXS_TEST/isolation/pg_isolation_regress"
  fi
  (cd "$WORK/test/$suite" && as_user env PGHOST="$server" PGUSER=postgres "$1" --bindir="$BINDIR" --inputdir=. \
    --outputdir="$out" --max-concurrent-tests=20 --host="$server" --user=postgres "${options[@]}") >"$log" 2>&1
  # before 16, "test NAME ... ok" or "     NAME ... FAILED"; since, TAP
  sed -nE -e 's/^(test)? +([^ ]+) +\.\.\. +ok .*/ok \2/p' -e 's/^(test)? +([^ ]+) +\.\.\. +FAILED.*/failed \2/p' \
    -e 's/^ok [0-9]+ +[-+] ([^ ]+) .*/ok \1/p' -e 's/^not ok [0-9]+ +[-+] ([^ ]+) .*/failed \1/p' "$log" |
    sort >"$WORK/$suite.$mode.outcome"
  if grep -qE 'PANIC:|TRAP:|was terminated by signal' "$server/server.log"; then
    grep -E 'PANIC:|TRAP:|was terminated by signal' -A3 "$server/server.log" | head -20
    echo "failed the_server_crashed" >>"$WORK/$suite.$mode.outcome"
  fi
  # or all of it would show nothing
  local loaded
  loaded=$(as_user "$BINDIR/psql" -XAtq -h "$server" -U postgres -d postgres -c 'SHOW shared_preload_libraries')
  [ "$loaded" = "$([ "$mode" = none ] || echo pg_aggcache)" ] || echo "failed preload" >>"$WORK/$suite.$mode.outcome"
  if [ "$mode" = extension ] && ! grep -q '^CREATE EXTENSION\|installing pg_aggcache' "$log"; then
    echo "failed create_extension" >>"$WORK/$suite.$mode.outcome"
  fi
  stop_server "$server"
}

# compare SUITE MODE: counts, against the run without the library
compare() {
  local suite=$1 mode=$2 state test same different=() both=()
  while read -r state test; do
    if [ "$state" = ok ]; then
      passed=$((passed + 1))
    elif grep -qx "failed $test" "$WORK/$suite.none.outcome" &&
      cmp -s "$WORK/out/$suite".{none,"$mode"}/results/"$test.out"; then
      skipped=$((skipped + 1)) both+=("$test")
    else
      failed=$((failed + 1)) different+=("$test")
    fi
  done <"$WORK/$suite.$mode.outcome"
  [ ${#both[@]} = 0 ] || echo "  fail in the same way without the library: ${both[*]}"
  [ ${#different[@]} = 0 ] && return
  echo "  FAILED: ${different[*]}"
  for test in "${different[@]}"; do
    diff -U3 "$WORK/out/$suite".{none,"$mode"}/results/"$test.out" | head -40
  done
}

prepare
number=0
for suite in $SUITES; do
  for mode in none $MODES; do
    began=$SECONDS number=$((number + 1))
    if ! run_suite "$suite" "$mode" "$number" || [ ! -s "$WORK/$suite.$mode.outcome" ]; then
      tail -20 "$WORK/$suite.$mode.log" "$WORK/s$number/server.log" 2>/dev/null
      echo "$suite, $mode: did not run"
      failed=$((failed + 1))
      break
    fi
    echo "$suite, $mode: $(grep -c '^ok' "$WORK/$suite.$mode.outcome") ok," \
      "$(grep -c '^failed' "$WORK/$suite.$mode.outcome") failed, $((SECONDS - began)) s"
    [ "$mode" = none ] || compare "$suite" "$mode"
  done
done
echo "upstream: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
