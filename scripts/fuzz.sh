#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target of build/dev (the sanitized build), two at a time; the seconds given (default 360) are shared among all.
# Findings land in build/dev/fuzz/findings. TOCAYO_FUZZ_SEED (default 1) picks another run: the same one every time tells what a change broke;
# TOCAYO_FUZZ_INPUTS ends each target after so many inputs, so that a faster machine does not look further.
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
  if $still "$t" -seed="${TOCAYO_FUZZ_SEED:-1}" -max_total_time="$each" -runs="${TOCAYO_FUZZ_INPUTS:--1}" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="build/dev/fuzz/findings/$name-" \
      "build/dev/fuzz/corpus/$name" "${seeds[@]}" >"build/dev/fuzz/$name.log" 2>&1; then
    echo "ok    $name $(grep -oE 'stat::number_of_executed_units: *[0-9]+|Done [0-9]+ runs' "build/dev/fuzz/$name.log" | tail -1)"
  else
    echo "FAIL  $name"; tail -30 "build/dev/fuzz/$name.log"; return 1
  fi
}
export -f one; export each still
printf '%s\n' "${targets[@]}" | xargs -P2 -I{} bash -c 'one {}'
