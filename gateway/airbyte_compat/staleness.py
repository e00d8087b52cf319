"""Say on an answer that it has not all, or not the latest: `Warning`, as our own API says it."""

from collections.abc import Mapping

from starlette.requests import Request

from gateway.api.staleness import staleness_headers
from gateway.services import services_of


def staleness_of(request: Request, *, is_fresh: bool) -> Mapping[str, str]:
    """Return the headers to add, and count an answer that has any."""
    return staleness_headers(is_fresh=is_fresh, count_stale=services_of(request).metrics.count_stale)
