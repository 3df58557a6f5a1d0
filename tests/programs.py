"""Programs that are not Python packages: where they are, and what to do where they are not.

A test says what it needs, ``@pytest.mark.needs("ffmpeg", "chromium")``, and asks `path` for it.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parent.parent

# Under what other names a program is known. A name that is not here is looked up as it is.
_NAMES = {"chromium": ("chromium", "chromium-browser", "google-chrome")}
# npm packages count as programs too: a directory, once it is installed.
_PACKAGES = {
    "feedsmith": _ROOT / "tests/oracle/node_modules/feedsmith",
    "hls-parser": _ROOT / "tests/oracle/node_modules/hls-parser",
    "hls.js": _ROOT / "origin/web/node_modules/hls.js",
}
# And so do modules of one: a file, wherever the machine's architecture puts it.
_MODULES = {
    "vmod_digest": "/usr/lib/*/varnish/vmods/libvmod_digest.so",
    "njs": "/usr/lib/nginx/modules/ngx_http_js_module.so",
}
MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
"""A program after these words, `needs("mounts")`, may mount what only it sees; containers often forbid it."""
# Debian keeps nginx where only root's PATH looks.
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))


def find(program: str) -> Path | None:
    """The program, or the npm package's directory; None where it is not installed, or may not be used."""
    if program == "mounts":
        return _mounts()
    if program in _PACKAGES:
        return _PACKAGES[program] if _PACKAGES[program].is_dir() else None
    if program in _MODULES:
        return next(iter(Path("/").glob(_MODULES[program].removeprefix("/"))), None)
    for name in _NAMES.get(program, (program,)):
        if found := shutil.which(name, path=_SEARCH):
            return Path(found)
    return None


@cache
def _mounts() -> Path | None:
    unshare = find(MOUNTS[0])
    if unshare is None:
        return None
    tried = subprocess.run(
        [*MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True, check=False
    )
    return None if tried.returncode else unshare


def path(program: str) -> str:
    """The program for a command line. A test that asks without `needs` fails here where there is none."""
    found = find(program)
    if found is None:
        raise FileNotFoundError(f'{program} is not installed; mark the test with needs("{program}")')
    return str(found)
