#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rooms table, SPDX lines, formatting, clang-tidy (files changed against the last commit, or all with --all), the page's lint.
set -uo pipefail
cd "$(dirname "$0")/.."
. ./dev --functions
set +e +o pipefail
fail=0
complain() { echo "lint: $*"; fail=1; }

# Includes may only go where src/rooms.txt allows.
rooms=$(awk '
  FNR == NR { if ($0 ~ /^#/ || $0 == "") next; split($0, part, ":"); known[part[1]] = 1; allow[part[1]] = " " part[2] " "; next }
  FNR == 1 {
    room = FILENAME; sub(/^src\/(base|durable|services|telemetry|apps)\//, "", room); sub(/^src\//, "", room)
    if (room ~ /^(metrics|logs)\/api\//) sub(/\/api\/.*/, "/api", room); else sub(/\/.*/, "", room)
    if (!(room in known)) print FILENAME ": room \"" room "\" is not in src/rooms.txt"
  }
  /^#include "/ {
    split($0, quote, "\""); target = quote[2]; if (target ~ /\.inc$/) next
    if (target ~ /^(metrics|logs)\/api\//) sub(/\/api\/.*/, "/api", target); else sub(/\/.*/, "", target)
    if (target == room || allow[room] ~ /\*/ || index(allow[room], " " target " ")) next
    print FILENAME ":" FNR ": " room " may not include " quote[2] " (src/rooms.txt)"
  }' src/rooms.txt $(git ls-files 'src/*.h' 'src/*.cpp' | grep -v '^src/apps/ui/embed/') )
[ -z "$rooms" ] || { echo "$rooms"; fail=1; }

for f in $(git ls-files '*.h' '*.cpp' '*.ts' '*.tsx' '*.sh' '*.mjs' 'dev' '.ci/run' '*.cmake' '*CMakeLists.txt' '*.sql'); do
  head -3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || complain "$f: SPDX line missing"
done

cpp=$(git ls-files '*.h' '*.cpp')
unformatted=$(clang-format-19 --dry-run -Werror $cpp 2>&1 | grep -E 'error:' | cut -d: -f1 | sort -u)
[ -z "$unformatted" ] || complain "not formatted (./dev format): $unformatted"

if [ -e build/release/compile_commands.json ]; then
  if [ "${1:-}" = --all ]; then tidy=$(git ls-files 'src/*.cpp'); else tidy=$(git diff --name-only HEAD -- 'src/*.cpp'); fi
  if [ -n "$tidy" ]; then
    printf '%s\n' $tidy | grep -v '_fuzz.cpp$' | xargs -P2 -n4 clang-tidy-19 -p build/release --quiet 2>/dev/null | grep -E 'warning:|error:' | sort -u >build/tidy.log
    [ ! -s build/tidy.log ] || { cat build/tidy.log; fail=1; }
  fi
fi

web_modules >/dev/null
(cd web && $NPM run --silent lint && $NPM run --silent check:licences) || fail=1
[ $fail = 0 ] && echo "lint: clean"
exit $fail
