"""Bearer tokens shaped like Airbyte's: signed, self-contained, valid until they expire or are revoked."""

import base64
import hashlib
import hmac
from collections.abc import Callable

import orjson

JWT_PARTS = 3


class Tokens:
    """Issues and checks the tokens of one application."""

    def __init__(self, *, clock: Callable[[], float], seed: int) -> None:
        self._clock = clock
        self._seed = seed
        self._generation = 0
        self._serial = 0

    def issue(self, lifetime_seconds: float) -> str:
        """Return a new token, a JWT (RFC 7519)."""
        now = int(self._clock())
        self._serial += 1
        header = {"alg": "HS256", "typ": "JWT"}
        payload = {
            "iss": "http://localhost:8001",
            "aud": "airbyte-server",
            "sub": "00000000-0000-0000-0000-000000000000",
            "jti": str(self._serial),
            "iat": now,
            "exp": int(now + lifetime_seconds),
        }
        claim = f"{_encode(orjson.dumps(header))}.{_encode(orjson.dumps(payload))}"
        return f"{claim}.{self._signature(claim)}"

    def accepts(self, token: str) -> bool:
        """Return whether it is one of ours that has not expired."""
        parts = token.split(".")
        if len(parts) != JWT_PARTS:
            return False
        if not hmac.compare_digest(self._signature(f"{parts[0]}.{parts[1]}").encode(), parts[2].encode()):
            return False
        expiry: int = orjson.loads(_decode(parts[1]))["exp"]
        return self._clock() < expiry

    def revoke(self) -> None:
        """Refuse every token issued so far."""
        self._generation += 1

    def _signature(self, claim: str) -> str:
        key = f"sandbox/{self._seed}/{self._generation}".encode()
        return _encode(hmac.digest(key, claim.encode(), hashlib.sha256))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
