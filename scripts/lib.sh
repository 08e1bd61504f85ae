# Shell functions that the scripts share: packages, an unprivileged user, a private server. Source it; it runs nothing.

# Root only where root is needed.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() { [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; }

# install_packages PACKAGE...: installs those that are missing. On machines without apt it only hopes for the best.
install_packages() {
  command -v apt-get >/dev/null || return 0
  local package missing=()
  for package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! can_be_root; then
    echo "missing packages: ${missing[*]} (not root, no sudo)" >&2
    return 0
  fi
  # A fresh PostgreSQL would create and start a server of its own, which nobody here needs. One that is there stays as
  # it is.
  if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    as_root mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  echo "installing ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Options::=--force-confold "${missing[@]}" >/dev/null
}

# The user that servers and tests run as: a server refuses to run as root.
test_user() {
  if [ "$(id -u)" != 0 ]; then
    id -un
  elif getent passwd postgres >/dev/null; then
    echo postgres
  else
    echo nobody
  fi
}

# as_user COMMAND...: runs it as test_user, in the current directory.
as_user() {
  if [ "$(id -u)" = 0 ]; then
    local user
    user=$(test_user)
    setpriv --reuid="$user" --regid="$(id -g "$user")" \
        --clear-groups env HOME="${WORK:-/tmp}" USER="$user" LOGNAME="$user" "$@"
  else
    "$@"
  fi
}

# What a server needs in its configuration to keep results in AGGCACHE_TEST_STORE, if that is set, which uses the
# servers that test/lib/redis_servers.py started in AGGCACHE_TEST_REDIS.
store_settings() {
  [ -n "${AGGCACHE_TEST_STORE:-}" ] || return 0
  echo "aggcache.store = '$AGGCACHE_TEST_STORE'"
  # what is expected to be a hit must not depend on how busy the machine is
  printf "aggcache.redis_timeout = '30s'\naggcache.redis_connect_timeout = '30s'\n"
  as_user cat "$AGGCACHE_TEST_REDIS/postgresql.conf"
}

# start_server DIRECTORY [LINE...]: makes a cluster in DIRECTORY/data and starts it on a Unix socket in DIRECTORY, as
# test_user, with the library preloaded and the lines in its configuration. Needs BINDIR.
start_server() {
  local directory=$1
  shift
  as_user mkdir -p "$directory"
  as_user "$BINDIR/initdb" -D "$directory/data" -U postgres -A trust -N --no-locale -E UTF8 >"$directory/initdb.log"
  {
    printf "listen_addresses = ''\nunix_socket_directories = '%s'\n" "$directory"
    # A transaction that comes and goes by itself may cost a hit. Where autovacuum is off, version 18 keeps fewer
    # statistics, and isolation shows what keeping them does.
    printf "fsync = off\nautovacuum_naptime = 7d\nshared_preload_libraries = 'pg_aggcache'\n"
    store_settings
    printf '%s\n' "$@"
  } | as_user tee -a "$directory/data/postgresql.conf" >/dev/null
  as_user "$BINDIR/pg_ctl" -D "$directory/data" -l "$directory/server.log" -w -t 300 start >/dev/null
}

# stop_server DIRECTORY: by the process id in its own pid file.
stop_server() {
  [ -f "$1/data/postmaster.pid" ] || return 0
  as_user "$BINDIR/pg_ctl" -D "$1/data" -m fast -w -t 300 stop >/dev/null ||
    as_user "$BINDIR/pg_ctl" -D "$1/data" -m immediate -w stop >/dev/null || true
}

# ---- Redis servers of scripts/test, which sets SRC and defines count ------------------------------------------------

REDIS= # directory of the Redis servers that run

# has_redis SUITE: whether there is one here; else the suite counts as skipped, or as failed if that cannot be told
has_redis() {
  local reason
  [ -x /usr/bin/python3 ] || { count "$1" 0 0 1 "no python3"; return 1; }
  reason=$("$SRC/test/lib/redis_servers.py" version 2>&1)
  case $? in
    0) return 0 ;;
    3) count "$1" 0 0 1 "$reason" ;;
    *) count "$1" 0 1 0 "${reason##*: }" ;;
  esac
  return 1
}

# start_redis KIND: see test/lib/redis_servers.py
start_redis() {
  # /tmp rather than TMPDIR: the path of a socket must be short
  REDIS=$(as_user mktemp -d /tmp/aggcache-redis.XXXXXX) &&
    as_user "$SRC/test/lib/redis_servers.py" start "$1" "$REDIS"
}

stop_redis() {
  [ -n "$REDIS" ] || return 0
  [ ! -f "$REDIS/servers.json" ] || as_user "$SRC/test/lib/redis_servers.py" stop "$REDIS"
  as_user rm -rf "$REDIS"
  REDIS=
}

# unit_target TARGET: runs it, leaves make's status in its .rc
unit_target() {
  local files=() only=() jobs=2
  # The model checkers and the simulation are about the protocols: the short form runs them once, without sanitizers.
  # ThreadSanitizer is for those that have threads, AddressSanitizer for all but the models.
  if [ "$LONG" = 0 ] && [ -z "${UNIT_TARGETS:-}" ]; then
    case $1 in
      check) mapfile -t files < <(cd test/unit && printf '%s\n' {stamp,ledger}_model*.cc entry_fairness*.cc) ;;
      check-tsan) mapfile -t files < <(cd test/unit && grep -l 'std::thread' -- *_test.cc) ;;
      *) mapfile -t files < <(cd test/unit && printf '%s\n' *.cc | grep -vE '^(stamp|ledger)_model|^entry_fairness') ;;
    esac
    only=("TESTS=${files[*]}")
  fi
  [ "$1" != check-asan ] || jobs=4 # it has most to compile, and would end long after the others
  as_user make -j$jobs -C test/unit "$1" "${only[@]}" >"$LOGS/unit-$1.log" 2>&1
  echo $? >"$LOGS/unit-$1.rc"
}

suite_unit() {
  local target p f rc total_p=0 total_f=0
  for target in ${UNIT_TARGETS:-check check-asan check-tsan}; do
    unit_target "$target" &
  done
  wait
  for target in ${UNIT_TARGETS:-check check-asan check-tsan}; do
    rc=$(cat "$LOGS/unit-$target.rc" 2>/dev/null || echo 1)
    p=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$LOGS/unit-$target.log" | tail -1)
    f=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$LOGS/unit-$target.log" | tail -1)
    [ "$rc" = 0 ] || [ "${f:-0}" -gt 0 ] || f=1 # died without counting
    [ -n "${p:-}${f:-}" ] || f=1
    total_p=$((total_p + ${p:-0})) total_f=$((total_f + ${f:-0}))
    [ "${f:-0}" = 0 ] || show_log "unit-$target"
  done
  count unit "$total_p" "$total_f" 0
}

# ---- Lanes of scripts/test, which sets LOGS and defines wants, count and run_suite -----------------------------------

LANES=() # process ids of the lanes that run, each the leader of a process group

# run_lane SUITES: those of them that are wanted, in turn. Commas join them.
run_lane() {
  local suite before
  for suite in ${1//,/ }; do
    wants "$suite" || continue
    before=$((passed + failed + skipped))
    run_suite "$suite"
    [ $((passed + failed + skipped)) -gt "$before" ] || count "$suite" 0 1 0 "counted nothing"
  done
}

# in_lane SUITES: run_lane in a shell of its own; leaves "passed failed skipped" in .count
in_lane() {
  set +m
  trap stop_redis EXIT
  trap 'exit 130' INT TERM
  passed=0 failed=0 skipped=0
  run_lane "$1"
  echo "$passed $failed $skipped" >"$LOGS/lane-$1.count"
}

# side_by_side SUITES...: runs these lanes at once. What a lane prints is kept together and shown in their order; a lane
# by itself is shown as it goes.
side_by_side() {
  local lane suite p f s lanes=()
  for lane; do
    for suite in ${lane//,/ }; do
      if wants "$suite"; then lanes+=("$lane"); break; fi
    done
  done
  [ ${#lanes[@]} -gt 0 ] || return 0
  [ ${#lanes[@]} -gt 1 ] || { run_lane "${lanes[0]}"; return; }
  rm -f "$LOGS"/lane-*
  set -m # a process group for each lane: stop_lanes reaches all that it started
  for lane in "${lanes[@]}"; do
    in_lane "$lane" >"$LOGS/lane-$lane.log" 2>&1 &
    LANES+=($!)
  done
  set +m
  for lane in "${lanes[@]}"; do
    began=$SECONDS
    wait "${LANES[0]}"
    LANES=("${LANES[@]:1}")
    cat "$LOGS/lane-$lane.log"
    if read -r p f s 2>/dev/null <"$LOGS/lane-$lane.count"; then
      passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
      count "$lane" 0 1 0 "died without counting"
    fi
  done
}

# stop_lanes: as an interrupt from the keyboard would, so that each stops its servers
stop_lanes() {
  local lane
  for lane in "${LANES[@]}"; do kill -INT -- "-$lane" 2>/dev/null; done
  [ ${#LANES[@]} = 0 ] || wait "${LANES[@]}"
  LANES=()
}
