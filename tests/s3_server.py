"""A real S3 over HTTP: moto's server as a process of its own, on a free port, ended by pid.

It is started once, by whoever asks first, and ends with the tests: `s3_server()`. Everybody makes a bucket of
their own: `s3_server().new_bucket()`. `CREDENTIALS` belong into the environment of whoever talks to it.
"""

from __future__ import annotations

import atexit
import io
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from uuid import uuid4

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "a/secret+that/no/message+may/have/in+it00",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


class S3Server:
    """moto's server as a child process."""

    def __init__(self) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))
        }
        # S3 takes no parts under 5 MB; this one does, for tests that have better things to do than to copy.
        environment["S3_UPLOAD_PART_MIN_SIZE"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.s3_server"],
            stdin=subprocess.PIPE,  # it ends when nobody holds this any more
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def new_bucket(self) -> str:
        """The name of an empty bucket that nobody else has."""
        bucket = f"test-{uuid4().hex[:16]}"
        self._ask("PUT", bucket)
        return bucket

    def keys(self, bucket: str) -> str:
        """What is in a bucket, as XML: keys, sizes, etags."""
        return self._ask("GET", f"{bucket}?list-type=2").decode()

    def uploads(self, bucket: str) -> str:
        """The uploads that have begun and are neither complete nor aborted, as XML."""
        return self._ask("GET", f"{bucket}?uploads").decode()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(f"{self.url}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())


@cache
def s3_server() -> S3Server:
    """The one server of these tests."""
    server = S3Server()
    atexit.register(server.close)
    return server


class OneAtATime:
    """moto looks whether a condition holds, and then writes; S3 does both in one step, and so does this."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # All of the request is here before anybody is kept waiting.
        size = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(size))
        with self._lock:
            return self._app(environ, start_response)


def _serve() -> None:
    # Imported in the child only: half a second, and nothing that tests want in their own process.
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    app = OneAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=WSGIRequestHandler)
    print(server.port, flush=True)  # noqa: T201 - what the parent waits for
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _serve()
