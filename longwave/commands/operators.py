"""`longwave settings`, `rooms …`, `top` and `load`: for whoever runs servers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longwave.commands import roles
from longwave.commands.options import HERE, Ca, Json, Token, Url, given_of

app = typer.Typer()
rooms = typer.Typer(help="Rooms of a running server: list, show, end.", no_args_is_help=True)

Room = Annotated[str, typer.Argument(metavar="ROOM", help="Its id.")]


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
        str, typer.Argument(help="serve, ingest, worker, origin or edge, and any of its options.")
    ] = "serve",
    as_json: Json = False,
) -> None:
    """Show what a role would run with, and where each value comes from; secrets are masked."""
    from longwave.settings_view import run_settings

    command = typer.main.get_group(roles.app).commands.get(role)
    options = {} if command is None else command.make_context(role, [*context.args]).params
    run_settings(role, given_of(options), as_json=as_json)


@rooms.command("list")
def rooms_list(as_json: Json = False, url: Url = HERE, token: Token = None, ca: Ca = None) -> None:
    """List rooms: those that are live, and those that somebody made."""
    from longwave.asking import ServerOptions
    from longwave.rooms import run_list

    run_list(ServerOptions(url, token, ca), as_json=as_json)


@rooms.command("show")
def rooms_show(
    room: Room, as_json: Json = False, url: Url = HERE, token: Token = None, ca: Ca = None
) -> None:
    """Show a room, and who is in it."""
    from longwave.asking import ServerOptions
    from longwave.rooms import run_show

    run_show(ServerOptions(url, token, ca), room, as_json=as_json)


@rooms.command("end")
def rooms_end(
    room: Room,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    url: Url = HERE,
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
    url: Url = HERE,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Watch all nodes, takes and buses, as an ingest sees them; Ctrl-C ends it."""
    from longwave.asking import ServerOptions
    from longwave.top import run_top

    run_top(ServerOptions(url, token, ca), once=once, as_json=as_json)


@app.command()
def load(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="A player's page (…/listen/ROOM) or a playlist (….m3u8).")
    ],
    listeners: Annotated[int, typer.Option(help="How many come, in all.")],
    low_latency: Annotated[
        bool, typer.Option("--low-latency", help="They wait for parts instead of reloading for segments.")
    ] = False,
    arrive: Annotated[
        float | None, typer.Option(metavar="RATE", help="How many come a second; default: all within 10 s.")
    ] = None,
    for_: Annotated[float, typer.Option("--for", metavar="SECONDS", help="How long all of it takes.")] = 60.0,
    stay: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long each stays; default: to the end.")
    ] = None,
    tiers: Annotated[
        bool, typer.Option("--tiers", help="They go where /listen/ROOM.json sends them, and ask it again.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(help="Processes that simulate them; default: the cores.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result there, not to stdout.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="Into a private room: an invitation or a listen token.", envvar="LONGWAVE_LOAD_TOKEN"
        ),
    ] = None,
    ca: Ca = None,
    mine: Annotated[
        bool, typer.Option("--i-run-this-server", help="Load a server that is not on this machine.")
    ] = False,
) -> None:
    """Simulate listeners of a live room, and tell what they met; Ctrl-C ends it with what there is so far."""
    from longwave.load.plan import LoadOptions
    from longwave.load.run import run_load

    run_load(
        LoadOptions(url, listeners, low_latency, arrive, for_, stay, tiers, processes, json, token, ca, mine)
    )
