"""Varnish as an edge: its command line, and how it takes up new keys and origins without losing its cache."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from infra.edge import hitch
from infra.edge.counting import counter
from infra.edge.options import Child, EdgeOptions
from infra.edge.supervise import Program
from infra.edge.varnish import threads
from infra.edge.varnish.configuration import configuration

# As Debian's package names it.
_GROUP: Final = "varnish"
_PARAMETERS: Final = {
    # A request that waits for another one's answer holds no thread, but each that fetches does, and so does
    # each connection of HTTP/2. They are there before the crowd is: making them takes its time.
    "thread_pools": "2",
    "thread_pool_min": "200",
    # At this bound all stand still: connections of HTTP/2 hold every thread, and none is left for what they
    # wait for. `tend` keeps away from it. So it is as far away as the kernel lets it be: a thread is two of
    # its 65,530 maps a process (vm.max_map_count), and some 150 kB.
    "thread_pool_max": "12000",
    # What a connection of HTTP/2 may ask for at once: each thing that has to be fetched holds a thread too. A
    # player has two or three under way in each rendition, a page that loads a dozen; 100 by default.
    "h2_max_concurrent_streams": "32",
    # Beyond so many requests without a thread connections are dropped: 20 by default, less than any crowd.
    "thread_queue_limit": "20000",
    "listen_depth": "16384",
    # Each of those who were woken wakes so many more. 3, the default, takes seven rounds to two thousand.
    "rush_exponent": "16",
    # Held by each request that waits; requests of listeners are small. HTTP/2 wants 20 kB.
    "workspace_client": "32k",
    "workspace_backend": "32k",
    "vsl_buffer": "4k",
    "http_req_size": "12k",
    "http_req_hdr_len": "4k",
    "http_resp_size": "12k",
    "http_resp_hdr_len": "4k",
    # A player of two-second segments asks every two seconds.
    "timeout_idle": "30",
    # A listener whose network is gone, not one who is slow.
    "idle_send_timeout": "20",
    # All that is cached lies where it was put, and nothing that is only passed on can fill it.
    "shortlived": "0",
    # A replay takes the place of many fragments.
    "nuke_limit": "10000",
    # No address that lets people in is ever in the shared log: neither URLs nor fields of requests, nor what
    # was no request, nor where replays are redirected to.
    "vsl_mask": "-ReqURL,-ReqHeader,-ReqUnset,-BereqURL,-BereqHeader,-BereqUnset,-BogoHeader,-HttpGarbage"
    ",-RespHeader,-BerespHeader,-LostHeader",
}
# A Varnish that panics says whose request it was at that moment, each line of that in quotation marks: the
# address of a private room would be among them.
OF_A_REQUEST: Final = re.compile(r'^ +(?:\\?"|(?:client|remote\.ip|client\.ip) = )')


class Varnish(Program):
    """Varnish, behind hitch where there is a certificate."""

    def __init__(self) -> None:
        # Not while threads run short (`tend`), whatever options are taken up meanwhile.
        self._offers_http2 = True

    def children(self, options: EdgeOptions) -> list[Child]:
        """Varnish, and hitch before it where there is a certificate."""
        self._offers_http2 = not options.http1
        _write(options)
        programs = [_varnishd(options)]
        if options.tls_cert is not None:
            programs.append(hitch.child(options, http2=self._offers_http2))
        if options.counted:
            programs += _counting(options)
        return programs

    def reload(self, options: EdgeOptions) -> None:
        """Take up keys, origins and certificates."""
        _write(options)
        if options.tls_cert is not None:
            hitch.check(options, http2=self._offers_http2)
        listed = [line.split() for line in _admin(options, "vcl.list").splitlines() if line.strip()]
        # Whoever was answered by one that is discarded keeps it in the list for a while.
        before = [words[-1] for words in listed if words[0] != "discarded"]
        name = f"edge_{time.monotonic_ns()}"
        _admin(options, "vcl.load", name, str(_vcl(options)))
        _admin(options, "vcl.use", name)
        for old in before:
            _admin(options, "vcl.discard", old)
        if options.tls_cert is not None:
            hitch.reload(options)

    def tend(self, options: EdgeOptions) -> None:
        """Offer HTTP/2 to who comes next, or no longer."""
        if options.tls_cert is None or options.http1:
            return
        seen = threads.look(working_directory(options))
        wanted = threads.offers_http2(seen, offered=self._offers_http2)
        if wanted == self._offers_http2:
            return
        hitch.check(options, http2=wanted)
        hitch.reload(options)
        self._offers_http2 = wanted
        what = "HTTP/2 again" if wanted else "HTTP/1.1 alone"
        print(  # noqa: T201 - as the supervisor tells
            f"edge has {seen.running} of {seen.most} threads: new connections are offered {what}",
            file=sys.stderr,
            flush=True,
        )


def working_directory(options: EdgeOptions) -> Path:
    """What `varnishadm -n`, `varnishstat -n` and `varnishncsa -n` are given."""
    return options.directory / "varnish" / "n"


def _varnishd(options: EdgeOptions) -> Child:
    places = (f"public={options.listen},HTTP",)
    parameters = _PARAMETERS
    if options.tls_cert is not None:
        if not options.http1:
            # Browsers speak it behind TLS alone, and without hitch nothing could stop it: see `tend`.
            parameters = _PARAMETERS | {"feature": "+http2"}
        owner = hitch.user()
        places = (f"tls={hitch.socket_path(options)},PROXY" + (f",user={owner},mode=0600" if owner else ""),)
    argv = [
        "varnishd",
        "-F",
        *("-n", str(working_directory(options))),
        *("-i", options.name),
        *("-f", str(_vcl(options))),
        *(word for place in places for word in ("-a", place)),
        *("-s", f"live=malloc,{options.memory_mb * 3 // 4}m"),
        *("-s", f"replays=malloc,{options.memory_mb // 4}m"),
        *("-s", f"Transient=malloc,{options.memory_mb}m"),
        *(word for name, value in parameters.items() for word in ("-p", f"{name}={value}")),
    ]
    return Child("varnishd", tuple(argv), unsaid=OF_A_REQUEST)


def _counting(options: EdgeOptions) -> list[Child]:
    """What tells `longwave edge` of each playlist, and that."""
    directory = str(working_directory(options))
    lines = ("varnishncsa", "-t", "30", "-n", directory, "-q", "VCL_Log:lw1", "-F", "lw1 %{VCL_Log:lw1}x")
    # Earlier it would write a dot a second on standard error until Varnish is there.
    there = working_directory(options) / "_.vsm_mgt" / "_.index"
    counting = counter(options, "-", "--varnish", directory)
    return [Child("varnishncsa", lines, after=there), counting._replace(reads="varnishncsa")]


def _vcl(options: EdgeOptions) -> Path:
    return options.directory / "varnish" / "edge.vcl"


def _write(options: EdgeOptions) -> None:
    """The VCL, for varnishd alone: it holds keys, and so does what it is compiled to.

    As root, varnishd reads it as the user `varnish`, and runs as another one of the same group.
    """
    # hitch, too, is another user then, and passes through here.
    options.directory.chmod(stat.S_IMODE(options.directory.stat().st_mode) | 0o011)
    path = _vcl(options)
    text = configuration(options)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    if os.geteuid() == 0:
        shutil.chown(path.parent, group=_GROUP)
        shutil.chown(path, group=_GROUP)
        path.parent.chmod(0o710)
        path.chmod(0o640)


def _admin(options: EdgeOptions, *words: str) -> str:
    told = subprocess.run(  # noqa: S603
        ["varnishadm", "-n", str(working_directory(options)), *words],  # noqa: S607 - wherever it is installed
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if told.returncode:
        raise OSError(f"varnishadm {words[0]}: {(told.stdout + told.stderr).strip()}")
    return told.stdout
