"""Seal where a list goes on, so that a client can pass it on and read nothing from it.

A list of all of a client's jobs is read through workspaces that may be other clients' too: it may go on at the second
of somebody else's job.
"""

import base64
import hmac
import re
from collections.abc import Callable
from hashlib import blake2b

import msgspec

from gateway.errors import BadRequest, PageNotFound
from gateway.syncs.cursor import INVALID_CURSOR, Position

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_NUMBER_BYTES = 8
_POSITION_BYTES = 2 * _NUMBER_BYTES
_BLOCK_BYTES = 16
SEALED_PATTERN = "[A-Za-z0-9_-]{59}"
_SEALED = re.compile(SEALED_PATTERN)


class SealedCursor(msgspec.Struct, frozen=True):
    """A position as a client gets it. Its text needs no escaping in a URL."""

    text: str

    def encode(self) -> str:
        """Return the text for a link, which needs no escaping."""
        return self.text


class CursorSeal:
    """Encrypts and authenticates texts, each for one client, by keyed BLAKE2b (RFC 7693): encrypt, then tag."""

    def __init__(self, key: bytes, new_nonce: Callable[[int], bytes]) -> None:
        """`new_nonce` returns so many random bytes: two cursors of one position must not be alike, or they tell it."""
        self._key = key
        self._new_nonce = new_nonce

    def seal(self, client_id: int, position: Position) -> SealedCursor:
        """Return the position, readable for nobody and good for this client."""
        plain = position.second.to_bytes(_NUMBER_BYTES) + position.job_id.to_bytes(_NUMBER_BYTES)
        return SealedCursor(self.seal_bytes(client_id, plain))

    def open(self, client_id: int, text: str) -> Position:
        """Return the position that was sealed as `text` for the client.

        Raises BadRequest for what has not the form of one, PageNotFound for one that was not sealed for the client.
        """
        if _SEALED.fullmatch(text) is None:
            raise BadRequest(INVALID_CURSOR)
        try:
            plain = self.open_bytes(client_id, text)
        except BadRequest:
            raise PageNotFound from None
        return Position(int.from_bytes(plain[:_NUMBER_BYTES]), int.from_bytes(plain[_NUMBER_BYTES:]))

    def seal_bytes(self, client_id: int, plain: bytes) -> str:
        """Return any bytes as a text, readable for nobody and good for this client."""
        nonce = self._new_nonce(_NONCE_BYTES)
        body = nonce + self._crypted(nonce, plain)
        return base64.urlsafe_b64encode(body + self._tag(client_id, body)).decode().rstrip("=")

    def open_bytes(self, client_id: int, text: str) -> bytes:
        """Return the bytes that were sealed as `text` for the client. Raises BadRequest if none were."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise BadRequest(INVALID_CURSOR) from None
        body, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
        if "=" in text or len(body) < _NONCE_BYTES or not hmac.compare_digest(tag, self._tag(client_id, body)):
            raise BadRequest(INVALID_CURSOR)
        return self._crypted(body[:_NONCE_BYTES], body[_NONCE_BYTES:])

    def _crypted(self, nonce: bytes, text: bytes) -> bytes:
        """Return the text encrypted, or decrypted: the same bytes are added to it, which are new with each nonce."""
        blocks = range(-(-len(text) // _BLOCK_BYTES))
        stream = b"".join(self._block(nonce, number) for number in blocks)
        return bytes(one ^ other for one, other in zip(text, stream, strict=False))

    def _block(self, nonce: bytes, number: int) -> bytes:
        salt = number.to_bytes(_NUMBER_BYTES)
        return blake2b(nonce, key=self._key, person=b"cursor stream", salt=salt, digest_size=_BLOCK_BYTES).digest()

    def _tag(self, client_id: int, body: bytes) -> bytes:
        said = client_id.to_bytes(_NUMBER_BYTES) + body
        return blake2b(said, key=self._key, person=b"cursor tag", digest_size=_TAG_BYTES).digest()
