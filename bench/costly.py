"""A stand-in of known cost behind the gateway's own server and gate: `python -m bench.costly --port N`.

Each API request takes so many milliseconds of the one core, so that an overload of it is one of work, not of parsing.
"""

import argparse
import time

from starlette.types import Receive, Scope, Send

from gateway.auth import keys
from gateway.settings import ServerSettings
from gateway.telemetry.log import write_line
from gateway.telemetry.metrics import Metrics
from gateway.web.admission import Gate
from gateway.web.middleware.admission import AdmissionMiddleware
from gateway.web.middleware.request_log import RequestLog
from gateway.web.responses import JSONAnswer
from gateway.web.router import ApiRoutes
from gateway.web.server.server import serve_app

KEY = "any"
"""Held to be good: there is nobody who would look."""
ROUTES = ApiRoutes("/api/v1", [])


async def answer_lifespan(receive: Receive, send: Send) -> None:
    """Answer the lifespan of an application that has nothing to open or close."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


class Uncounted:
    """Counts no failure: there is no database to write it to."""

    def count_failure(self, key_id: str, moment: float, status: int) -> None: ...


class Costly:
    """Burns time for whatever is the API's."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        if ROUTES.covers(scope["path"]):
            # Not the wall clock's: what another program takes of the core meanwhile is no work done.
            end = time.thread_time() + self._seconds
            while time.thread_time() < end:
                pass
        await JSONAnswer({"status": "ok"})(scope, receive, send)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.costly", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--milliseconds", type=float, default=2.0)
    options = parser.parse_args()
    metrics = Metrics()
    request_log = RequestLog(new_id=lambda: "id", observer=metrics, failures=Uncounted(), write_line=write_line)
    gate = Gate(routes=ROUTES, monotonic=time.monotonic, observer=metrics, request_log=request_log)
    gate.known_keys.note_good(keys.digest(KEY), 1)
    settings = ServerSettings(
        host="127.0.0.1", port=options.port, trusted_proxies=(), public_url="", metrics_networks=()
    )
    app = AdmissionMiddleware(Costly(options.milliseconds / 1000), gate=gate)
    serve_app(app, settings, gate=gate, started=lambda address: print(f"Listening on {address}"))


if __name__ == "__main__":
    main()
