"""`longwave replay …`: what is kept of takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longwave.commands.options import DataDir, Json, Storage

if TYPE_CHECKING:
    from longwave.settings import StorageSettings

app = typer.Typer(help="What is kept of takes: list, finish, export and check replays.", no_args_is_help=True)

Replays = Annotated[list[str] | None, typer.Argument(metavar="ROOM/TAKE", help="Which ones.")]


@app.command("list")
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


@app.command("finish")
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


@app.command("export")
def replay_export(
    name: Annotated[str, typer.Argument(metavar="ROOM/TAKE", help="The replay.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Its name ends in .m4a, .mp3, .wav or .flac.")],
    data_dir: DataDir = None,
    storage: Storage = None,
) -> None:
    """Write a replay to a file; .mp3, .wav and .flac take the ffmpeg program."""
    from longwave.replay_view import run_export

    run_export(_storage_settings(data_dir, storage), name, out)


@app.command("verify")
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
