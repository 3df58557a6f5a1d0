#!/bin/sh
# Write requirements.lock (to run) and requirements-dev.lock (to check and test) from pyproject.toml, with hashes:
# infra/lock.sh BIN [--upgrade]
# Neither file names the machine or the registry it was made on. Made with the oldest Python that Longwave runs on,
# the pins hold for newer ones too.
set -eu
bin=$1
shift
export CUSTOM_COMPILE_COMMAND='make lock'

compile() {
    "$bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --newline lf --no-emit-options \
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links "$@" pyproject.toml
}

compile "$@" --extra build --output-file requirements.lock
compile "$@" --extra build --extra dev --constraint requirements.lock --output-file requirements-dev.lock
