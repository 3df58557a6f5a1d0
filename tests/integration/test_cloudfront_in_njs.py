"""CloudFront's functions run where JavaScript is as small as theirs: in nginx's njs.

What runs at CloudFront (`cloudfront-js-2.0`) is ECMAScript 5.1 and parts of later ones. Node takes anything,
so it says nothing of a `for … of` or a destructuring, with which CloudFront would refuse the function.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.edges import wait_for
from tests.programs import path
from tests.signed_addresses import BAD, GOOD, KEYS, QUERIES

pytestmark = pytest.mark.needs("nginx", "njs")
_FUNCTIONS: Final = Path(__file__).parents[2] / "infra/terraform/functions"
# In place of CloudFront's own module: a key value store that throws for what it does not have.
_STORE: Final = """
let held = {};
async function get(kid) {
    if (!Object.prototype.hasOwnProperty.call(held, kid)) {
        throw new Error('no such key');
    }
    return held[kid];
}
export default { kvs: () => ({ get: get }), hold: (keys) => { held = keys; } };
"""
# Asks a function, as CloudFront does, for each of the events in a body, one after the other.
_ASK: Final = """
async function ask(r) {
    const asked = JSON.parse(r.requestText);
    const answers = [];
    HOLD
    for (let i = 0; i < asked.events.length; i++) {
        const answer = await handler(asked.events[i]);
        answers.push(answer);
    }
    r.return(200, JSON.stringify(answers));
}
export default { ask };
"""
_CONF: Final = """
load_module {njs};
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    client_body_buffer_size 1m;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    js_path {directory};
    js_import listen.js;
    js_import door.js;
    server {{
        listen unix:{directory}/socket;
        location = /listen {{ js_content listen.ask; }}
        location = /door {{ js_content door.ask; }}
    }}
}}
"""


class Runtime(http.client.HTTPConnection):
    """The functions, asked over the socket in a directory."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = socket_path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))

    def listens(self) -> bool:
        """Whether it takes connections: its socket is there a moment before."""
        try:
            self.connect()
        except OSError:
            self.close()
            return False
        return True

    def answers(self, function: str, asked: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """What a function makes of paths and queries: a request that goes on, or one with a `statusCode`."""
        events = [event(address, query) for address, query in asked]
        self.request("POST", f"/{function}", json.dumps({"keys": KEYS, "events": events}))
        answer = self.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        found: list[dict[str, Any]] = json.loads(body)
        return found


def event(address: str, query: str) -> dict[str, Any]:
    """A viewer's request, in CloudFront's words."""
    strings: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        values = [*strings.get(name, {}).get("multiValue", []), {"value": value}]
        strings[name] = {"value": values[0]["value"], "multiValue": values}
    for one in strings.values():
        if len(one["multiValue"]) == 1:
            del one["multiValue"]
    return {"request": {"method": "GET", "uri": address, "querystring": strings, "headers": {}}}


def sent(request: dict[str, Any]) -> str:
    """The query of a request that goes on."""
    return "&".join(
        f"{name}={value['value']}"
        for name, one in request["querystring"].items()
        for value in one.get("multiValue", [one])
    )


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    directory = tmp_path_factory.mktemp("njs")
    (directory / "cloudfront").write_text(_STORE)
    for name, hold in (("listen", "cf.hold(asked.keys);"), ("door", "")):
        code = (_FUNCTIONS / f"{name}.js").read_text()
        (directory / f"{name}.js").write_text(code + _ASK.replace("HOLD", hold))
    (directory / "nginx.conf").write_text(_CONF.format(njs=path("njs"), directory=directory))
    command = [path("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", "stderr"]
    with (directory / "log").open("w") as log, subprocess.Popen(command, stderr=log) as nginx:
        try:
            runtime = Runtime(directory / "socket")
            wait_for(lambda: runtime.listens() or nginx.poll() is not None, "nginx listens, or says why not")
            assert nginx.poll() is None, (directory / "log").read_text()
            yield runtime
            runtime.close()
        finally:
            nginx.terminate()


def test_it_lets_in_who_has_a_token_of_the_room(runtime: Runtime) -> None:
    answers = runtime.answers("listen", [(each, "") for each in GOOD])
    assert [answer.get("uri", answer) for answer in answers] == GOOD


def test_it_lets_in_nobody_else(runtime: Runtime) -> None:
    answers = runtime.answers("listen", [(each, "") for each in BAD])
    statuses = [answer.get("statusCode", 0) for answer in answers]
    assert dict(zip(BAD, statuses, strict=True)) == dict.fromkeys(BAD, 403)
    assert all(json.loads(answer["body"]["data"])["error"] for answer in answers)


def test_it_brings_directives_into_one_order(runtime: Runtime) -> None:
    answers = runtime.answers("listen", [(GOOD[0], query) for query, _ in QUERIES])
    assert [sent(answer) for answer in answers] == [query for _, query in QUERIES]


def test_the_door_is_open_to_the_lobby_alone(runtime: Runtime) -> None:
    lobby, *others = runtime.answers("door", [("/", ""), ("/metrics", ""), ("/publish/room/take", "")])
    assert lobby["uri"] == "/"
    assert [answer["statusCode"] for answer in others] == [404, 404]
