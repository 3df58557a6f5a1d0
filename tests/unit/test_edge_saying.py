"""What of a program's standard error goes into the log of an edge."""

import os

import pytest

from infra.edge.hitch import _OF_A_LISTENER
from infra.edge.saying import Saying
from infra.edge.varnish.edge import OF_A_REQUEST

OWN = """\
20261122T041144.249182 [6998] {core} hitch 1.7.2 starting
20261122T041144.249961 [ 6998] {client} accept() failed; too many open files for this process
Error loading certificate file /etc/longwave/cert.pem
Listening on [::]:443
"""
OF_LISTENERS = """\
20261122T041144.256134 [ 6998] 203.0.113.7:58874 :0 8:9 SSL_read error: error:0A000126
20261122T041144.259287 [16999] [2001:db8::7]:58882 :443 9:10 Handshake failure: error:0A00009C
203.0.113.7:58874 :443 12:-1 {backend} Socket error: Broken pipe
"""


def test_lines_about_one_listener_go_no_further_than_hitch(capsys: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as said:
        saying = Saying(said, _OF_A_LISTENER)
        with os.fdopen(writing, "w") as speaker:
            speaker.write("".join(a + b for a, b in zip(split(OWN), [*split(OF_LISTENERS), ""], strict=True)))
        saying.finish()
    assert capsys.readouterr().err == OWN


def split(text: str) -> list[str]:
    return text.splitlines(keepends=True)


PANIC = """\
Error: Child (30857) Panic at: Sun, 22 Nov 2026 04:40:31 GMT
  [1] = \\"-F\\",
    fd = 94, vxid = 1867777,
    transport = HTTP/1 {
  http[bereq] = 0x7f8c7f84e508 {
    hdrs {
"""
OF_A_LISTENER = r"""
    client = 203.0.113.7 39192 192.0.2.1:443,
    remote.ip = 203.0.113.7:39192,
    client.ip = 203.0.113.7:39192,
      \"GET\",
      \"/p/k1.1795324230.2020aa8611ce/live/board/index.m3u8\",
      "Host: live.example",
"""


def test_a_panic_of_varnish_tells_nobody_whose_request_it_was() -> None:
    assert not any(OF_A_REQUEST.search(line) for line in PANIC.splitlines())
    assert all(OF_A_REQUEST.search(line) for line in OF_A_LISTENER.strip("\n").splitlines())
