"""Options that several commands have, each in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

Host = Annotated[str | None, typer.Option(help="Address to listen on [LONGWAVE_HOST, default 127.0.0.1].")]
Port = Annotated[int | None, typer.Option(help="Port; 0 takes a free one [LONGWAVE_PORT, default 8080].")]
DataDir = Annotated[
    Path | None, typer.Option(help="Where state is kept [LONGWAVE_DATA_DIR, default ./data].")
]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate chain, PEM [LONGWAVE_TLS_CERT].")]
TlsKey = Annotated[Path | None, typer.Option(help="Its private key, PEM [LONGWAVE_TLS_KEY].")]
Storage = Annotated[
    str | None,
    typer.Option(help="s3://BUCKET/PREFIX or file:///PATH [LONGWAVE_STORAGE, default the data directory]."),
]


Bus = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        help="redis://HOST:PORT or redis+sentinel://HOST:PORT,…/MASTER; twice: both at once [LONGWAVE_BUS].",
    ),
]
Advertise = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Where others reach this server [LONGWAVE_ADVERTISE, default where it listens]."
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="An origin to publish to; may be repeated [LONGWAVE_ORIGIN]."),
]
Redundancy = Annotated[
    int | None, typer.Option(help="Workers that encode each take, 1 or 2 [LONGWAVE_REDUNDANCY].")
]
Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Settings in TOML, behind flags and variables [LONGWAVE_CONFIG]."),
]
Sisters = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="An origin to fill the window from; may be repeated [LONGWAVE_SISTER]."),
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Url = Annotated[str, typer.Option(help="An ingest, or several with commas between.", envvar="LONGWAVE_URL")]
Token = Annotated[
    str | None, typer.Option(help="Token, where the server wants one.", envvar="LONGWAVE_TOKEN")
]
Ca = Annotated[
    Path | None, typer.Option(help="Certificates to check the server by, PEM.", envvar="LONGWAVE_CA")
]
HERE: Final = "http://127.0.0.1:8080"
"""What is asked where nothing else is said."""


def given_of(options: dict[str, Any]) -> dict[str, Any]:
    """What was given on the command line, by its settings' names; what may be repeated is a tuple to them."""
    # What may be repeated and is not given at all may also be an empty list.
    return {name: (tuple(v) or None) if isinstance(v, list | tuple) else v for name, v in options.items()}
