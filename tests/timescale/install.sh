#!/usr/bin/env bash
# Puts TimescaleDB's WebAssembly build and its server into var/timescale, once a lock file.
set -euo pipefail
cd "$(dirname "$0")"
folder=../../var/timescale
installed=$folder/node_modules/.installed-lock.json
mkdir -p "$folder"
cp server.mjs package.json package-lock.json "$folder"
if ! cmp --silent package-lock.json "$installed"; then
  (cd "$folder" && npm ci --no-audit --no-fund)
  cp package-lock.json "$installed"
fi
