"""The cookies with secrets of sessions and of pending sign-ins: their names, and how they are read, set and deleted.

Cookies know no ports (RFC 6265 §8.5), so the name ends with the database's own id: two gateways under one host name do
not sign each other's people out, and gateways of one database have the same sessions.
"""

import secrets
from collections.abc import Callable
from datetime import timedelta

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from gateway.settings.addresses import is_this_machine
from gateway.store.tables.only_values import OnlyValue

PLAIN_NAME = "session-"
PENDING_NAME = "sign-in-"
SECURE_PREFIX = "__Host-"
"""It makes browsers insist on Secure and Path=/ and on this very host (RFC 6265bis §4.1.3.2)."""
SECURE_NAME = f"{SECURE_PREFIX}{PLAIN_NAME}"

ID_BYTES = 8


class SessionCookie(msgspec.Struct, frozen=True):
    """The cookie of this database's sessions, as it is to be for one request."""

    name: str
    is_secure: bool
    life: timedelta

    def keep(self, response: Response, secret: str) -> None:
        """Set it: the browser stays signed in."""
        life = int(self.life.total_seconds())
        response.set_cookie(self.name, secret, max_age=life, secure=self.is_secure, httponly=True, samesite="lax")

    def forget(self, response: Response) -> None:
        """Delete it: the browser is signed out."""
        response.delete_cookie(self.name, secure=self.is_secure, httponly=True, samesite="lax")


class SessionCookies:
    """Knows the cookie's name. `new_id` makes the id of a database that has none yet."""

    def __init__(
        self, database_id: OnlyValue, new_id: Callable[[], str], *, life: timedelta, name: str = PLAIN_NAME
    ) -> None:
        """`life`: how long a browser keeps it; `name`: how its name begins."""
        self._life = life
        self._database_id = database_id
        self._new_id = new_id
        self._plain_name = name
        self._secure_name = f"{SECURE_PREFIX}{name}"

    async def cookie_for(self, connection: HTTPConnection) -> SessionCookie:
        """Return the cookie of a request. Raises StorageUnavailable.

        Over plain HTTP on its own machine the browser gets one without Secure: Safari keeps no other there.
        """
        is_secure = not (is_unencrypted(connection) and is_own_machine(connection))
        name = self._secure_name if is_secure else self._plain_name
        return SessionCookie(name + await self._database_id.get(self._new_id()), is_secure, self._life)

    async def secret_in(self, connection: HTTPConnection) -> str | None:
        """Return the secret that a request brings, if any. Raises StorageUnavailable; asks nobody without a cookie."""
        if not any(name.startswith((self._plain_name, self._secure_name)) for name in connection.cookies):
            return None
        return connection.cookies.get((await self.cookie_for(connection)).name)


def new_database_id() -> str:
    """Return a random id, which fits into a cookie's name."""
    return secrets.token_hex(ID_BYTES)


def is_unencrypted(connection: HTTPConnection) -> bool:
    """Return whether a request came over plain HTTP, to us or to a trusted proxy."""
    return connection.base_url.scheme == "http"


def is_own_machine(connection: HTTPConnection) -> bool:
    """Return whether the browser runs on the machine that it asked, by the name it asked for."""
    return is_this_machine(connection.base_url.hostname or "")
