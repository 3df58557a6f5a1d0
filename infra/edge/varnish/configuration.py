"""The VCL of an edge: what depends on its options, made here, and the files beside this one behind it."""

from __future__ import annotations

import ipaddress
import re
from functools import cache
from pathlib import Path
from typing import Final

from infra.edge.options import Address, EdgeOptions

_HERE: Final = Path(__file__).parent
# In the order in which a request meets them.
_FILES: Final = (
    "recv.vcl",
    "purge.vcl",
    "private.vcl",
    "public.vcl",
    "key.vcl",
    "fetch.vcl",
    "answer.vcl",
)
# What stands in a string of VCL is one of these, and so never ends it.
_HOST: Final = re.compile(r"[A-Za-z0-9.:_-]{1,253}")
_KID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY: Final = re.compile(r"[0-9a-f]{64}")

_HEAD: Final = """vcl 4.1;

# Written by infra/edge. Holds the keys of listen tokens: not for everybody's eyes.

import digest;
import directors;
import std;
"""
_PROBE: Final = """
# Whether an origin may be asked: it is neither filling nor draining. Believed until two of three answers say
# otherwise, so that a reload leaves nobody without an origin.
probe ready {
    .url = "/readyz";
    .interval = 1s;
    .timeout = 1s;
    .window = 3;
    .threshold = 2;
    .initial = 3;
}
"""


def configuration(options: EdgeOptions) -> str:
    """The whole VCL, as one file: only the one that it is given does Varnish read as the user who started it.

    Raises ValueError where an option cannot stand in it.
    """
    names = tuple(f"origin_{number}" for number in range(1, len(options.origins) + 1))
    made = (
        _HEAD,
        _PROBE,
        *(_backend(name, origin) for name, origin in zip(names, options.origins, strict=True)),
        _directors(names),
        _other_origin(names),
        _purgers(options.purgers),
        _listen_mac(options.keys),
    )
    return "".join((*made, _as_they_are()))


@cache
def _as_they_are() -> str:
    """Read once: those of another version, if it is unpacked meanwhile, need not go with what is made."""
    return "".join(f"\n# ---- {name}\n\n{(_HERE / name).read_text()}" for name in _FILES)


def _backend(name: str, origin: Address) -> str:
    if not _HOST.fullmatch(origin.host):
        raise ValueError(f"{origin.host!r} is not the name or address of an origin")
    return f"""
backend {name} {{
    .host = "{origin.host}";
    .port = "{origin.port}";
    .probe = ready;
    .connect_timeout = 0.7s;
    .first_byte_timeout = 20s;
    .between_bytes_timeout = 5s;
    .max_connections = 2000;
}}
"""


def _directors(names: tuple[str, ...]) -> str:
    added = "".join(f"    origins.add_backend({name});\n" for name in names)
    return f"""
# The first one that is well, in this order.
sub vcl_init {{
    new origins = directors.fallback();
{added}}}
"""


def _other_origin(names: tuple[str, ...]) -> str:
    """After a failure: the next origin that is well, until each has been asked once."""
    blocks = []
    for index, name in enumerate(names):
        others = names[index + 1 :] + names[:index]
        if others:
            tries = "".join(
                f"        if (std.healthy({other})) {{\n"
                f"            set bereq.backend = {other};\n"
                "            return (retry);\n"
                "        }\n"
                for other in others
            )
            blocks.append(f"    if (beresp.backend == {name}) {{\n{tries}    }}\n")
    if blocks:
        enough = f"    if (bereq.retries >= {len(names) - 1}) {{\n        return;\n    }}\n"
        blocks.insert(0, enough)
    return f"\nsub other_origin {{\n{''.join(blocks)}}}\n"


def _purgers(purgers: tuple[str, ...]) -> str:
    entries = []
    for purger in purgers:
        network = ipaddress.ip_network(purger, strict=False)
        entries.append(f'    "{network.network_address}"/{network.prefixlen};\n')
    return f"\nacl purgers {{\n{''.join(entries)}}}\n"


def _listen_mac(keys: tuple[tuple[str, str], ...]) -> str:
    """What the mac of a token has to be (contracts/listen.py); none for a key id that nobody knows."""
    blocks = []
    for kid, key in keys:
        if not _KID.fullmatch(kid) or not _KEY.fullmatch(key):
            raise ValueError("a key of listen tokens is a key id and 64 hex digits")
        blocks.append(
            f'    if (req.http.x-lw-kid == "{kid}") {{\n'
            f'        set req.http.x-lw-mac = digest.hmac_sha256("{key}",\n'
            '            req.http.x-lw-kid + "." + req.http.x-lw-expiry + "." + req.http.x-lw-room);\n'
            "    }\n"
        )
    return f"\nsub listen_mac {{\n{''.join(blocks)}}}\n"
