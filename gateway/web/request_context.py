"""What is learnt of one request on its way, for its log line and the metrics. Lives in the ASGI scope."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
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


@contextmanager
def upstream_timing(scope: Any) -> Iterator[None]:
    """Note how long the request waited for Airbyte and what came of it."""
    context: RequestContext = scope[SCOPE_KEY]
    started = perf_counter()
    try:
        yield
        context.upstream_outcome = "ok"
    except UpstreamError as error:
        context.upstream_outcome = error.outcome
        raise
    finally:
        context.upstream_ms = round((perf_counter() - started) * 1000, 3)
