#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev test: see ./dev help. Every kind runs on the release build; `sanitized` repeats the unit tests under ASan and UBSan.
set -uo pipefail
cd "$(dirname "$0")/.."
. ./dev --functions
set +e

full= dir= language=promql kinds=()
while [ $# -gt 0 ]; do
  case $1 in
    --full) full=1 ;;
    --dir) dir=$2; shift ;;
    all) kinds+=(unit conformance e2e fault browser sanitized tsan fuzz) ;;
    promql | logql) language=$1 ;;  # of `conformance … --dir DIR`
    *) kinds+=("$1") ;;
  esac
  shift
done
[ ${#kinds[@]} -gt 0 ] || kinds=(unit conformance e2e fault)
[ -z "$full" ] || export TOCAYO_FULL=1
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
        run conformance-dir "$TOCAYO_BINARY" "$language" test "$dir"; cat build/test-logs/conformance-dir.log
      else
        run conformance-http "$bin/tests/conformance_http_test" --gtest_brief=1
      fi
      ;;
    e2e) run e2e "$bin/tests/e2e_test" --gtest_brief=1 ;;
    fault) run fault "$bin/tests/fault_test" --gtest_brief=1 ;;
    browser) run browser scripts/browser_test.sh ;;
    sanitized)
      export ASAN_OPTIONS=detect_leaks=1
      rooms=(core template http journal blob db tenancy events metrics metrics_api promql logs logql logs_api agent ui)
      build dev "${rooms[@]/%/_test}" || { failed=$((failed + 1)); failures+=(sanitized-build); continue; }
      for t in $(find build/dev/src -name '*_test' -type f -perm -u+x | sort); do run "asan-$(basename "$t")" "$t" --gtest_brief=1; done
      ;;
    tsan)  # the rooms with threads of their own, without Beast
      build tsan core_test journal_test metrics_test logs_test logql_test || { failed=$((failed + 1)); failures+=(tsan-build); continue; }
      for t in core journal metrics logs logql; do run "tsan-$t" "$(find build/tsan/src -name ${t}_test -type f)" --gtest_brief=1; done
      ;;
    fuzz)  # the parsers of outside bytes that do not need Beast; `./dev fuzz` runs every target
      targets=(parser_promql engine_promql remote_write_v1 remote_write_v2 exposition_text exposition_openmetrics exposition_protobuf
        wal_record segment frame config template logql_syntax logql_pipeline)
      if build fuzz "${targets[@]/%/_fuzz}"; then run fuzz scripts/fuzz.sh; cat build/test-logs/fuzz.log; else failed=$((failed + 1)); failures+=(fuzz-build); fi
      ;;
    *) echo "unknown kind of test: $kind" >&2; exit 2 ;;
  esac
done
[ $failed = 0 ] || printf 'failed: %s\n' "${failures[*]}"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
