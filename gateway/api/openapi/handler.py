"""Serve GET /openapi.json, the description of the public API."""

from functools import lru_cache

from starlette.requests import Request

from gateway.api.base_url import ANY_URL, base_url
from gateway.api.openapi import build_openapi
from gateway.models import RatePolicy
from gateway.services import services_of
from gateway.web.conditional import ConditionalAnswer
from gateway.web.responses import encode

KEPT_DOCUMENTS = 16
"""A gateway has few names, and a reload may change the limit."""


async def show_openapi(request: Request) -> ConditionalAnswer:
    """Answer with the document, for this gateway's address and default limit."""
    return _document(base_url(request), services_of(request).limiter.default)


@lru_cache(KEPT_DOCUMENTS)
def _document(url: str, rate: RatePolicy) -> ConditionalAnswer:
    """Return the document for an address. A new one is cheap: whoever sends many hosts has not each made anew."""
    return ConditionalAnswer(_body(rate).replace(ANY_URL.encode(), encode(url)[1:-1]), content_type="application/json")


@lru_cache(KEPT_DOCUMENTS)
def _body(rate: RatePolicy) -> bytes:
    return encode(build_openapi(server_url=ANY_URL, rate=rate))
