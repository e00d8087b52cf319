"""Gives each request an id, adds what every answer carries, and writes the request's one line when it is over."""

import re
from collections.abc import Callable, MutableMapping
from time import perf_counter
from typing import Any, Protocol

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.auth.keys import PREFIX
from gateway.telemetry.log import WriteLine
from gateway.telemetry.trace_context import Trace, carry, read_traceparent
from gateway.web.caller import client_address
from gateway.web.request_context import SCOPE_KEY, RequestContext
from gateway.web.responses import Headers

SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""A request id from outside is taken only if it cannot forge a line or a header."""
KEY_PREFIX = PREFIX.encode("ascii")
"""A key sent as an id by mistake must not reach the log."""
FIRST_FAILURE = 400
ATTRIBUTES = {
    "method": "http.request.method",
    "route": "http.route",
    "address": "client.address",
    "request_id": "gateway.request_id",
    "client": "gateway.client",
    "key": "gateway.key",
    "program": "user_agent.name",
    "upstream": "gateway.upstream",
    "upstream_ms": "gateway.upstream_ms",
}
"""A field of the line → an attribute of the span."""


class RequestObserver(Protocol):
    """Counts requests, those of each client, and those that say through nobody we trust where they come from."""

    def observe(self, method: str, route: str, status: int, seconds: float) -> None: ...

    def observe_client(self, client: str, status: int) -> None: ...

    def count_forwarded_untrusted(self) -> None: ...


class FailureCounter(Protocol):
    """Counts calls of keys that came in at `moment`, Unix time, and were not answered well."""

    def count_failure(self, key_id: str, moment: float, status: int) -> None: ...


class RequestSpan(Protocol):
    """The span of a request under way."""

    @property
    def trace(self) -> Trace: ...

    def end(self, name: str, status: int, attributes: dict[str, Any]) -> None: ...


class Tracing(Protocol):
    """Begins the span of a request, in its caller's trace or in a new one."""

    def begin(self, parent: Trace | None) -> RequestSpan: ...


class RequestLog:
    """What each request is given when it comes in, and leaves behind when it is over."""

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        observer: RequestObserver,
        failures: FailureCounter,
        write_line: WriteLine,
        tracing: Tracing | None = None,
    ) -> None:
        self._new_id = new_id
        self._observer = observer
        self._failures = failures
        self._write_line = write_line
        self._tracing = tracing

    def begin(self, scope: MutableMapping[str, Any]) -> tuple[RequestContext, RequestSpan | None]:
        """Return the request's context, and its span if it is traced."""
        context = self._new_context(scope)
        span = None
        if self._tracing is not None:
            span = self._tracing.begin(context.trace)
            context.trace = span.trace
        return context, span

    def end(
        self, scope: MutableMapping[str, Any], context: RequestContext, span: RequestSpan | None, seconds: float
    ) -> None:
        """Count the request that took so long, end its span and write its line."""
        fields = self._finish(scope, context, seconds)
        if span is not None:
            span.end(f"{fields['method']} {fields['route']}", fields["status"], _attributes(fields))
        self._write_line("request", fields)

    def note(self, scope: MutableMapping[str, Any], route: str, status: int) -> Headers:
        """Begin and end a request that is answered at once; return the headers its answer has to carry."""
        context, span = self.begin(scope)
        context.route, context.status = route, status
        self.end(scope, context, span, 0.0)
        return context.headers

    def _new_context(self, scope: MutableMapping[str, Any]) -> RequestContext:
        request_id, forwarded_for, traceparent = "", b"", b""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                if not request_id and SAFE_ID.fullmatch(value) and KEY_PREFIX not in value:
                    request_id = str(value, "ascii")
            elif name == b"x-forwarded-for":
                forwarded_for += value
            elif name == b"traceparent":
                # Two of them make one that is malformed.
                traceparent += value
        if forwarded_for and not _is_believed(scope, forwarded_for):
            self._observer.count_forwarded_untrusted()
        context = RequestContext(request_id or self._new_id())
        if traceparent:
            context.trace = read_traceparent(traceparent)
        return context

    def _finish(self, scope: MutableMapping[str, Any], context: RequestContext, seconds: float) -> dict[str, Any]:
        """Count the request, and return the fields of its line."""
        route = context.route or page_template(scope)
        status = context.status or 499
        self._observer.observe(scope["method"], route, status, seconds)
        fields: dict[str, Any] = {
            "request_id": context.request_id,
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1e6) / 1e3,
            "address": client_address(scope),
        }
        if context.trace is not None:
            fields["trace_id"] = context.trace.trace_id
        if context.client is not None:
            self._observer.observe_client(context.client, status)
        if context.key_id is not None:
            if status >= FIRST_FAILURE:
                self._failures.count_failure(context.key_id, context.key_used_at, status)
            fields["client"] = context.client
            fields["key"] = context.key_id
        if context.program:
            fields["program"] = context.program
        if context.upstream_outcome is not None:
            fields["upstream_ms"] = context.upstream_ms
            fields["upstream"] = context.upstream_outcome
        return fields


class RequestLogMiddleware:
    """Outermost. A request that ends without an answer is logged with status 499: its caller left."""

    def __init__(self, app: ASGIApp, *, request_log: RequestLog) -> None:
        self._app = app
        self._log = request_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context, span = self._log.begin(scope)
        scope[SCOPE_KEY] = context
        carry(context.trace)
        started = perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                message["headers"] = [*message["headers"], *context.headers]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._log.end(scope, context, span, perf_counter() - started)


def _attributes(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the line's fields by the names that OpenTelemetry has for them, or ours."""
    return {name: fields[field] for field, name in ATTRIBUTES.items() if field in fields}


def _is_believed(scope: Scope, forwarded_for: bytes) -> bool:
    """Return whether a trusted proxy sent it: then, and only then, the server took the caller's address out of it."""
    client = scope.get("client")
    return client is None or client[0].encode() in forwarded_for


def page_template(scope: Scope) -> str:
    """Return the template of a page's path, such as `/docs/{page}`: there are few, and no caller wrote them."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else "unmatched"
