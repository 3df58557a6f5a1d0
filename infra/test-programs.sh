#!/bin/sh
# Programs that tests use and pip does not bring. Each gets one line: found, installed, or missing. A missing one is
# no failure here: pytest skips the tests that need it, by name, and fails them when CI=true.
set -eu
. "$(dirname "$0")/debian.sh"
PATH=$PATH:/usr/sbin:/sbin

# program[,other name]:Debian package. A name with a slash is a file, for what is no program: modules of one.
wanted='ffmpeg:ffmpeg chromium,chromium-browser,google-chrome:chromium nginx:nginx-light node:nodejs npm:npm curl:curl wrk:wrk mpv:mpv redis-server:redis-server faketime:faketime varnishd:varnish hitch:hitch promtool:prometheus h2load:nghttp2-client'
wanted="$wanted vmod_digest,/usr/lib/*/varnish/vmods/libvmod_digest.so:varnish-vmod-digest"
wanted="$wanted njs,/usr/lib/nginx/modules/ngx_http_js_module.so:libnginx-mod-http-js"

find_program() {
    for name in $(echo "${1%%:*}" | tr , ' '); do
        case $name in
            */*) if [ -e "$name" ]; then echo "$name" && return; fi ;;
            *) if command -v "$name"; then return; fi ;;
        esac
    done
    return 1
}

missing=
for row in $wanted; do
    if ! find_program "$row" >/dev/null; then missing="$missing ${row#*:}"; fi
done
tried="not Debian, or not root"
if [ -n "$missing" ] && may_install; then
    echo "installing$missing"
    tried="apt could not install it"
    # Together is quicker; one by one is what is left when one of them cannot be had.
    # shellcheck disable=SC2086
    install_packages $missing || for package in $missing; do install_packages "$package" || true; done
fi
for row in $wanted; do
    name=${row%%[,:]*}
    package=${row#*:}
    if ! path=$(find_program "$row"); then
        echo "$name: MISSING ($tried); tests that need it are skipped. On Debian: apt install $package"
    else
        case " $missing " in
            *" $package "*) echo "$name: installed $path" ;;
            *) echo "$name: found $path" ;;
        esac
    fi
done
