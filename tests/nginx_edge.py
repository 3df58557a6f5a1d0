"""What an nginx edge in a test has in hand."""

from __future__ import annotations

import re
import socket

from infra.edge.nginx.edge import STATUS_SOCKET
from tests.edges import Edge


def in_hand(edge: Edge) -> int:
    """How many requests nginx has not answered yet, beside this one."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(edge.directory / STATUS_SOCKET))
        asking.sendall(b"GET / HTTP/1.0\r\n\r\n")
        found = re.search(rb"Writing: (\d+)", asking.makefile("rb").read())
    assert found
    return int(found[1]) - 1
