"""Answer with what is rendered once and asked for by many: whoever has it already is told so (RFC 9110 §13)."""

import hashlib
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

REVALIDATED = (b"cache-control", b"no-cache")
"""May be kept, but not used without asking: a change shows at once, and a proxy shows nobody another's page."""
IF_NONE_MATCH = b"if-none-match"


class ConditionalAnswer:
    """A body with a strong ETag. An ASGI application for GET and HEAD, which may be called any number of times."""

    __slots__ = ("_body", "_etag", "_head", "_unchanged")

    def __init__(self, body: bytes, *, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self._body = body
        self._etag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode("ascii")
        self._unchanged: Headers = [
            (b"etag", self._etag),
            REVALIDATED,
            *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()),
        ]
        self._head: Headers = [
            (b"content-type", content_type.encode("latin-1")),
            (b"content-length", b"%d" % len(body)),
            *self._unchanged,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        is_known = any(name == IF_NONE_MATCH and self._is_named_in(value) for name, value in scope["headers"])
        status, headers = (304, self._unchanged) if is_known else (200, self._head)
        body = b"" if is_known or scope["method"] == "HEAD" else self._body
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _is_named_in(self, tags: bytes) -> bool:
        """Compare weakly (§13.1.2): a proxy that compresses makes a strong tag weak. No tag has quotes within."""
        return self._etag in tags or tags.strip() == b"*"
