#!/bin/bash
# Fuzzes what comes back from Redis: values (frame) and the protocol (reply). One closing line: fuzz: N passed, M failed
#
#   test/fuzz/fuzz.sh [--long] [--seconds N] [--only frame|reply] [--keep DIRECTORY]
#
#   --long     ten minutes for each instead of ten seconds, at once where there are two processors
#   --seconds  another time
#   --only     one of them
#   --keep     puts the inputs that reached something new into DIRECTORY/frame and DIRECTORY/reply
#
# For each: the corpus is replayed, a build with a planted bug must be caught, then it is fuzzed. Needs clang with
# libFuzzer (clang and libclang-rt-14-dev on Debian 12); where that is not to be had, the corpus is replayed with what
# g++ has of sanitizers. The reply fuzzer needs libhiredis-dev.

set -uo pipefail
cd "$(dirname "$0")" || exit 2
SECONDS_EACH=10 ONLY= KEEP=
while [ $# -gt 0 ]; do
  case $1 in
    --long) SECONDS_EACH=600 ;;
    --seconds) SECONDS_EACH=$2; shift ;;
    --only) ONLY=$2; shift ;;
    --keep) mkdir -p "$2" || exit 2; KEEP=$(cd "$2" && pwd); shift ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done

WORK=$(mktemp -d) || exit 2
passed=0 failed=0
# verdict RC LOG WORDS: counts, and shows the log's end if RC is not 0
verdict() {
  if [ "$1" = 0 ]; then
    passed=$((passed + 1))
    echo "$3"
  else
    failed=$((failed + 1))
    echo "$3: FAILED"
    tail -40 "$2"
  fi
}

KIND=libfuzzer
CLANG=$(command -v clang++-14 || command -v clang++ || true)
echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long) { return 0; }' >"$WORK/try.cc"
if [ -z "$CLANG" ] || ! "$CLANG" -fsanitize=fuzzer,address "$WORK/try.cc" -o "$WORK/try" 2>/dev/null; then
  KIND=replay
  echo "no clang with libFuzzer: only the corpus is replayed"
fi

targets=all
[ $KIND = replay ] || targets="all planted"
make -j2 KIND=$KIND $targets >"$WORK/build.log" 2>&1
built=$?
[ $built = 0 ] || verdict $built "$WORK/build.log" build
FUZZERS=$(make -s KIND=$KIND list)
[ -z "$ONLY" ] || FUZZERS=$(tr ' ' '\n' <<<"$FUZZERS" | grep -x "$ONLY")
[ $built = 0 ] || FUZZERS=
OPTIONS=(-max_len=4096 -timeout=120 -rss_limit_mb=2048)

# fuzz NAME: for SECONDS_EACH; what is found that is new goes to new/
fuzz() {
  mkdir -p "$WORK/$1/new"
  "build/$KIND/$1_fuzzer" "${OPTIONS[@]}" -max_total_time="$SECONDS_EACH" -print_final_stats=1 \
    -artifact_prefix="$WORK/$1/" "$WORK/$1/new" "corpus/$1" >"$WORK/$1.log" 2>&1
}

for name in $FUZZERS; do
  "build/$KIND/${name}_fuzzer" corpus/"$name"/* >"$WORK/$name-replay.log" 2>&1
  verdict $? "$WORK/$name-replay.log" "$name: $(find corpus/"$name" -type f | wc -l) inputs of the corpus replayed"
  [ $KIND = libfuzzer ] || continue
  mkdir -p "$WORK/$name/planted"
  "build/$KIND/planted/${name}_fuzzer" "${OPTIONS[@]}" -max_total_time=600 -artifact_prefix="$WORK/$name/planted/" \
    "$WORK/$name/planted" "corpus/$name" >"$WORK/$name-planted.log" 2>&1
  grep -qE 'AddressSanitizer: heap-buffer-overflow|does not hold' "$WORK/$name-planted.log"
  verdict $? "$WORK/$name-planted.log" "$name: the planted bug is caught"
  rm -rf "$WORK/$name/planted"
done

if [ $KIND = libfuzzer ]; then
  declare -A pid
  for name in $FUZZERS; do
    fuzz "$name" &
    pid[$name]=$!
    [ "$(nproc)" -gt 1 ] || wait "${pid[$name]}"
  done
  for name in $FUZZERS; do
    wait "${pid[$name]}"
    rc=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$WORK/$name.log")
    verdict $rc "$WORK/$name.log" "$name: fuzzed for $SECONDS_EACH s, ${runs:-?} runs"
    [ -z "$KEEP" ] || { mkdir -p "$KEEP/$name" && cp "$WORK/$name/new"/* "$KEEP/$name"/ 2>/dev/null; }
  done
fi

if [ "$failed" = 0 ]; then rm -rf "$WORK"; else echo "logs, and the inputs that fail: $WORK"; fi
[ $((passed + failed)) -gt 0 ] || failed=1 # nothing ran: that is no success
echo "fuzz: $passed passed, $failed failed"
[ "$failed" = 0 ]
