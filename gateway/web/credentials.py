"""The API key that a request carries, and which keys were good when they were last used."""

from starlette.types import Scope

from gateway.auth import keys
from gateway.errors import Unauthorized

DIGEST_KEY = "gateway.key_digest"
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
        if digest in self._clients:
            return
        self._clients[digest] = client_id
        if len(self._clients) > MOST_KNOWN:
            del self._clients[next(iter(self._clients))]

    def forget(self, digest: bytes) -> None:
        self._clients.pop(digest, None)


def digest_of(scope: Scope) -> bytes:
    """Return the digest of the key, computed once for a request. Raises Unauthorized for no key, and for two."""
    digest: bytes | None = scope.get(DIGEST_KEY)
    if digest is None:
        digest = scope[DIGEST_KEY] = keys.digest(bearer_key(scope))
    return digest


def bearer_key(scope: Scope) -> str:
    """Return the token of the one `Authorization: Bearer` header. Raises Unauthorized for none, and for two."""
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None:
                raise Unauthorized(credentials_sent=True)
            found = value
    if found is None:
        raise Unauthorized(credentials_sent=False)
    scheme, _, token = found.partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthorized(credentials_sent=True)
    # A key is often pasted or read from a file with what ends its line.
    return token.strip(b" \t\r\n").decode("latin-1")
