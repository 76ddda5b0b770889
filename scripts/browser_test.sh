#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Starts the real binary twice (without and with login) on free ports and runs tests/browser against it.
set -uo pipefail
cd "$(dirname "$0")/.."
. ./dev --functions
set +e
web_modules
binary=${TOCAYO_BINARY:-$PWD/build/release/src/main/tocayo}
work=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"; }
trap cleanup EXIT
start() {  # start <name> <args…>: prints the address once it is ready
  local name=$1; shift
  "$binary" serve --set server.listen=127.0.0.1:0 --set storage.data_dir="$work/$name" --port-file "$work/$name.port" "$@" >"$work/$name.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 100); do [ -s "$work/$name.port" ] && return 0; sleep 0.1; done
  cat "$work/$name.log"; return 1
}
start open || exit 1
start login --set auth.mode=required || exit 1
setup=$(grep -oE '/setup\?token=[A-Za-z0-9_-]+' "$work/login.log" | head -1)
export TOCAYO_TEST_LOGIN=ana TOCAYO_TEST_PASSWORD='correct horse battery'
url=http://$(cat "$work/open.port") auth=http://$(cat "$work/login.port")
curl -fsS -H 'X-Tocayo-Csrf: 1' -H 'Content-Type: application/json' \
  -d "{\"token\":\"${setup#*token=}\",\"login\":\"ana\",\"name\":\"Ana\",\"password\":\"$TOCAYO_TEST_PASSWORD\"}" "$auth/api/ui/setup" >/dev/null || { cat "$work/login.log"; exit 1; }
# Charts of the last minutes need a minute of data.
for _ in $(seq 120); do
  curl -fsS "$url/api/v1/query?query=count_over_time(node_load1%5B2m%5D)%20%3E%2050" | grep -q '"value"' && break
  sleep 1
done
node tests/browser/run.mjs --url "$url" --auth-url "$auth" "$@"
