"""Say that the gateway is there, in both of Airbyte's ways. Nobody needs a key for it."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse

from gateway.web.responses import JSONAnswer


async def show_health(_request: Request) -> PlainTextResponse:
    """Answer as Airbyte's public API does: Airflow tests a connection by it."""
    return PlainTextResponse("Successful operation", headers={"Cache-Control": "private, no-store"})


async def show_availability(_request: Request) -> JSONAnswer:
    """Answer as the Config API does: Prefect asks before each run."""
    return JSONAnswer({"available": True})
