"""The command line: declares the commands; their bodies live in modules of their own."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from contracts.errors import DiskUnavailable, LongwaveError, UsageError

if TYPE_CHECKING:
    from longwave.settings import StorageSettings

# A file or a device that takes what is printed, and takes no more. A pipe that ends is typer's.
_NO_OUTPUT: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

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
Storage = Annotated[
    str | None,
    typer.Option(help="s3://BUCKET/PREFIX or file:///PATH [LONGWAVE_STORAGE, default the data directory]."),
]


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    storage: Storage = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="A further origin to publish to; may be repeated [LONGWAVE_ORIGIN]."),
    ] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo", help="Keep a room called 'demo' that speaks [LONGWAVE_DEMO].")
    ] = None,
) -> None:
    """Run every role in one process: voices in by WHIP or as PCM, LL-HLS out. Needs no other server."""
    from longwave.serve import run_serve
    from longwave.settings import ServeSettings, load_settings

    given = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "storage": storage,
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
    storage: Storage = None,
) -> None:
    """Run an origin alone: what CDNs and players talk to, fed over HTTP by `longwave serve --origin URL`."""
    from longwave.serve_origin import run_origin
    from longwave.settings import OriginSettings, load_settings

    given = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "storage": storage,
    }
    run_origin(load_settings(OriginSettings, given))


@app.command()
def publish(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Any audio file that FFmpeg's libraries can decode.")
    ],
    room: Annotated[str, typer.Option(help="The room to play it into.")],
    url: Annotated[str, typer.Option(help="The server.", envvar="LONGWAVE_URL")] = "http://127.0.0.1:8080",
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
    from longwave.publish import PublishOptions, run_publish

    run_publish(PublishOptions(file, room, url, token, speaker, channels, loop, ca))


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
    role: Annotated[str, typer.Option(help="admin, host, speaker or publish.")],
    room: Annotated[
        str | None, typer.Option(help="The only room it is good for; hosts and speakers need one.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The only name that a speaker may use with it.")] = None,
    for_: Annotated[str, typer.Option("--for", help="How long it is good, such as 90m, 12h or 7d.")] = "12h",
) -> None:
    """Print a token, signed with the first of LONGWAVE_KEYS, or with a key made from LONGWAVE_TOKEN."""
    from longwave.token import run_token

    run_token(role, room, name, for_)


replay = typer.Typer(
    help="What is kept of takes: list, finish, export and check replays.", no_args_is_help=True
)
app.add_typer(replay, name="replay")

Replays = Annotated[list[str] | None, typer.Argument(metavar="ROOM/TAKE", help="Which ones.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@replay.command("list")
def replay_list(
    room: Annotated[str | None, typer.Argument(metavar="ROOM", help="Of this room only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Takes that are not finished, too.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
    storage: Storage = None,
) -> None:
    """List replays, newest first."""
    from longwave.replay_view import run_list

    run_list(_storage_settings(data_dir, storage), room, everything=everything, as_json=as_json)


@replay.command("finish")
def replay_finish(
    replays: Replays = None,
    everything: Annotated[bool, typer.Option("--all", help="Every take that is not finished.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also one that looks live; make a finished one again.")
    ] = False,
    data_dir: DataDir = None,
    storage: Storage = None,
) -> None:
    """Finish takes that nobody works on any more. A server does so by itself."""
    from longwave.replay_view import run_finish

    run_finish(_storage_settings(data_dir, storage), replays or [], everything=everything, force=force)


@replay.command("export")
def replay_export(
    name: Annotated[str, typer.Argument(metavar="ROOM/TAKE", help="The replay.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Its name ends in .m4a, .mp3, .wav or .flac.")],
    data_dir: DataDir = None,
    storage: Storage = None,
) -> None:
    """Write a replay to a file; .mp3, .wav and .flac take the ffmpeg program."""
    from longwave.replay_view import run_export

    run_export(_storage_settings(data_dir, storage), name, out)


@replay.command("verify")
def replay_verify(
    replays: Replays = None,
    everything: Annotated[bool, typer.Option("--all", help="Every replay.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
    storage: Storage = None,
) -> None:
    """Read replays again and check every digest, gap and duration; exit code 1 where something is damaged."""
    from longwave.replay_view import run_verify

    run_verify(_storage_settings(data_dir, storage), replays or [], everything=everything, as_json=as_json)


def _storage_settings(data_dir: Path | None, storage: str | None) -> StorageSettings:
    from longwave.settings import StorageSettings, load_settings

    return load_settings(StorageSettings, {"data_dir": data_dir, "storage": storage})


def main() -> None:
    """Run a command: an error is one line on stderr. Exit codes: 2 for a wrong use, 1 for a failure."""
    try:
        app()
    except UsageError as error:
        _complain(error, 2)
    except LongwaveError as error:
        _complain(error, 1)
    except OSError as error:
        if error.errno not in _NO_OUTPUT or error.filename is not None:
            raise
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _complain(DiskUnavailable(f"what was to be said could not be written: {error.strerror}"), 1)


def _complain(error: LongwaveError, code: int) -> None:
    print(f"longwave: {error.message}", file=sys.stderr)  # noqa: T201 - this is the command line
    raise SystemExit(code) from None
