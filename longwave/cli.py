"""The command line: declares the commands; their bodies live in modules of their own."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

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


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    storage: Storage = None,
    bus: Bus = None,
    advertise: Advertise = None,
    origin: Origins = None,
    redundancy: Redundancy = None,
    sister: Sisters = None,
    demo: Annotated[
        bool | None, typer.Option("--demo", help="Keep a room called 'demo' that speaks [LONGWAVE_DEMO].")
    ] = None,
    config: Config = None,
) -> None:
    """Run every role in one process: voices in by WHIP or as PCM, LL-HLS out. Needs no other server.

    With a bus it is one of many.
    """
    given = _given(locals())
    from longwave.serve import run_serve
    from longwave.settings import ServeSettings, load_settings

    run_serve(load_settings(ServeSettings, given))


@app.command()
def ingest(
    host: Host = None,
    port: Port = None,
    bus: Bus = None,
    data_dir: DataDir = None,
    advertise: Advertise = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    storage: Storage = None,
    config: Config = None,
) -> None:
    """Run an ingest: speakers and hosts, by WHIP, PCM and HTTP; mixes takes and writes them to the bus."""
    given = _given(locals())
    from longwave.ingest_role import run_ingest
    from longwave.settings import IngestRoleSettings, load_settings

    run_ingest(load_settings(IngestRoleSettings, given))


@app.command()
def worker(
    bus: Bus = None,
    origin: Origins = None,
    data_dir: DataDir = None,
    redundancy: Redundancy = None,
    storage: Storage = None,
    host: Host = None,
    port: Annotated[
        int | None, typer.Option(help="Port for /healthz, /readyz, /metrics [LONGWAVE_PORT, default none].")
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    config: Config = None,
) -> None:
    """Run a worker: encodes takes from the bus, publishes them to origins, archives them."""
    given = _given(locals())
    from longwave.settings import WorkerSettings, load_settings
    from longwave.worker_role import run_worker

    run_worker(load_settings(WorkerSettings, given))


@app.command()
def origin(
    host: Host = None,
    port: Port = None,
    bus: Bus = None,
    data_dir: DataDir = None,
    advertise: Advertise = None,
    sister: Sisters = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    storage: Storage = None,
    config: Config = None,
) -> None:
    """Run an origin: what CDNs and players talk to, fed by workers over HTTP."""
    given = _given(locals())
    from longwave.serve_origin import run_origin
    from longwave.settings import OriginSettings, load_settings

    run_origin(load_settings(OriginSettings, given))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """What was given on the command line, by its settings' names; what may be repeated is a tuple to them."""
    # What may be repeated and is not given at all may also be an empty list.
    return {name: (tuple(v) or None) if isinstance(v, list | tuple) else v for name, v in options.items()}


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


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "allow_interspersed_args": True,
    }
)
def settings(
    context: typer.Context,
    role: Annotated[
        str, typer.Argument(help="serve, ingest, worker or origin, and any of its options.")
    ] = "serve",
    as_json: Json = False,
) -> None:
    """Show what a role would run with, and where each value comes from; secrets are masked."""
    from longwave.settings_view import run_settings

    command = typer.main.get_group(app).commands.get(role)
    options = {} if command is None else command.make_context(role, [*context.args]).params
    run_settings(role, _given(options), as_json=as_json)


rooms = typer.Typer(help="Rooms of a running server: list, show, end.", no_args_is_help=True)
app.add_typer(rooms, name="rooms")

Url = Annotated[str, typer.Option(help="An ingest, or several with commas between.", envvar="LONGWAVE_URL")]
Token = Annotated[
    str | None, typer.Option(help="Token, where the server wants one.", envvar="LONGWAVE_TOKEN")
]
Ca = Annotated[
    Path | None, typer.Option(help="Certificates to check the server by, PEM.", envvar="LONGWAVE_CA")
]
Room = Annotated[str, typer.Argument(metavar="ROOM", help="Its id.")]
_HERE: Final = "http://127.0.0.1:8080"


@rooms.command("list")
def rooms_list(as_json: Json = False, url: Url = _HERE, token: Token = None, ca: Ca = None) -> None:
    """List rooms: those that are live, and those that somebody made."""
    from longwave.asking import ServerOptions
    from longwave.rooms import run_list

    run_list(ServerOptions(url, token, ca), as_json=as_json)


@rooms.command("show")
def rooms_show(
    room: Room, as_json: Json = False, url: Url = _HERE, token: Token = None, ca: Ca = None
) -> None:
    """Show a room, and who is in it."""
    from longwave.asking import ServerOptions
    from longwave.rooms import run_show

    run_show(ServerOptions(url, token, ca), room, as_json=as_json)


@rooms.command("end")
def rooms_end(
    room: Room,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    url: Url = _HERE,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """End a room's take; its speakers are disconnected."""
    from longwave.asking import ServerOptions
    from longwave.rooms import run_end

    run_end(ServerOptions(url, token, ca), room, yes=yes)


@app.command()
def top(
    once: Annotated[bool, typer.Option("--once", help="Print it once.")] = False,
    as_json: Json = False,
    url: Url = _HERE,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Watch all nodes, takes and buses, as an ingest sees them; Ctrl-C ends it."""
    from longwave.asking import ServerOptions
    from longwave.top import run_top

    run_top(ServerOptions(url, token, ca), once=once, as_json=as_json)


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
