#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target of build/dev (the sanitized build), two at a time; the seconds given (default 360) are shared among all.
# They are seconds of a processor, not of the clock: behind other work a target gets little of it, and looks as far all the same.
# Findings land in build/dev/fuzz/findings. TOCAYO_FUZZ_SEED (default 1) picks another run: the same one every time tells what a change broke;
# TOCAYO_FUZZ_INPUTS ends each target after so many inputs, so that a faster machine does not look further; TOCAYO_FUZZ_TIMEOUT (default 10):
# the seconds by the clock that one input may take.
set -uo pipefail
cd "$(dirname "$0")/.."
total=${1:-360}
mapfile -t targets < <(find build/dev/src -name '*_fuzz' -type f -perm -u+x | sort)
[ ${#targets[@]} -gt 0 ] || { echo "no fuzz targets built"; exit 1; }
# Addresses find their way into inputs: the same ones every time, where the system allows it.
still=; setarch "$(uname -m)" -R true 2>/dev/null && still="setarch $(uname -m) -R"
each=$((total / ${#targets[@]})); [ $each -ge 5 ] || each=5
mkdir -p build/dev/fuzz/findings
one() {
  local t=$1 name; name=$(basename "$t")
  mkdir -p "build/dev/fuzz/corpus/$name"
  local seeds=(); [ -d "tests/fuzz/corpus/$name" ] && seeds=("tests/fuzz/corpus/$name")
  local log=build/dev/fuzz/$name.log pid used
  $still "$t" -seed="${TOCAYO_FUZZ_SEED:-1}" -runs="${TOCAYO_FUZZ_INPUTS:--1}" -timeout="${TOCAYO_FUZZ_TIMEOUT:-10}" -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="build/dev/fuzz/findings/$name-" "build/dev/fuzz/corpus/$name" "${seeds[@]}" >"$log" 2>&1 &
  pid=$!
  # SIGUSR1 ends a target between two inputs. One that is still at an input after ten more seconds has hung: SIGABRT has it reported.
  while sleep 1; used=$(ps -o cputimes= -p $pid); do
    if [ "$used" -ge $((each + 10)) ]; then kill -ABRT $pid; elif [ "$used" -ge "$each" ]; then kill -USR1 $pid; fi
  done
  if wait $pid; then
    echo "ok    $name $(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)$/\1 inputs/p' "$log")"
  else
    echo "FAIL  $name"; tail -30 "$log"; return 1
  fi
}
export -f one; export each still
printf '%s\n' "${targets[@]}" | xargs -P2 -I{} bash -c 'one {}'
