#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/browser against the real binary (TOCAYO_BINARY, else the release build); the servers are started by run.mjs.
# More arguments go there: --only TEXT, --jobs N, --screens DIR, --update-images.
set -uo pipefail
cd "$(dirname "$0")/.."
. ./dev --functions
set +e
web_modules
exec node tests/browser/run.mjs --binary "${TOCAYO_BINARY:-$PWD/build/release/src/main/tocayo}" "$@"
