"""What a page shows once, after the redirect that led to it: never in an address, a log or the database."""

from collections.abc import Callable

import msgspec
from cachetools import TTLCache
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.dashboard.visitor import visitor_of

REVEALS_KEY = "gateway.reveals"
LIFE_SECONDS = 120.0
"""Enough for the redirect; whoever comes later makes a new secret."""
MOST_REVEALS = 1000


class Reveal(msgspec.Struct, frozen=True):
    """A secret, and the name of what it opens."""

    subject: str
    secret: str

    def __repr__(self) -> str:
        return f"Reveal({self.subject})"


Waiting = TTLCache[tuple[str, str], Reveal]


class RevealMiddleware:
    """Holds the secrets on their way to the session that asked for them, by session and kind."""

    def __init__(self, app: ASGIApp, *, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._waiting: Waiting = TTLCache(MOST_REVEALS, LIFE_SECONDS, timer=monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[REVEALS_KEY] = self._waiting
        await self._app(scope, receive, send)


def put_reveal(request: Request, kind: str, *, subject: str, secret: str) -> None:
    """For the next page of this session's that takes this `kind`."""
    _waiting(request)[visitor_of(request).session.id, kind] = Reveal(subject, secret)


def take_reveal(request: Request, kind: str) -> Reveal | None:
    """None when there is none, or it was shown."""
    return _waiting(request).pop((visitor_of(request).session.id, kind), None)


def _waiting(request: Request) -> Waiting:
    waiting: Waiting = request.scope[REVEALS_KEY]
    return waiting
