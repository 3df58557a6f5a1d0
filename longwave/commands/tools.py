"""`longwave publish`, `package` and `token`: what is used beside a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def publish(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Any audio file that FFmpeg's libraries can decode.")
    ],
    room: Annotated[str, typer.Option(help="The room to play it into.")],
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="The server; several times: the next where one is gone. Default: http://127.0.0.1:8080.",
            envvar="LONGWAVE_URL",
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="Token, where the server wants one.", envvar="LONGWAVE_TOKEN")
    ] = None,
    speaker: Annotated[
        str | None, typer.Option(help="The speaker's name.", envvar="LONGWAVE_SPEAKER")
    ] = None,
    channels: Annotated[int, typer.Option(help="1 or 2.", envvar="LONGWAVE_CHANNELS")] = 1,
    loop: Annotated[
        bool, typer.Option("--loop", help="Again and again, until Ctrl-C.", envvar="LONGWAVE_LOOP")
    ] = False,
    ca: Annotated[
        Path | None, typer.Option(help="Certificates to check the server by, PEM.", envvar="LONGWAVE_CA")
    ] = None,
) -> None:
    """Play an audio file into a room, in real time; reconnects when the server restarts."""
    from longwave.publish import run_publish
    from longwave.publish_options import HERE, PublishOptions

    servers = ",".join(url) if url else HERE
    run_publish(PublishOptions(file, room, servers, token, speaker, channels, loop, ca))


@app.command()
def package(
    input_: Annotated[Path, typer.Argument(metavar="INPUT", help="Any audio file that can be decoded.")],
    outdir: Annotated[Path, typer.Argument(metavar="OUTDIR", help="Where to write; made if need be.")],
    renditions: Annotated[
        str, typer.Option(help="Bit rates, such as 32k,64k.", envvar="LONGWAVE_RENDITIONS")
    ] = "64k",
    segments: Annotated[
        str | None, typer.Option(help="A:B writes segments A <= n < B only.", envvar="LONGWAVE_SEGMENTS")
    ] = None,
    channels: Annotated[int, typer.Option(help="1 or 2.", envvar="LONGWAVE_CHANNELS")] = 1,
    parts: Annotated[int, typer.Option(help="Pieces of a segment, 1 to 10.", envvar="LONGWAVE_PARTS")] = 5,
) -> None:
    """Turn an audio file into an HLS VOD, with the same chain as live rooms."""
    from longwave.package_view import run_package

    run_package(input_, outdir, renditions, segments, channels, parts)


@app.command()
def token(
    role: Annotated[
        str | None, typer.Option(help="admin, host, speaker, listener (an invitation) or publish.")
    ] = None,
    room: Annotated[
        str | None, typer.Option(help="The only room it is good for; hosts, speakers, listeners need one.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The only name that a speaker may use with it.")] = None,
    for_: Annotated[str, typer.Option("--for", help="How long it is good, such as 90m, 12h or 7d.")] = "12h",
    listen: Annotated[
        bool, typer.Option("--listen", help="The path into a private room, /p/…, instead of a token.")
    ] = False,
    edge_keys: Annotated[
        bool, typer.Option("--edge-keys", help="What edges check such paths with, a key a line.")
    ] = False,
) -> None:
    """Print a token, signed with the first of LONGWAVE_KEYS, or with a key made from LONGWAVE_TOKEN."""
    from longwave.token import Wanted, run_token

    run_token(Wanted(role, room, name, for_, listen, edge_keys))
