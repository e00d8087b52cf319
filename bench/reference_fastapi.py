"""A rate-limited JSON route as the manuals of FastAPI and slowapi show it, one limit for each key.

Run by `uvicorn bench.reference_fastapi:app`.
"""

from typing import Any

from fastapi import FastAPI, Request, Response
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded


def api_key(request: Request) -> str:
    """Return whose calls are counted together."""
    key: str = request.headers.get("authorization", "")
    return key


limiter = Limiter(key_func=api_key, headers_enabled=True)
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)


@app.get("/status")
@limiter.limit("1000000000/minute")
async def show_status(request: Request, response: Response) -> dict[str, Any]:  # noqa: ARG001 - slowapi wants both
    """Answer as a status does."""
    return {
        "client": {"name": "Acme Inc", "slug": "acme", "plan": "free", "created_at": "2026-04-01T03:00:00.000Z"},
        "connections": 1000,
        "last_sync_at": None,
    }
