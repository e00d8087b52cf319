"""Routes of the server itself: health, instance configuration, and what answers when nothing else does."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.sandbox.refusals import Hal
from gateway.sandbox.wire import json_answer

SERVER_PATHS = ("/api", "/assets", "/fonts", "/routes", "/scim")
WEBAPP = """<!doctype html>
<html lang="en"><head><title>Airbyte</title></head><body><div id="root"></div></body></html>"""


async def public_health(_: Request) -> Response:
    """Answer with bare text that is labelled JSON."""
    return Response("Successful operation", media_type="application/json")


async def internal_health(_: Request) -> Response:
    """Answer that the server is well."""
    return json_answer({"available": True})


def instance_configuration(auth_mode: str) -> Response:
    """Answer with what tells an Airbyte of its own from a Cloud: its edition and how people sign in."""
    return json_answer(
        {
            "edition": "community",
            "version": "2.0.0",
            "airbyteUrl": "http://localhost:8000",
            "initialSetupComplete": True,
            "defaultOrganizationId": "00000000-0000-0000-0000-000000000000",
            "trackingStrategy": "logging",
            "auth": {"mode": auth_mode},
        }
    )


def nowhere() -> Response:
    """Answer an unknown route without authentication: a 404 whose body is not the JSON it claims to be."""
    return Response("Object not found.", status_code=404, media_type="application/json")


async def rejected(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    """Answer an unknown route with authentication: 403, even to a good token."""
    raise Hal(403)


async def webapp(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any path that the server does not know with the web application: 200, whatever was meant."""
    answer = nowhere() if scope["path"].startswith(SERVER_PATHS) else HTMLResponse(WEBAPP)
    await answer(scope, receive, send)
