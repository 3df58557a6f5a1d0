"""The nginx edge: its files, and its command line.

The configuration is copied into the edge's directory as it is; what differs from edge to edge is rendered
into `rendered/` beside it. Workers run as whom the directory belongs to.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.edge.counting import counter
from infra.edge.options import Address, Child, EdgeOptions
from infra.edge.supervise import Program
from infra.edge.trial import try_out

ACCESS_LOG: Final = "access.log"
"""In an edge's directory: what `longwave edge` reads, and empties now and then."""
STATUS_SOCKET: Final = "status.sock"
"""In an edge's directory: `GET /` answers nginx's stub_status."""
_HERE: Final = Path(__file__).parent
_AS_THEY_ARE: Final = ("edge.conf", "maps.conf", "site.conf", "errors.conf", "listen.js")
# What was purged has a file each in the last; see listen.js.
_PURGED: Final = "cache/purged"
_KEPT: Final = ("cache/playlists", "cache/media", _PURGED)
_MODULE: Final = "ngx_http_js_module.so"
_MODULES: Final = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/lib/nginx/modules")
# sun_path of Linux, without the zero at its end.
_LONGEST_SOCKET: Final = 107
# Of the memory. Playlists are small and soon over; what is left after them is for media and replays.
_PLAYLISTS_SHARE: Final = 8
_FLUSH_MS: Final = 250
_REASON: Final = re.compile(r"\[emerg\] (?:\d+#\d+: )?(.*)")
_MOST_FILES: Final = 65_536
_MOST_KEPT_OPEN: Final = 4_096
_ANEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Nginx(Program):
    """Its workers hold as many connections as files: nothing has to be looked after."""

    def children(self, options: EdgeOptions) -> list[Child]:
        """Write the files of an edge that is about to start; its programs. Raises ValueError."""
        directory = options.directory
        if len(os.fsencode(directory / STATUS_SOCKET)) > _LONGEST_SOCKET:
            raise ValueError(f"{directory} is too long a path for a socket in it: choose a shorter one")
        # A socket that a killed nginx left behind cannot be bound again; lines of yesterday tell of nobody.
        for name in (STATUS_SOCKET, ACCESS_LOG):
            (directory / name).unlink(missing_ok=True)
        # What was purged meanwhile is not to be there again.
        for name in _KEPT:
            shutil.rmtree(directory / name, ignore_errors=True)
        for name in ("temp", "cache", _PURGED):
            _make(directory / name, options)
        # Once: those of another version, if it is unpacked meanwhile, need not go with what this one renders.
        for name in _AS_THEY_ARE:
            shutil.copyfile(_HERE / name, directory / name)
        _render(options)
        nginx = Child("nginx", _command(directory))
        if not options.counted:
            return [nginx]
        status = ("--nginx", str(directory / STATUS_SOCKET))
        return [nginx, counter(options, str(directory / ACCESS_LOG), *status)]

    def reload(self, options: EdgeOptions) -> None:
        """Write the files anew, and have the running nginx read them: keys, certificates, origins."""
        _render(options)
        try_out((*_command(options.directory), "-t", "-q"), _REASON)
        pid = int((options.directory / "nginx.pid").read_text())
        os.kill(pid, signal.SIGHUP)


def _command(directory: Path) -> tuple[str, ...]:
    return ("nginx", "-p", f"{directory}/", "-c", f"{directory}/edge.conf")


def _make(directory: Path, options: EdgeOptions) -> None:
    directory.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(directory, *_owner(options))


def _owner(options: EdgeOptions) -> tuple[str, str]:
    return options.directory.owner(), options.directory.group()


def _render(options: EdgeOptions) -> None:
    rendered = options.directory / "rendered"
    rendered.mkdir(exist_ok=True)
    for name, lines in _rendered(options):
        # Keys: for nobody else to read, from the first byte on.
        with os.fdopen(os.open(rendered / name, _ANEW, 0o600), "w") as file:
            file.writelines(f"{line}\n" for line in lines)


def _rendered(options: EdgeOptions) -> Iterator[tuple[str, list[str]]]:
    yield "main.conf", _main(options)
    yield "logs.conf", _logs(options)
    yield "cache.conf", _cache(options)
    yield "files.conf", [f"open_file_cache max={min(_MOST_KEPT_OPEN, _files() // 8)} inactive=20s;"]
    yield "origins.conf", _origins(options.origins)
    yield "purgers.conf", _purgers(options.purgers)
    yield "listen.conf", _listen(options)
    yield "status.conf", [f'listen "unix:{options.directory / STATUS_SOCKET}";']
    yield "keys.js", [f"export default {json.dumps(dict(options.keys))};"]


def _main(options: EdgeOptions) -> list[str]:
    """As many connections as files may be open: a listener holds one, or two where nobody waits with it."""
    files = _files()
    lines = [
        f'load_module "{_module()}";',
        f'working_directory "{options.directory}";',
        f"worker_rlimit_nofile {files};",
        f"events {{ worker_connections {files * 3 // 4}; multi_accept on; }}",
    ]
    if os.geteuid() == 0:
        lines.append("user {} {};".format(*_owner(options)))
    return lines


def _files() -> int:
    """How many a worker may have open: three quarters for connections, an eighth to keep what is hot."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_FILES if files == resource.RLIM_INFINITY else min(files, _MOST_FILES)


def _module() -> Path:
    for place in _MODULES:
        if (found := Path(place) / _MODULE).exists():
            return found
    raise ValueError(f"nginx has no {_MODULE}: install libnginx-mod-http-js")


def _logs(options: EdgeOptions) -> list[str]:
    if not options.counted:
        return ["access_log off;"]
    # Written four times a second and not for each listener; what is read is removed by who reads it.
    common = f"buffer=64k flush={_FLUSH_MS}ms"
    return [
        f"access_log {ACCESS_LOG} playlist {common} if=$is_playlist;",
        f"access_log {ACCESS_LOG} asked {common} if=$upstream_status;",
    ]


def _cache(options: EdgeOptions) -> list[str]:
    """Zones of 1 MB hold 8,000 keys. What nobody asked for in the time of `inactive` is removed."""
    playlists = max(8, options.memory_mb // _PLAYLISTS_SHARE)
    media = max(8, options.memory_mb - playlists)
    zones = (("playlists", "8m", playlists, "30s"), ("media", "32m", media, "15m"))
    return [
        f"proxy_cache_path cache/{name} levels=1:2 use_temp_path=off keys_zone={name}:{keys} "
        f"max_size={megabytes}m inactive={inactive};"
        for name, keys, megabytes, inactive in zones
    ]


def _origins(origins: tuple[Address, ...]) -> list[str]:
    """The first, and the others in its absence.

    An origin that has failed twice is left alone for 3 s. The last resort never is: nothing would answer.
    """
    first, *others = origins
    return [
        "upstream origins {",
        "    zone origins 64k;",
        f"    server {first} max_fails=2 fail_timeout=3s;",
        *(f"    server {other} backup max_fails=0;" for other in others),
        "    keepalive 256;",
        "    keepalive_requests 100000;",
        "}",
    ]


def _purgers(purgers: tuple[str, ...]) -> list[str]:
    networks = (ipaddress.ip_network(purger, strict=False) for purger in purgers)
    return ["geo $purger {", *(f"    {network} 1;" for network in networks), "}"]


def _listen(options: EdgeOptions) -> list[str]:
    if options.tls_cert is None or options.tls_key is None:
        return [f"listen {options.listen} backlog=4096;"]
    return [
        f"listen {options.listen} ssl {'' if options.http1 else 'http2 '}backlog=4096;",
        f'ssl_certificate "{options.tls_cert.resolve()}";',
        f'ssl_certificate_key "{options.tls_key.resolve()}";',
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_session_cache shared:tls:16m;",
        "ssl_session_timeout 1h;",
        "http2_max_concurrent_streams 128;",
    ]
