"""Answers that are given before the application is asked: as bytes, each with a request id and a trace in the log.

Unauthenticated clients cause them at any rate, so not each has a line: what has none is counted, and one line a second
says how many there were and between which ids theirs are. Nothing that a caller sent is in any of it.
"""

import asyncio
import secrets
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

import structlog
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp

from gateway.errors import ApiError, Overloaded
from gateway.telemetry.log import write_line
from gateway.web.compatible_paths import ErrorForm, form_of
from gateway.web.responses import (
    CONTENT_TYPE,
    NO_STORE,
    Headers,
    JSONAnswer,
    encode,
    error_content,
    raw_answer,
    raw_error_answer,
)
from gateway.web.server.request_head import told_path

HEALTH_PATH = "/healthz"
HEALTHY = {"status": "ok"}
ROUTE = "unparsed"
TOO_MANY_CONNECTIONS = "connections"
LINES_EACH_SECOND = 5
REQUEST_ID = b"x-request-id"
ID_NUMBER = b"{number}"

BUSY_PAGE = (
    b'<!doctype html><html lang="en"><meta charset="utf-8"><title>Service is busy</title>'
    b"<h1>Service is busy</h1><p>Wait a second and load this page again.</p></html>"
)
"""Without a style: it is sent when there is no time for more."""

log = structlog.get_logger()


class ResponseObserver(Protocol):
    """Counts requests, and why some were shed."""

    def observe(self, method: str, route: str, status: int, seconds: float) -> None: ...

    def count_shed(self, reason: str) -> None: ...


class EarlyResponseLog(Protocol):
    """Counts a request that was answered at once, writes its line, and returns the headers its answer has to carry."""

    def note(self, scope: MutableMapping[str, Any], route: str, status: int) -> Headers: ...


class Ids:
    """A random beginning and a number that counts up; and up to which number the log has told of them."""

    def __init__(self) -> None:
        self.beginning = secrets.token_hex(4)
        self.given = 0
        self.told = 0

    def take(self) -> str:
        """Return the next id for a request that is answered before it has one."""
        self.given += 1
        return self._text(self.given)

    def tell(self) -> dict[str, Any]:
        """Return the fields of a line about all that the log has not told of; empty if there are none."""
        first, self.told = self.told + 1, self.given
        count = self.given - first + 1
        names = {"first_request_id": self._text(first), "last_request_id": self._text(self.given)}
        return {"count": count, **names} if count else {}

    def _text(self, number: int) -> str:
        return f"{self.beginning}{number:08x}"


class EarlyResponses:
    """Makes the early responses of one process, and counts and logs them. For one event loop."""

    def __init__(self, observer: ResponseObserver | None = None, request_log: EarlyResponseLog | None = None) -> None:
        self._observer = observer
        self._request_log = request_log
        self._refused = Ids()
        self._shed = Ids()
        self._default_headers: Headers = []
        self._shed_parts: dict[ErrorForm, tuple[bytes, bytes]] = {}
        """What comes before the number, and after it."""
        self._is_second_begun = False
        self._lines = 0

    def final_answer(
        self, error: ApiError, method: str, default_headers: Headers, *, target: bytes = b"", address: str = ""
    ) -> bytes:
        """Return the last answer of a socket connection; `method` is `-` where there is no request, or not yet.

        `target` is what has come of the request's, `address` the peer's: what a proxy says of its caller may not have
        come.
        """
        self._begin_second()
        request_id = self._refused.take()
        if self._observer is not None:
            self._observer.observe(method, ROUTE, error.status, 0.0)
        if self._lines < LINES_EACH_SECOND:
            self._lines += 1
            fields = {"request_id": request_id, "method": method, "route": ROUTE, "status": error.status}
            write_line("request", {**fields, "address": address, "error": error.message})
            self._refused.told = self._refused.given
        form = form_of(method, told_path(target))
        return raw_error_answer(error, [*default_headers, (REQUEST_ID, request_id.encode("ascii"))], form=form)

    def note_closed(self) -> None:
        """Count a socket connection that is closed unread, because there are too many of them."""
        if self._observer is not None:
            self._observer.count_shed(TOO_MANY_CONNECTIONS)

    def shed(self, default_headers: Headers, form: ErrorForm = "own") -> bytes:
        """Return the answer to a request that is one too many; the socket connection stays.

        All but the id's number is made once for each new set of the server's own headers: once a second.
        """
        if default_headers is not self._default_headers:
            self._default_headers = default_headers
            self._shed_parts = {}
        parts = self._shed_parts.get(form)
        if parts is None:
            name = (REQUEST_ID, self._shed.beginning.encode("ascii") + ID_NUMBER)
            whole = raw_error_answer(Overloaded(), [*default_headers, name], ends=False, form=form, page=BUSY_PAGE)
            before, _, after = whole.partition(ID_NUMBER)
            parts = self._shed_parts[form] = (before, after)
        self._begin_second()
        self._shed.given += 1
        before, after = parts
        return b"%b%08x%b" % (before, self._shed.given, after)

    def healthy(self, scope: MutableMapping[str, Any], default_headers: Headers) -> bytes:
        """Return what the application would answer to a request for `/healthz`, and log the request as it would."""
        headers = self._request_log.note(scope, HEALTH_PATH, HTTPStatus.OK) if self._request_log else []
        body = encode(HEALTHY)
        length = (b"content-length", b"%d" % len(body))
        all_headers = [*default_headers, CONTENT_TYPE, length, NO_STORE, *headers]
        return raw_answer(HTTPStatus.OK, all_headers, b"" if scope["method"] == "HEAD" else body)

    def shed_answer(self, form: ErrorForm = "own") -> ASGIApp:
        """Return the answer to a request that is shed after it came as far as ASGI."""
        self._begin_second()
        error = Overloaded()
        headers = {**error.headers, "X-Request-Id": self._shed.take()}
        if form == "page":
            headers["Cache-Control"] = "private, no-store"
            return HTMLResponse(BUSY_PAGE, status_code=error.status, headers=headers)
        return JSONAnswer(error_content(error.status, error.message, form), status=error.status, headers=headers)

    def _begin_second(self) -> None:
        if not self._is_second_begun:
            self._is_second_begun = True
            asyncio.get_running_loop().call_later(1.0, self.tell)

    def tell(self) -> None:
        """Log what the log does not tell of yet: after each second that had any, and at the end."""
        self._is_second_begun = False
        self._lines = 0
        if untold := self._refused.tell():
            log.info("requests_refused_unlogged", **untold)
        if untold := self._shed.tell():
            log.warning("requests_shed", **untold)
