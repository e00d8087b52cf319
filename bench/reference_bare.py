"""The least a JSON route can cost here: Starlette, one handler, one small object.

Run by `uvicorn bench.reference_bare:app`.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def show_status(_request: Request) -> JSONResponse:
    return JSONResponse(
        {
            "client": {"name": "Acme Inc", "slug": "acme", "plan": "free", "created_at": "2026-04-01T03:00:00.000Z"},
            "connections": 1000,
            "last_sync_at": None,
        }
    )


app = Starlette(routes=[Route("/status", show_status)])
