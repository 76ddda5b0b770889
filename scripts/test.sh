#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev test: see ./dev help. Every kind runs on the release build, except `sanitized` (the unit tests under ASan and UBSan), `fuzz` (of
# that build) and `tsan`. Those three only need processors, and the others wait much of their time (for sockets, timers, pages): so the three
# (and `lint`, where it is named) run behind the others, with what those leave, and what is left of them then goes on as ordinary work.
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
[ ${#kinds[@]} -gt 0 ] || kinds=(all)
[ "${kinds[0]}" != all ] || kinds=(unit conformance e2e clients fault browser sanitized fuzz tsan "${kinds[@]:1}")
[ -z "$full" ] || export TOCAYO_FULL=1
asked() { [[ " ${kinds[*]} " == *" $1 "* ]]; }
kinds_before=() kinds_behind=()
for kind in "${kinds[@]}"; do
  case $kind in
    unit | conformance | e2e | clients | fault | browser) kinds_before+=("$kind") ;;
    sanitized | fuzz | tsan | lint) ;;
    *) echo "unknown kind of test: $kind" >&2; exit 2 ;;
  esac
done
# First what knows no clock: it suits the time beside `unit`, which leaves least.
for kind in lint fuzz tsan sanitized; do ! asked "$kind" || kinds_behind+=("$kind"); done

logs=build/test-logs
mkdir -p $logs && rm -f $logs/*.result
result() { echo "$2" >"$logs/$1.result"; }  # result <name> ok|FAIL
run() {  # run <name> <command…>
  local name=$1 start=$SECONDS outcome=FAIL; shift
  local log=$logs/$name.log
  result "$name" FAIL  # until it is known to be ok: what never ends has failed
  if "$@" >"$log" 2>&1; then outcome=ok; result "$name" ok; fi
  {
    flock 9  # what several say at once stays apart
    if [ $outcome = ok ]; then
      printf 'ok    %-28s %4ds\n' "$name" $((SECONDS - start))
    else
      printf 'FAIL  %-28s %4ds  %s\n' "$name" $((SECONDS - start)) "$log"
      grep -nE 'Failure|FAILED|ERROR|error:|not ok|^FAIL' "$log" | head -15; tail -25 "$log"
    fi
    case $name in fuzz | lint | conformance-dir) cat "$log" ;; esac
  } 9>$logs/lock
}
tests=()  # the processes of `beside`
beside() { run "$@" & tests+=($!); }  # beside <name> <command…>: as run, two at a time; ended by `together`
together() { [ ${#tests[@]} -eq 0 ] || wait "${tests[@]}"; tests=(); }
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
programs() { find "build/$1/src" -name '*_test' -type f -perm -u+x | sort "${@:2}"; }  # programs <preset> [option of sort]
run_programs() {  # run_programs <test program…>, named after their build
  local program name
  [ $# -gt 0 ] || { echo "FAIL  there are no test programs"; result programs FAIL; }
  for program in "$@"; do
    one_of_two
    name=$(basename "$program")
    case $program in build/dev/*) name=asan-$name ;; build/tsan/*) name=tsan-$name ;; *) name=unit-$name ;; esac
    beside "$name" "$program" --gtest_brief=1
  done
  together
}

run_halves() {  # run_halves <name> <test program>: its tests in two processes side by side
  local i
  for i in 0 1; do GTEST_TOTAL_SHARDS=2 GTEST_SHARD_INDEX=$i beside "$1-$((i + 1))" "$2" --gtest_brief=1; done
  together
}

sanitized_rooms=(core template http journal blob db tenancy events metrics metrics_api promql logs logql logs_api syslog agent ui)
tsan_rooms=(core journal metrics logs promql logql)  # the rooms with threads of their own, without Beast
build_sanitized() { build dev "${sanitized_rooms[@]/%/_test}"; }
build_tsan() { build tsan "${tsan_rooms[@]/%/_test}"; }
build_fuzz() {  # a target for every parser of outside bytes
  local targets
  mapfile -t targets < <(find src -name '*_fuzz.cpp' -exec basename {} .cpp \; | sort)
  build dev "${targets[@]}"
}
run_behind() {  # builds and runs kinds_behind
  export ASAN_OPTIONS=detect_leaks=1
  local kind tests_behind=()
  for kind in "${kinds_behind[@]}"; do
    [ "$kind" = lint ] || build_$kind >"$logs/build-$kind.txt" 2>&1 || { cat "$logs/build-$kind.txt"; result "$kind-build" FAIL; continue; }
    case $kind in
      lint) run lint scripts/lint.sh ;;
      # An input of a moment may take long by the clock behind other work; fuzz.sh also tells one that takes long of a processor.
      fuzz) TOCAYO_FUZZ_INPUTS=300000 TOCAYO_FUZZ_TIMEOUT=100 run fuzz scripts/fuzz.sh ;;
      tsan) mapfile -t -O ${#tests_behind[@]} tests_behind < <(programs tsan -r) ;;  # -r: telemetry, which takes longest, first
      sanitized) mapfile -t -O ${#tests_behind[@]} tests_behind < <(programs dev -r) ;;
    esac
  done
  if asked tsan || asked sanitized; then run_programs "${tests_behind[@]}"; fi
}
behind=  # the process group of run_behind, where that runs behind other kinds
finish_behind() {
  say "the rest of ${kinds_behind[*]}"
  # Twice: what was started meanwhile. Not everyone may take a process back from idle; alone on the machine it is as fast.
  for _ in 1 2; do pgrep -g "$behind" | xargs -rn1 chrt --other --all-tasks --pid 0 2>/dev/null; done
  wait "$behind" || { echo "FAIL  ${kinds_behind[*]}: ended early"; result behind FAIL; kill -- "-$behind" 2>/dev/null; }
  behind=
}
trap '[ -z "$behind" ] || kill -- "-$behind"' EXIT

(need build test) || exit 1
web_build || exit 1
build release || exit 1
bin=$PWD/build/release
export TOCAYO_BINARY=$bin/src/main/tocayo
if [ ${#kinds_behind[@]} -gt 0 ] && [ ${#kinds_before[@]} -gt 0 ]; then
  set -m  # in a process group of its own
  (chrt --idle --pid 0 $BASHPID; run_behind; exit 0) &
  behind=$!
  set +m
  echo "${kinds_behind[*]} go on behind the others"
fi

for kind in "${kinds_before[@]}"; do
  say "$kind"
  case $kind in
    unit)
      beside unit-web bash -c ". ./dev --functions; web_modules && cd web && \$NPM run --silent typecheck && \$NPM test --silent && \$NPM run --silent check:size"
      run_programs $(programs release)
      ;;
    conformance)
      if [ -n "$dir" ]; then
        run conformance-dir "$TOCAYO_BINARY" "$language" test "$dir"
      else
        run conformance-http "$bin/tests/conformance_http_test" --gtest_brief=1
      fi
      ;;
    e2e) run_halves e2e "$bin/tests/e2e_test" ;;
    clients) run clients scripts/clients_test.sh ;;
    fault) run fault "$bin/tests/fault_test" --gtest_brief=1 ;;
    browser) run browser scripts/browser_test.sh ;;
  esac
done
if [ -n "$behind" ]; then finish_behind; elif [ ${#kinds_behind[@]} -gt 0 ]; then say "${kinds_behind[*]}"; run_behind; fi
passed=$(grep -lx ok $logs/*.result | wc -l)
failures=$(grep -lx FAIL $logs/*.result | xargs -rn1 basename -s .result)
[ -z "$failures" ] || echo "failed:" $failures
echo "$passed passed, $(wc -w <<<"$failures") failed"
[ -z "$failures" ] && [ "$passed" -gt 0 ]
