#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev bench [metrics|logs|web] [args]: side by side with what is installed, in the same durability mode, on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
area=${1:-metrics}; [ $# -gt 0 ] && shift
export TOCAYO_BINARY=$PWD/build/release/src/main/tocayo
echo "machine: $(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs)"
case $area in
  metrics) exec build/release/bench/metrics_side_by_side "$@" ;;
  logs) exec build/release/bench/logs_side_by_side "$@" ;;
  web) . ./dev --functions; web_modules; cd web && exec node bench/run.mjs "$@" ;;
  *) echo "unknown area: $area (metrics, logs, web)" >&2; exit 2 ;;
esac
