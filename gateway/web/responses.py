"""Answers as bytes: JSON, with the headers every API answer has, and nothing computed twice.

An error has the form that its reader expects: ours, a page, or the problem (RFC 9457) that clients of Airbyte read.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from gateway.errors import ApiError
from gateway.web.compatible_paths import ErrorForm, title_of

CONTENT_TYPE = (b"content-type", b"application/json")
PAGE_TYPE = (b"content-type", b"text/html; charset=utf-8")
NO_STORE = (b"cache-control", b"private, no-store")

KEPT_ERRORS = 256
"""Whoever is refused is often refused again, and in the same words."""

Headers = list[tuple[bytes, bytes]]

encode = msgspec.json.Encoder().encode


class JSONAnswer:
    """A JSON body with a status; an ASGI application like Starlette's responses, without their general machinery."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._status = status
        self._body = encode(content)
        self._headers = [
            CONTENT_TYPE,
            (b"content-length", b"%d" % len(self._body)),
            NO_STORE,
        ]
        if headers:
            self._headers += [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
            ]

    def as_bytes(self, default_headers: Headers, more_headers: Headers) -> bytes:
        """Return the whole answer, as the server writes it for one that the application sends."""
        return raw_answer(self._status, [*default_headers, *self._headers, *more_headers], self._body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        body = b"" if scope["method"] == "HEAD" else self._body
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": body})


def error_answer(error: ApiError, form: ErrorForm = "own") -> JSONAnswer:
    """Return an error as JSON, in the one shape of all our errors or as a problem."""
    return _error_answer(error.status, error.message, form, *error.headers.items())


@lru_cache(KEPT_ERRORS)
def _error_answer(status: int, message: str, form: ErrorForm, *headers: tuple[str, str]) -> JSONAnswer:
    return JSONAnswer(error_content(status, message, form), status=status, headers=dict(headers))


def error_content(status: int, message: str, form: ErrorForm) -> dict[str, object]:
    """Return what the JSON of an error holds."""
    if form != "problem":
        return {"error": message}
    return {"status": status, "type": "about:blank", "title": title_of(status), "detail": message}


def raw_error_answer(
    error: ApiError, default_headers: Headers, *, ends: bool = True, form: ErrorForm = "own", page: bytes = b""
) -> bytes:
    """Return a whole answer, as the application would give it; by default the socket connection's last.

    People read the `page`, if that is the form.
    """
    content_type = PAGE_TYPE if form == "page" else CONTENT_TYPE
    body = page if form == "page" else encode(error_content(error.status, error.message, form))
    headers = [
        *default_headers,
        content_type,
        (b"content-length", b"%d" % len(body)),
        NO_STORE,
        *((name.lower().encode("ascii"), value.encode("ascii")) for name, value in error.headers.items()),
        *([(b"connection", b"close")] if ends else []),
    ]
    return raw_answer(error.status, headers, body)


def raw_answer(status: int, headers: Headers, body: bytes) -> bytes:
    """Return a whole answer as it goes over the wire."""
    return b"%b\r\n%b\r\n\r\n%b" % (_status_line(status), b"\r\n".join(map(b": ".join, headers)), body)


@cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode("ascii")
