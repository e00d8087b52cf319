"""Serve GET /openapi.json, the description of the public API."""

from starlette.requests import Request

from gateway.api.openapi import build_openapi
from gateway.services import services_of
from gateway.web.responses import JSONAnswer


async def show_openapi(request: Request) -> JSONAnswer:
    """Answer with the document, for this gateway's public URL and default limit."""
    services = services_of(request)
    public_url = services.settings.server.public_url
    return JSONAnswer(build_openapi(server_url=public_url.rstrip("/") or "/", rate=services.limiter.default))
