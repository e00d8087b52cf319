"""The proxy most people write by hand: Starlette, one shared httpx client, Airbyte's answer handed on unread.

Run by `uvicorn bench.reference_httpx:app` with AIRBYTE_URL in the environment.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

AIRBYTE_URL = os.environ["AIRBYTE_URL"]


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with httpx.AsyncClient(headers={"Authorization": "Bearer token"}) as client:
        app.state.client = client
        yield


async def list_jobs(request: Request) -> Response:
    client: httpx.AsyncClient = request.app.state.client
    answer = await client.get(
        f"{AIRBYTE_URL}/jobs",
        params={
            "connectionId": request.path_params["id"],
            "orderBy": "createdAt|DESC",
            "limit": "20",
            "offset": "0",
            "jobType": "sync",
        },
    )
    return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])


app = Starlette(lifespan=lifespan, routes=[Route("/connections/{id}/jobs", list_jobs)])
