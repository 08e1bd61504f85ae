#!/bin/bash
# The check of includes finds what it is for: each fault is put into a copy of src, one at a time.

set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# finds NAME TEXT FILE LINE: with the line added to the file, the check fails and says the text
finds() {
  local said
  rm -rf "$work/src"
  mkdir "$work/src"
  find src \( -name '*.cc' -o -name '*.h' \) -print0 | xargs -0 cp --parents -t "$work"
  printf '%s\n' "$4" >>"$work/$3"
  if said=$(scripts/check-includes "$work") || ! grep -qF "$2" <<<"$said"; then
    echo "not ok: $1: $said"
    failed=$((failed + 1))
  else
    passed=$((passed + 1))
  fi
}

if scripts/check-includes >"$work/said"; then passed=$((passed + 1)); else failed=$((failed + 1)); cat "$work/said"; fi
finds 'an include of a room above' 'src/pg/facts/names.cc: includes pg/write/written.h' \
  src/pg/facts/names.cc '#include "pg/write/written.h"'
finds 'an include of a room beside' 'src/pg/redis/names.cc: includes pg/watch/watches.h' \
  src/pg/redis/names.cc '#include "pg/watch/watches.h"'
finds 'an include of PostgreSQL'\''s side in core' 'src/core/cells.cc: includes pg/base/settings.h' \
  src/core/cells.cc '#include "pg/base/settings.h"'
finds 'core that includes redis' 'src/core/cells.cc: includes redis/url.h' src/core/cells.cc '#include "redis/url.h"'
finds 'a file in no room' 'src/pg/lost.cc: in no room' src/pg/lost.cc '// lost'
finds 'a difference between versions outside of compat.h' 'PG_VERSION_NUM belongs' \
  src/pg/call/key.cc '#if PG_VERSION_NUM >= 170000'
finds 'a PostgreSQL header in two places' 'catalog/pg_proc.h is included by' \
  src/pg/call/key.cc '#include "catalog/pg_proc.h"'
finds 'a circle of more than three files' 'a circle of' src/pg/body/definition.h '#include "pg/body/analysis.h"'

echo "check-includes: $passed passed, $failed failed"
[ "$failed" = 0 ]
