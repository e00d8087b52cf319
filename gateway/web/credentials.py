"""The API key that a request carries, and which keys were good when they were last used."""

import binascii
from base64 import b64decode

from starlette.types import Scope

from gateway.auth import keys
from gateway.errors import Unauthorized
from gateway.web.compatible_paths import is_compatible

DIGEST_KEY = "gateway.key_digest"
PRESENTED_KEY = "gateway.presented_key"
"""The key that came otherwise than as a bearer token, and"""
CLAIMED_ID_KEY = "gateway.claimed_key_id"
"""the id that came with it, which must be that key's."""
MOST_KNOWN = 100_000


class KnownKeys:
    """Which keys were good when last used, and whose: what can be told of a caller at no cost.

    No proof: a key may have ended since. It decides who begins first, never who is let in.
    """

    def __init__(self) -> None:
        self._clients: dict[bytes, int] = {}

    def client_of(self, digest: bytes) -> int | None:
        """Return the id of the key's client; None for a key that is not known to be good."""
        return self._clients.get(digest)

    def note_good(self, digest: bytes, client_id: int) -> None:
        """Note that the key was good just now. Beyond the most there may be, the oldest is forgotten."""
        if digest in self._clients:
            return
        self._clients[digest] = client_id
        if len(self._clients) > MOST_KNOWN:
            del self._clients[next(iter(self._clients))]

    def forget(self, digest: bytes) -> None:
        """Note that the key is good no more."""
        self._clients.pop(digest, None)


def digest_of(scope: Scope) -> bytes:
    """Return the digest of the key, computed once for a request. Raises Unauthorized for no key, and for two."""
    digest: bytes | None = scope.get(DIGEST_KEY)
    if digest is None:
        digest = scope[DIGEST_KEY] = keys.digest(presented_key(scope))
    return digest


def present(scope: Scope, key_id: str, key: str) -> None:
    """Have the request carry a key and the id that is said to be its own, whatever its headers say."""
    scope[CLAIMED_ID_KEY], scope[PRESENTED_KEY] = key_id, key
    scope.pop(DIGEST_KEY, None)


def claim(scope: Scope, key_id: str) -> None:
    """Have the request carry the id that is said to be its key's own, unless the key came with one."""
    scope.setdefault(CLAIMED_ID_KEY, key_id)


def presented_key(scope: Scope) -> str:
    """Return the key of the one `Authorization` header. Raises Unauthorized for none, and for two.

    It is a bearer token; on paths that are compatible with Airbyte's it may be a password beside the key's id.
    """
    if PRESENTED_KEY in scope:
        key: str = scope[PRESENTED_KEY]
        return key
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None:
                raise Unauthorized(credentials_sent=True)
            found = value
    if found is None:
        raise Unauthorized(credentials_sent=False)
    scheme, _, token = found.partition(b" ")
    if scheme.lower() == b"bearer":
        # A key is often pasted or read from a file with what ends its line.
        return token.strip(b" \t\r\n").decode("latin-1")
    if scheme.lower() == b"basic" and is_compatible(scope["method"], scope["path"]):
        present(scope, *_read_basic(token))
        return presented_key(scope)
    raise Unauthorized(credentials_sent=True)


def _read_basic(token: bytes) -> tuple[str, str]:
    """Return user and password (RFC 7617). Raises Unauthorized if it is malformed."""
    try:
        text = b64decode(token.strip(b" \t\r\n"), validate=True).decode("latin-1")
    except binascii.Error:
        raise Unauthorized(credentials_sent=True) from None
    user, _, password = text.partition(":")
    return user, password.strip(" \t\r\n")
