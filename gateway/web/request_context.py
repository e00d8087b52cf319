"""What is learnt of one request on its way, for its log line and the metrics. Lives in the ASGI scope."""

from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import Any

from gateway.errors import UpstreamError
from gateway.telemetry.trace_context import Trace

SCOPE_KEY = "gateway.request_context"


class RequestContext:
    """Filled in by middleware and handlers as they learn."""

    # The values of all new contexts; where one is learnt, it becomes the context's own.
    status = 0
    """0 until an answer begins."""
    route: str | None = None
    """The template of the API route, such as `/api/v1/connections/{id}/jobs`."""
    client: str | None = None
    key_id: str | None = None
    program: str | None = None
    """The caller's, where programs tell more of him than his key: on paths that are compatible with Airbyte's."""
    key_used_at = 0.0
    """Unix time; of no meaning while there is no key."""
    upstream_ms: float | None = None
    upstream_outcome: str | None = None
    trace: Trace | None = None
    """What W3C's `traceparent` said, if it was sent."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.headers = [(b"x-request-id", request_id.encode("ascii"))]
        """What every answer to this request carries, whoever produces it."""

    @property
    def has_asked_airbyte(self) -> bool:
        """Whether the request got as far as waiting for Airbyte, whatever came of it."""
        return self.upstream_ms is not None


def upstream_timing(scope: Any) -> AbstractContextManager[None]:
    """Return what notes, once left, how long the request waited for Airbyte and what came of it."""
    return _UpstreamTiming(scope[SCOPE_KEY])


class _UpstreamTiming:
    __slots__ = ("_context", "_started")

    def __init__(self, context: RequestContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context = self._context
        if error is None:
            context.upstream_outcome = "ok"
        elif isinstance(error, UpstreamError):
            context.upstream_outcome = error.outcome
        context.upstream_ms = round((perf_counter() - self._started) * 1000, 3)
