"""A private room from its first word to its replay, through a server that is killed on the way."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Final

from tests.server import Answer, Server

TOKEN: Final = "the-admins-s3cret"
AUTH: Final = {"Authorization": f"Bearer {TOKEN}"}
ROOM: Final = "board"
SOUND: Final = bytes(48_000 * 2)


class Board:
    """The room as it is for those who were let in, and for all others."""

    def __init__(self, server: Server) -> None:
        self.server = server
        issued = server.request("POST", f"/rooms/{ROOM}/listen-token", headers=AUTH)
        assert issued.status == 201, issued.text
        self.path = issued.json["path"]
        self.playlist = issued.json["playlist"]

    def signed(self, path: str) -> Answer:
        return self.server.get(self.path + path)

    def is_there(self, path: str) -> bool:
        """For those who were let in; never for others."""
        hidden = self.server.get(path)
        nowhere = self.server.get(path.replace(ROOM, "nowhere"))
        assert (hidden.status, hidden.body) == (404, nowhere.body), path
        return self.signed(path).status == 200


def test_a_private_room_is_private_from_the_first_word_to_the_replay_and_after_a_crash(
    tmp_path: Path,
) -> None:
    env = {"LONGWAVE_TOKEN": TOKEN, "LONGWAVE_LOG_LEVEL": "debug"}
    with Server(tmp_path / "data", env=env) as server:
        room = json.dumps({"title": "Board meeting", "visibility": "private"}).encode()
        assert server.request("PUT", f"/rooms/{ROOM}", room, AUTH).status == 201
        speaking = threading.Thread(target=server.request, args=("PUT", f"/pcm/{ROOM}", SOUND, AUTH))
        speaking.start()
        board = Board(server)
        live = f"/live/{ROOM}/index.m3u8"
        server.wait_for(lambda: board.is_there(live))
        assert board.playlist == board.path + live
        speaking.join()
        media = f"/live/{ROOM}/{board.signed(live).text.splitlines()[-1]}"
        server.wait_for(lambda: board.is_there(media))

        server.kill()
        server.start()
        assert board.is_there(live)
        assert board.is_there(media)
        assert server.get("/rooms.json").json == {"rooms": []}

        ended = server.request("POST", f"/rooms/{ROOM}/end", headers=AUTH)
        replay = f"/replay/{ROOM}/{ended.json['take']}"
        server.wait_for(lambda: board.is_there(f"{replay}.m4a"))
        assert board.signed(f"{replay}/take.json").json["private"] is True
        server.wait_for(lambda: f"{board.path}{replay}.m4a" in board.signed(f"/feeds/{ROOM}.xml").text)
        assert board.is_there(f"/feeds/{ROOM}.xml")
        assert server.get("/rooms.json").json == {"rooms": []}
        listed = server.request("GET", f"/rooms/{ROOM}/replays", headers=AUTH).json["replays"]
        assert [each["private"] for each in listed] == [True]

        log = server.log_path.read_text()
        assert board.path.rpartition(".")[2] not in log
        assert TOKEN not in log
