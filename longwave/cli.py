"""The command line: declares the commands; their bodies live in modules of their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import LongwaveError, UsageError

app = typer.Typer(
    name="longwave",
    help="Live audio rooms as HLS and Low-Latency HLS that any CDN can carry.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Host = Annotated[str | None, typer.Option(help="Address to listen on [LONGWAVE_HOST, default 127.0.0.1].")]
Port = Annotated[int | None, typer.Option(help="Port; 0 takes a free one [LONGWAVE_PORT, default 8080].")]
DataDir = Annotated[
    Path | None, typer.Option(help="Where state is kept [LONGWAVE_DATA_DIR, default ./data].")
]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate chain, PEM [LONGWAVE_TLS_CERT].")]
TlsKey = Annotated[Path | None, typer.Option(help="Its private key, PEM [LONGWAVE_TLS_KEY].")]


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="A further origin to publish to; may be repeated [LONGWAVE_ORIGIN]."),
    ] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo", help="Keep a room called 'demo' that speaks [LONGWAVE_DEMO].")
    ] = None,
) -> None:
    """Run every role in one process: rooms in over PCM, LL-HLS out. Needs no other server."""
    from longwave.serve import run_serve
    from longwave.settings import ServeSettings, load_settings

    given = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "origin": tuple(origin) if origin else None,
        "demo": demo,
    }
    run_serve(load_settings(ServeSettings, given))


@app.command()
def origin(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Run an origin alone: what CDNs and players talk to, fed over HTTP by `longwave serve --origin URL`."""
    from longwave.serve import run_origin
    from longwave.settings import OriginSettings, load_settings

    given = {"host": host, "port": port, "data_dir": data_dir, "tls_cert": tls_cert, "tls_key": tls_key}
    run_origin(load_settings(OriginSettings, given))


def main() -> None:
    """Run a command: an error is one line on stderr. Exit codes: 2 for a wrong use, 1 for a failure."""
    try:
        app(standalone_mode=True)
    except UsageError as error:
        print(f"longwave: {error.message}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
    except LongwaveError as error:
        print(f"longwave: {error.message}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None
