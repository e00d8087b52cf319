"""An Airbyte with five threads, as the real one has for its public API, which takes its time for some connections."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

THREADS = 5
QUICK_SECONDS = 0.03


class FiveThreads:
    """Holds a thread for as long as `seconds_for` says of method and what was asked; then the sandbox answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # In the loop that serves, not in the one that builds.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = asyncio.Semaphore(THREADS)
        self._ended = asyncio.Event()
        self.seconds_for: Callable[[str, str], float] = lambda _method, _asked: QUICK_SECONDS

    def end(self) -> None:
        """Answer all that is held, from another thread: nobody waits for it any more."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].endswith("/applications/token"):
            await self._app(scope, receive, send)
            return
        self._loop = asyncio.get_running_loop()
        body = await _body_of(receive)
        asked = scope["query_string"].decode() + body.decode()
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        async with self._threads:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds_for(scope["method"], asked)):
                    await self._ended.wait()
            await self._app(scope, replay, send)


async def _body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
