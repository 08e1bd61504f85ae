#!/bin/bash
# Builds and runs the tests of the Redis client as the current user, plain and under AddressSanitizer; servers are
# private, on Unix sockets and free ports of 127.0.0.1. Ends with one line: N passed, M failed[, K skipped]
#
#   REDIS_TEST_TARGETS     of the Makefile (default: check-asan)
#   AGGCACHE_TEST_SERVER   whose servers: redis (default) or valkey

set -uo pipefail
cd "$(dirname "$0")" || exit 1
reason=$(../lib/redis_servers.py version 2>&1)
case $? in
  0) ;;
  3)
    echo "redisclient: not run: $reason"
    echo "redisclient: 0 passed, 0 failed, 1 skipped"
    exit 0
    ;;
  *)
    echo "$reason"
    echo "redisclient: 0 passed, 1 failed"
    exit 1
    ;;
esac
passed=0 failed=0 skipped=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
for target in ${REDIS_TEST_TARGETS:-check-asan}; do
  make -j2 "$target" >"$log" 2>&1
  rc=$?
  p=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -1)
  f=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -1)
  s=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test.*/\1/p' "$log" | tail -1)
  if [ "$rc" != 0 ] && [ "${f:-0}" = 0 ]; then f=1; fi # died without counting
  if [ "${f:-0}" != 0 ]; then
    grep -vE '^\[ +(OK|RUN) |^\[-----' "$log" | tail -60
  fi
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
done
line="redisclient: $passed passed, $failed failed"
[ "$skipped" = 0 ] || line="$line, $skipped skipped"
echo "$line"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
