#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev test: see ./dev help. Every kind runs on the release build, except `sanitized` (the unit tests under ASan and UBSan), `fuzz` (of
# that build) and `tsan`.
set -uo pipefail
cd "$(dirname "$0")/.."
. ./dev --functions
set +e

full= dir= language=promql kinds=()
while [ $# -gt 0 ]; do
  case $1 in
    --full) full=1 ;;
    --dir) dir=$2; shift ;;
    promql | logql) language=$1 ;;  # of `conformance … --dir DIR`
    *) kinds+=("$1") ;;
  esac
  shift
done
[ ${#kinds[@]} -gt 0 ] || kinds=(unit conformance e2e clients fault browser sanitized fuzz tsan)
[ -z "$full" ] || export TOCAYO_FULL=1
logs=build/test-logs
mkdir -p $logs && rm -f $logs/*.result
result() { echo "$2" >"$logs/$1.result"; }  # result <name> ok|FAIL
run() {  # run <name> <command…>
  local name=$1 start=$SECONDS; shift
  local log=$logs/$name.log
  if "$@" >"$log" 2>&1; then
    result "$name" ok; printf 'ok    %-28s %4ds\n' "$name" $((SECONDS - start))
  else
    result "$name" FAIL; printf 'FAIL  %-28s %4ds  %s\n' "$name" $((SECONDS - start)) "$log"
    grep -nE 'Failure|FAILED|ERROR|error:|not ok|^FAIL' "$log" | head -15; tail -25 "$log"
  fi
}
tests=()  # the processes of `beside`
beside() { run "$@" & tests+=($!); }  # beside <name> <command…>: as run, two at a time; ended by `together`
together() { wait "${tests[@]}"; tests=(); }
one_of_two() {  # waits until at most one of them still runs
  local pid running
  while :; do
    running=()
    for pid in "${tests[@]}"; do ! kill -0 "$pid" 2>/dev/null || running+=("$pid"); done
    tests=("${running[@]}")
    [ ${#tests[@]} -ge 2 ] || return 0
    wait -n "${tests[@]}"
  done
}
run_programs() {  # run_programs <prefix> <test program…>
  local prefix=$1 program; shift
  for program in "$@"; do
    one_of_two
    beside "$prefix-$(basename "$program")" "$program" --gtest_brief=1
  done
  together
}

run_halves() {  # run_halves <name> <test program>: its tests in two processes side by side
  local i
  for i in 0 1; do GTEST_TOTAL_SHARDS=2 GTEST_SHARD_INDEX=$i beside "$1-$((i + 1))" "$2" --gtest_brief=1; done
  together
}

sanitized_rooms=(core template http journal blob db tenancy events metrics metrics_api promql logs logql logs_api syslog agent ui)
tsan_rooms=(core journal metrics logs logql)  # the rooms with threads of their own, without Beast
build_sanitized() { build dev "${sanitized_rooms[@]/%/_test}"; }
build_tsan() { build tsan "${tsan_rooms[@]/%/_test}"; }
build_fuzz() {  # a target for every parser of outside bytes
  local targets
  mapfile -t targets < <(find src -name '*_fuzz.cpp' -exec basename {} .cpp \; | sort)
  build dev "${targets[@]}"
}
# The builds of the later kinds go on while the earlier kinds run, with what those leave of the processors.
ahead=
build_ahead() {
  chrt --idle --pid 0 $BASHPID
  local kind
  for kind in "${kinds[@]}"; do
    case $kind in sanitized | fuzz | tsan) build_$kind ;; esac
  done
}
finish_ahead() { [ -z "$ahead" ] || { wait "$ahead"; ahead=; cat $logs/ahead.log; }; }

(need build test) || exit 1
web_build || exit 1
build release || exit 1
bin=$PWD/build/release
export TOCAYO_BINARY=$bin/src/main/tocayo
if [ ${#kinds[@]} -gt 1 ]; then build_ahead >$logs/ahead.log 2>&1 & ahead=$!; fi

for kind in "${kinds[@]}"; do
  say "$kind"
  case $kind in
    unit)
      beside unit-web bash -c ". ./dev --functions; web_modules && cd web && \$NPM run --silent typecheck && \$NPM test --silent && \$NPM run --silent check:size"
      run_programs unit $(find "$bin/src" -name '*_test' -type f -perm -u+x | sort)
      ;;
    conformance)
      if [ -n "$dir" ]; then
        run conformance-dir "$TOCAYO_BINARY" "$language" test "$dir"; cat build/test-logs/conformance-dir.log
      else
        run conformance-http "$bin/tests/conformance_http_test" --gtest_brief=1
      fi
      ;;
    e2e) run_halves e2e "$bin/tests/e2e_test" ;;
    clients) run clients scripts/clients_test.sh ;;
    fault) run fault "$bin/tests/fault_test" --gtest_brief=1 ;;
    browser) run browser scripts/browser_test.sh ;;
    sanitized)
      export ASAN_OPTIONS=detect_leaks=1
      finish_ahead
      build_sanitized || { result sanitized-build FAIL; continue; }
      run_programs asan $(find build/dev/src -name '*_test' -type f -perm -u+x | sort)
      ;;
    tsan)
      finish_ahead
      build_tsan || { result tsan-build FAIL; continue; }
      run_programs tsan $(find build/tsan/src -name '*_test' -type f -perm -u+x | sort)
      ;;
    fuzz)
      finish_ahead
      build_fuzz || { result fuzz-build FAIL; continue; }
      TOCAYO_FUZZ_INPUTS=300000 run fuzz scripts/fuzz.sh; cat $logs/fuzz.log
      ;;
    *) echo "unknown kind of test: $kind" >&2; exit 2 ;;
  esac
done
passed=$(grep -lx ok $logs/*.result | wc -l)
failures=$(grep -lx FAIL $logs/*.result | xargs -rn1 basename -s .result)
[ -z "$failures" ] || echo "failed:" $failures
echo "$passed passed, $(wc -w <<<"$failures") failed"
[ -z "$failures" ] && [ "$passed" -gt 0 ]
