"""The receiver of the demo's webhook: takes every event, in a thread of the same process, on this machine only."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

LOOPBACK = "127.0.0.1"


class Receiver(BaseHTTPRequestHandler):
    """Answers each event with 204 and keeps nothing."""

    def do_POST(self) -> None:
        """Take an event. Called by http.server."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        """Write nothing: the demo's page of the webhook shows what was sent."""


@contextmanager
def receiving() -> Iterator[str]:
    """Receive events at the address that is yielded."""
    with ThreadingHTTPServer((LOOPBACK, 0), Receiver) as server:
        thread = Thread(target=server.serve_forever, name="demo receiver")
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}/events"
        finally:
            server.shutdown()
            thread.join()
