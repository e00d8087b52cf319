"""What is learnt of one request on its way, for its log line and the metrics. Lives in the ASGI scope."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from gateway.errors import UpstreamError

SCOPE_KEY = "gateway.record"


class RequestRecord:
    """Filled in by middleware and handlers as they learn."""

    __slots__ = (
        "client",
        "headers",
        "key_id",
        "key_used_at",
        "request_id",
        "route",
        "status",
        "upstream_ms",
        "upstream_outcome",
    )

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.headers = [(b"x-request-id", request_id.encode("ascii"))]
        """What every answer to this request carries, whoever produces it."""
        self.status = 0
        """0 until an answer begins."""
        self.route: str | None = None
        """The template of the API route, such as `/api/v1/connections/{id}/jobs`."""
        self.client: str | None = None
        self.key_id: str | None = None
        self.key_used_at = 0.0
        """Unix time; of no meaning while there is no key."""
        self.upstream_ms: float | None = None
        self.upstream_outcome: str | None = None


@contextmanager
def upstream_timing(scope: Any) -> Iterator[None]:
    """Note how long the request waited for Airbyte and what came of it."""
    record: RequestRecord = scope[SCOPE_KEY]
    started = perf_counter()
    try:
        yield
        record.upstream_outcome = "ok"
    except UpstreamError as error:
        record.upstream_outcome = error.outcome
        raise
    finally:
        record.upstream_ms = round((perf_counter() - started) * 1000, 3)
