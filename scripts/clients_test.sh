#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/clients: real clients from npm's and Debian's packages against the real binary (TOCAYO_BINARY, else the release
# build). Debian's syslog daemons are unpacked into build/clients, not installed: they exclude each other, and a machine
# keeps its own.
set -uo pipefail
cd "$(dirname "$0")/.."
. ./dev --functions
set +e
node_env
if [ ! -e tests/clients/node_modules/.stamp ] || [ tests/clients/package-lock.json -nt tests/clients/node_modules/.stamp ]; then
  say "installing the clients of npm"
  (cd tests/clients && $NPM ci --silent --no-audit --no-fund && touch node_modules/.stamp) || exit 1
fi
root=$PWD/build/clients
if [ ! -e "$root/.stamp" ] || [ scripts/packages.txt -nt "$root/.stamp" ]; then
  say "unpacking the clients of Debian"
  rm -rf "$root" && mkdir -p "$root/packages" || exit 1
  names=$(packages clients)
  (cd "$root/packages" && apt-get -qq -o APT::Sandbox::User=root download $names) || exit 1
  for package in "$root"/packages/*.deb; do dpkg -x "$package" "$root" || exit 1; done
  touch "$root/.stamp"
fi
export TOCAYO_BINARY=${TOCAYO_BINARY:-$PWD/build/release/src/main/tocayo} TOCAYO_CLIENTS_ROOT=$root
exec node --test --test-concurrency=2 "tests/clients/${1:-}"*.test.mjs  # an argument: the beginning of a file's name
