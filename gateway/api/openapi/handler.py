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
"""A gateway has few addresses, and a reload may change its limit or its name."""


async def show_openapi(request: Request) -> ConditionalAnswer:
    """Answer with the document, for this gateway's address, name and default limit."""
    services = services_of(request)
    brand = services.brand.current
    return _document(base_url(request), services.limiter.default, brand.name, brand.support)


@lru_cache(KEPT_DOCUMENTS)
def _document(url: str, rate: RatePolicy, name: str, support: str) -> ConditionalAnswer:
    """Return the document for an address. A new one is cheap: whoever sends many hosts has not each made anew."""
    body = _body(rate, name, support).replace(ANY_URL.encode(), encode(url)[1:-1])
    return ConditionalAnswer(body, content_type="application/json")


@lru_cache(KEPT_DOCUMENTS)
def _body(rate: RatePolicy, name: str, support: str) -> bytes:
    return encode(build_openapi(server_url=ANY_URL, rate=rate, name=name, support=support))
