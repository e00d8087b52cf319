"""What a page shows once, after the redirect that led to it: never in an address, a log or the database.

Where several gateways share a Valkey it waits there, for the next page may come from another gateway: sealed by the
session's own secret, which only the browser has.
"""

import hashlib
import secrets
from collections.abc import Callable

import msgspec
from cachetools import TTLCache
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.cluster.scripts import PUT, TAKE_AWAY, BackendUnavailable, Runner
from gateway.dashboard.visitor import COOKIE, visitor_of

REVEALS_KEY = "gateway.reveals"
LIFE_SECONDS = 120.0
"""Enough for the redirect; whoever comes later makes a new secret."""
MOST_REVEALS = 1000
PREFIX = "gateway:reveal:"
NONCE_BYTES = 16


class Reveal(msgspec.Struct, frozen=True):
    """A secret, and the name of what it opens."""

    subject: str
    secret: str

    def __repr__(self) -> str:
        return f"Reveal({self.subject})"


class Waiting:
    """The secrets on their way to the session that asked for them, by session and kind."""

    def __init__(self, *, monotonic: Callable[[], float], shared: Runner | None) -> None:
        self._here: TTLCache[tuple[str, str], Reveal] = TTLCache(MOST_REVEALS, LIFE_SECONDS, timer=monotonic)
        self._shared = shared

    async def put(self, session_id: str, kind: str, reveal: Reveal, seal: str) -> None:
        if self._shared is not None:
            try:
                content = _sealed(msgspec.msgpack.encode(reveal), seal, secrets.token_bytes(NONCE_BYTES))
                await self._shared.run(PUT, (_name(session_id, kind),), (content, int(LIFE_SECONDS)))
            except BackendUnavailable:
                # The next page may well come from here.
                pass
            else:
                return
        self._here[session_id, kind] = reveal

    async def take(self, session_id: str, kind: str, seal: str) -> Reveal | None:
        found = self._here.pop((session_id, kind), None)
        if found is not None or self._shared is None:
            return found
        try:
            content = await self._shared.run(TAKE_AWAY, (_name(session_id, kind),), ())
        except BackendUnavailable:
            return None
        return None if content is None else _opened(content, seal)


class RevealMiddleware:
    """Hands the waiting secrets to the pages."""

    def __init__(self, app: ASGIApp, *, monotonic: Callable[[], float], shared: Runner | None = None) -> None:
        self._app = app
        self._waiting = Waiting(monotonic=monotonic, shared=shared)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[REVEALS_KEY] = self._waiting
        await self._app(scope, receive, send)


async def put_reveal(request: Request, kind: str, *, subject: str, secret: str) -> None:
    """For the next page of this session's that takes this `kind`."""
    session_id = visitor_of(request).session.id
    await _waiting(request).put(session_id, kind, Reveal(subject, secret), request.cookies[COOKIE])


async def take_reveal(request: Request, kind: str) -> Reveal | None:
    """None when there is none, or it was shown."""
    return await _waiting(request).take(visitor_of(request).session.id, kind, request.cookies[COOKIE])


def _waiting(request: Request) -> Waiting:
    waiting: Waiting = request.scope[REVEALS_KEY]
    return waiting


def _name(session_id: str, kind: str) -> str:
    return PREFIX + hashlib.sha256(f"{session_id} {kind}".encode()).hexdigest()


def _sealed(content: bytes, seal: str, nonce: bytes) -> bytes:
    """A one-time pad: each nonce is used once, and SHAKE-256 of it and the seal tells nothing to who lacks the seal."""
    pad = hashlib.shake_256(nonce + seal.encode()).digest(len(content))
    return nonce + bytes(left ^ right for left, right in zip(content, pad, strict=True))


def _opened(content: bytes, seal: str) -> Reveal | None:
    plain = _sealed(content[NONCE_BYTES:], seal, content[:NONCE_BYTES])[NONCE_BYTES:]
    try:
        return msgspec.msgpack.decode(plain, type=Reveal)
    except msgspec.DecodeError:
        return None
