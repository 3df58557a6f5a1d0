#!/bin/sh
# Make a virtual environment with pip in it: infra/venv.sh DIRECTORY [PYTHON]
# An environment that works is left as it is. Debian ships Python without what `venv` needs: it is installed where
# that may be done, and otherwise said in one line.
set -eu
. "$(dirname "$0")/debian.sh"

venv=$1
python=${2:-}
oldest='import sys; sys.exit(sys.version_info < (3, 11))'

fail() {
    echo "longwave: $*" >&2
    exit 1
}

find_python() {
    for name in ${python:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if command -v "$name" >/dev/null 2>&1 && "$name" -c "$oldest" 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail "no Python 3.11 or newer found${python:+ as $python}; install one, or name it: make PYTHON=/path/to/python3"
}

works() {
    "$venv/bin/python" -c "$oldest" 2>/dev/null && "$venv/bin/python" -m pip --version >/dev/null 2>&1
}

make_venv() {
    # Only ever remove what is an environment.
    if [ -e "$venv/pyvenv.cfg" ]; then rm -rf "$venv"; fi
    "$found" -m venv "$venv" >/dev/null 2>&1 && works
}

if works; then exit 0; fi
found=$(find_python)
if make_venv; then exit 0; fi
version=$("$found" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')
if may_install && { install_packages "$version" || install_packages python3-venv; } && make_venv; then
    echo "python3-venv: installed"
    exit 0
fi
fail "$found cannot make a virtual environment; on Debian or Ubuntu: apt install $version"
