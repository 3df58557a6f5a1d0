"""`longwave rooms`: which rooms there are, what is in one, the end of its take; asked of a running server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.errors import BadRequest, UsageError
from contracts.ids import check_room
from longwave.asking import Asking, ServerOptions
from longwave.publish_view import clock_text, printable

_PAGE: Final = "200"
_TITLE: Final = 60
# In a pipe nothing has to fit: a line is as long as what it says.
_PIPE: Final = 4096


def run_list(options: ServerOptions, *, as_json: bool) -> None:
    """Print every room, kept or live. Raises LongwaveError."""
    rows, incomplete = _run(_rooms(options))
    if as_json:
        _print_json({"rooms": rows} | ({} if incomplete is None else {"incomplete": incomplete}))
        return
    if rows:
        _print(listing(rows))
    live = sum(row["live"] is not None for row in rows)
    noun = "room" if len(rows) == 1 else "rooms"
    _say(f"{len(rows)} {noun}, {live} live" if rows else "no rooms")
    if incomplete is not None:
        _say(f"only those that are live: {printable(str(incomplete))}")


def run_show(options: ServerOptions, room: str, *, as_json: bool) -> None:
    """Print what is known of a room. Raises LongwaveError."""
    answer = _run(_ask(options, "GET", f"/rooms/{_checked(room)}"))
    if as_json:
        _print_json(answer)
        return
    _print(record_table(answer))
    live = answer.get("live")
    if live is None:
        _say("not live")
        return
    loudness = live["loudness"].get("integrated")
    heard = "" if loudness is None else f", {loudness} LUFS"
    _say(f"live for {clock_text(live['sample'])} as {live['take']}, {answer['listeners']} listeners{heard}")
    if live["speakers"]:
        _print(speakers_table(live["speakers"]))


def run_end(options: ServerOptions, room: str, *, yes: bool) -> None:
    """End a room's take, after asking whoever sits at a terminal. Raises LongwaveError."""
    _checked(room)
    if not yes and _at_terminal():
        typer.confirm(f"End the take of {room}? Its speakers are disconnected", abort=True)
    answer = _run(_ask(options, "POST", f"/rooms/{room}/end"))
    _say(f"ended: {answer['room']}/{answer['take']}, {clock_text(answer['samples'])}")


# ---- tables ------------------------------------------------------------------------------------------------


def listing(rows: list[dict[str, Any]]) -> Table:
    """A line a room: those that are live in green."""
    table = _table("room", "state", "title", "at")
    for row in rows:
        live = row["live"]
        state = Text("-", style="dim") if live is None else Text(clock_text(live["samples"]), style="green")
        if live is not None and live["quarantined"]:
            state = Text("quarantined", style="red")
        table.add_row(
            Text(row["room"]), state, _shortened(row["title"]), Text(printable(row["url"] or ""), style="dim")
        )
    return table


def record_table(answer: dict[str, Any]) -> Table:
    """A room as its host wants it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    podcast = {name: value for name, value in answer["podcast"].items() if value not in {"", None, False}}
    rows = {
        "room": answer["room"],
        "title": answer["title"],
        "renditions": ", ".join(answer["renditions"]),
        "channels": answer["channels"],
        "parts": answer["parts"],
        "visibility": answer["visibility"],
        "sound": answer["sound"],
        "replays": answer["replays"],
        "podcast": ", ".join(f"{name}={value}" for name, value in podcast.items()) or "as it is made",
    }
    for name, value in rows.items():
        table.add_row(name, Text(printable(str(value))))
    return table


def speakers_table(speakers: list[dict[str, Any]]) -> Table:
    """A line a speaker."""
    table = _table("speaker", "by", "state")
    for each in speakers:
        state = "muted" if each["muted"] else "speaks" if each["speaking"] else "is silent"
        style = "green" if state == "speaks" else "dim"
        table.add_row(Text(printable(each["name"] or "(no name)")), each["kind"], Text(state, style=style))
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    return table


def _shortened(title: str) -> Text:
    text = printable(title)
    return Text(text if len(text) <= _TITLE else text[: _TITLE - 1] + "…")


# ---- asking ------------------------------------------------------------------------------------------------


async def _rooms(options: ServerOptions) -> tuple[list[dict[str, Any]], object]:
    """All rooms, page by page, and why there may be more."""
    rows: list[dict[str, Any]] = []
    after: str | None = ""
    incomplete: object = None
    async with Asking(options) as server:
        while after is not None:
            page = await server.ask("GET", "/rooms", limit=_PAGE, after=after)
            rows += page["rooms"]
            after = page["next"]
            incomplete = incomplete or page.get("incomplete")
    return rows, incomplete


async def _ask(options: ServerOptions, method: str, path: str) -> dict[str, Any]:
    async with Asking(options) as server:
        return await server.ask(method, path)


def _run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - JSON
    return asyncio.run(work)


def _checked(room: str) -> str:
    try:
        return check_room(room)
    except BadRequest as error:
        raise UsageError(f"{printable(room):.120}: {error.message}") from None


# ---- the terminal ------------------------------------------------------------------------------------------


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE)
    console.print(table)


def _at_terminal() -> bool:
    return sys.stdin.isatty()


def _say(line: str) -> None:
    Console(soft_wrap=True, highlight=False).print(line, markup=False)


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)  # noqa: T201 - this is the command line
