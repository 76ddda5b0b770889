#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev test: see ./dev help. Every kind runs on the release build; `sanitized` repeats the unit tests under ASan and UBSan.
set -uo pipefail
cd "$(dirname "$0")/.."
. ./dev --functions
set +e

full= dir= kinds=()
while [ $# -gt 0 ]; do
  case $1 in
    --full) full=1 ;;
    --dir) dir=$2; shift ;;
    *) kinds+=("$1") ;;
  esac
  shift
done
[ ${#kinds[@]} -gt 0 ] || kinds=(unit conformance e2e fault browser)
export TOCAYO_FULL=$full
passed=0 failed=0 failures=()
run() {  # run <name> <command…>
  local name=$1 start=$SECONDS; shift
  local log=build/test-logs/$name.log
  mkdir -p build/test-logs
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1)); printf 'ok    %-28s %4ds\n' "$name" $((SECONDS - start))
  else
    failed=$((failed + 1)); failures+=("$name"); printf 'FAIL  %-28s %4ds  %s\n' "$name" $((SECONDS - start)) "$log"
    grep -nE 'Failure|FAILED|ERROR|error:|not ok|^FAIL' "$log" | head -15; tail -25 "$log"
  fi
}

(need build test) || exit 1
web_build || exit 1
build release || exit 1
bin=$PWD/build/release
export TOCAYO_BINARY=$bin/src/main/tocayo

for kind in "${kinds[@]}"; do
  say "$kind"
  case $kind in
    unit)
      for t in $(find "$bin/src" -name '*_test' -type f -perm -u+x | sort); do run "unit-$(basename "$t")" "$t" --gtest_brief=1; done
      run unit-web bash -c ". ./dev --functions; web_modules && cd web && \$NPM run --silent typecheck && \$NPM test --silent && \$NPM run --silent check:size"
      ;;
    conformance)
      if [ -n "$dir" ]; then
        run conformance-dir "$TOCAYO_BINARY" promql test "$dir"; cat build/test-logs/conformance-dir.log
      else
        run conformance-http "$bin/tests/conformance_http_test" --gtest_brief=1
      fi
      ;;
    promql) ;;  # `conformance promql`: the only language there is
    e2e) run e2e "$bin/tests/e2e_test" --gtest_brief=1 ;;
    fault) run fault "$bin/tests/fault_test" --gtest_brief=1 ;;
    browser) run browser scripts/browser_test.sh ;;
    sanitized)
      # The rooms without Beast, whose sanitized build is cheap; http's own tests run sanitized too.
      export ASAN_OPTIONS=detect_leaks=1
      build dev core_test journal_test blob_test db_test tenancy_test events_test http_test promql_test metrics_test metrics_api_test agent_test || { failed=$((failed + 1)); continue; }
      for t in $(find build/dev/src -name '*_test' -type f -perm -u+x | sort); do run "asan-$(basename "$t")" "$t" --gtest_brief=1; done
      ;;
    tsan)
      build tsan core_test journal_test metrics_test || { failed=$((failed + 1)); continue; }
      for t in core journal metrics; do run "tsan-$t" "$(find build/tsan/src -name ${t}_test -type f)" --gtest_brief=1; done
      ;;
    fuzz) build fuzz && run fuzz scripts/fuzz.sh ;;
    *) echo "unknown kind of test: $kind" >&2; exit 2 ;;
  esac
done
[ $failed = 0 ] || printf 'failed: %s\n' "${failures[*]}"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
