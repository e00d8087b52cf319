"""An Airbyte in this process, on a port of its own, that can be told to fail now and then."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from threading import Event, Thread

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.settings import ServerSettings
from gateway.web.server.listener import listen
from gateway.web.server.server import Server, build_config

LATE_SECONDS = 1.5

SETTINGS = """
[server]
port = {port}
[database]
url = "sqlite:///gateway.db"
[airbyte]
base_url = "{airbyte}/api/public/v1"
client_id = "sandbox-client"
client_secret = "sandbox-secret"
[log]
level = "warning"
"""
"""But for addresses as shipped: also the rate of a key, 100 requests a minute."""
HIGH_RATE = """
[rate_limit]
requests = 1000000
per_seconds = 60
"""


class Faulty:
    """An application of which a share of the answers is replaced or late."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._chance = Random(1)  # noqa: S311 - the same faults each time
        self.share = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._chance.random() < self.share:
            status = self._chance.choice([500, 502, 503, 200, None])
            if status is not None:
                await Response("<html>", status_code=status)(scope, receive, send)
                return
            await asyncio.sleep(LATE_SECONDS)
        await self._app(scope, receive, send)


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application at the address yielded, in a thread of this process."""
    settings = ServerSettings(host="127.0.0.1", port=0, trusted_proxies=(), public_url="", metrics_networks=())
    started = Event()
    with listen(settings.host, settings.port) as listener:
        server = Server(build_config(app, settings, date_header=False), started.set)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            started.wait(10)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
