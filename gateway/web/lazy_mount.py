"""An application that is imported and built when somebody first asks for it: what nobody uses costs nothing."""

import asyncio
from collections.abc import Callable

from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send


class LazyMount(Mount):
    """Answers at `/` and below each of `prefixes`, with paths left whole."""

    def __init__(self, prefixes: tuple[str, ...], build: Callable[[], ASGIApp]) -> None:
        super().__init__("/", app=self._answer)
        self._starts = tuple(f"{prefix}/" for prefix in prefixes)
        self._paths = frozenset({"/", *prefixes})
        self._build = build
        self._building = asyncio.Lock()
        self._built: ASGIApp | None = None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request is for what is mounted. Called by Starlette."""
        path = scope.get("path", "")
        if scope["type"] == "http" and (path in self._paths or path.startswith(self._starts)):
            return Match.FULL, {"endpoint": self.app}
        return Match.NONE, {}

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._built or await self._first()
        await app(scope, receive, send)

    async def _first(self) -> ASGIApp:
        """Build the application in a thread: imports take some tenths of a second, and other requests go on."""
        async with self._building:
            if self._built is None:
                self._built = await asyncio.to_thread(self._build)
            return self._built
