# shellcheck shell=sh
# Installing Debian packages from a script, without a question asked; sourced by others.

as_root=
if [ "$(id -u)" -ne 0 ]; then as_root='sudo -n'; fi

# Whether this machine is a Debian (or a child of it) on which we are root, or may be without a password.
may_install() {
    command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }
}

# install_packages NAME...: what apt says is only shown when it fails. Programs that are also services are not
# started: whoever wants a test does not want a web server on port 80.
install_packages() (
    log=$(mktemp)
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap '$as_root rm -f "$policy"; rm -f "$log"' EXIT
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod +x "$policy"
    else
        trap 'rm -f "$log"' EXIT
    fi
    quietly() { $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@" >"$log" 2>&1 </dev/null; }
    # The lists of a fresh machine are empty, and old ones name packages that are gone.
    if ! quietly apt-get -q update || ! quietly apt-get -q install -y --no-install-recommends "$@"; then
        tail -n 3 "$log" >&2
        return 1
    fi
)
