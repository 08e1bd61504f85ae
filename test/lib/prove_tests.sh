#!/bin/bash
# prove_tests.sh PROVE ARGUMENTS...: what 'make installcheck' runs the TAP tests with: PROVE, or, where they cannot run,
# one line that says why.
set -uo pipefail
include=()
arguments=("$@")
for i in "${!arguments[@]}"; do
  [ "${arguments[i]}" != -I ] || include+=(-I "${arguments[i + 1]}")
done

reason=
if ! command -v perl >/dev/null; then
  reason="there is no perl"
elif ! command -v "$1" >/dev/null; then
  reason="there is no $1"
elif [ "$(id -u)" = 0 ]; then
  reason="they start servers, which refuse to run as root"
else
  # only looked for: those of PostgreSQL make directories when they are loaded
  # shellcheck disable=SC2016
  reason=$(perl "${include[@]}" -e '
    for my $module (qw(IPC::Run Test::More Time::HiRes PostgreSQL::Test::Cluster PostgreSQL::Test::Utils)) {
      (my $file = "$module.pm") =~ s{::}{/}g;
      next if grep { !ref && -e "$_/$file" } @INC;
      print "there is no Perl module $module";
      last;
    }')
fi
if [ -n "$reason" ]; then
  echo "TAP tests are not run: $reason"
  exit 0
fi
exec "$@"
