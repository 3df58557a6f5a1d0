"""`longwave settings`, `rooms …` and `top`: for whoever runs servers."""

from __future__ import annotations

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
        str, typer.Argument(help="serve, ingest, worker or origin, and any of its options.")
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
