#!/bin/sh
# Install the npm packages a directory locks: infra/npm-ci.sh DIRECTORY
# Without npm, or without a network, Longwave works all the same (the page plays native HLS), so this only says so.
# No script of a package is run.
set -eu
directory=$1

if ! command -v npm >/dev/null 2>&1; then
    echo "npm: not found, so the packages of $directory are not installed"
elif npm ci --prefix "$directory" --ignore-scripts --no-audit --no-fund --no-update-notifier --no-progress --loglevel=error \
    </dev/null; then
    touch "$directory/node_modules/.package-lock.json"
    echo "npm: installed the packages of $directory"
else
    echo "npm: could not install the packages of $directory" >&2
fi
