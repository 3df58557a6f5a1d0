#!/bin/sh
# Check the Dockerfile (hadolint), infra/compose (against the Compose specification's schema, and dclint's rules), which
# needs no container engine, and infra/prometheus (promtool, with the tests of every alert): infra/lint.sh BIN
# Where one of them could not be installed this only says so; with CI=true it fails.
# How infra/terraform is written is checked where terraform is there: it is installed by nobody else.
set -eu
bin=$1
cd "$(dirname "$0")/.."

missing() {
    echo "$1: not installed here, so $2 is not checked" >&2
    [ "${CI:-}" != true ] || exit 1
}

if [ -x "$bin/hadolint" ]; then
    "$bin/hadolint" --failure-threshold style Dockerfile
    echo "Dockerfile: no complaints"
else
    missing hadolint Dockerfile
fi

dclint=infra/lint/node_modules/.bin/dclint
if [ -x "$dclint" ] && command -v node >/dev/null 2>&1; then
    "$dclint" --config infra/lint/.dclintrc.json --max-warnings 0 infra/compose/*.yaml
    echo "infra/compose: no complaints"
else
    missing dclint infra/compose
fi

if command -v promtool >/dev/null 2>&1; then
    # It says a line for every file: wanted only where something is wrong.
    said=$(promtool check config infra/prometheus/prometheus.yml 2>&1) || { echo "$said" >&2; exit 1; }
    said=$(promtool test rules infra/prometheus/alerts_test.yml 2>&1) || { echo "$said" >&2; exit 1; }
    echo "infra/prometheus: no complaints"
else
    # `make test` brings it, does the same, and fails without it where CI=true.
    echo "promtool: not installed here, so infra/prometheus is not checked" >&2
fi

if command -v terraform >/dev/null 2>&1; then
    terraform fmt -check -diff infra/terraform
    echo "infra/terraform: no complaints"
fi
