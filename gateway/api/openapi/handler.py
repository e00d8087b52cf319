"""Serve GET /openapi.json, the description of the public API."""

from functools import lru_cache

from starlette.requests import Request

from gateway.api.openapi import build_openapi
from gateway.models import RatePolicy
from gateway.services import services_of
from gateway.web.conditional import ConditionalAnswer
from gateway.web.responses import encode

KEPT_DOCUMENTS = 4
"""A reload may change the limit."""


async def show_openapi(request: Request) -> ConditionalAnswer:
    """Answer with the document, for this gateway's public URL and default limit."""
    services = services_of(request)
    public_url = services.settings.server.public_url
    return _document(public_url.rstrip("/") or "/", services.limiter.default)


@lru_cache(KEPT_DOCUMENTS)
def _document(server_url: str, rate: RatePolicy) -> ConditionalAnswer:
    body = encode(build_openapi(server_url=server_url, rate=rate))
    return ConditionalAnswer(body, content_type="application/json")
