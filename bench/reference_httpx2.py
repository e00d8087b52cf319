"""The proxy a careful team writes by hand: Starlette, one shared httpx2 client, Airbyte's jobs in the gateway's shape.

Run by `uvicorn bench.reference_httpx2:app` with AIRBYTE_URL in the environment.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

AIRBYTE_URL = os.environ["AIRBYTE_URL"]


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer token"}) as client:
        app.state.client = client
        yield


async def list_jobs(request: Request) -> JSONResponse:
    client: httpx2.AsyncClient = request.app.state.client
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
    answer.raise_for_status()
    return JSONResponse({"data": [view(job) for job in answer.json()["data"]]})


def view(job: dict[str, Any]) -> dict[str, Any]:
    return {
        "jobId": job["jobId"],
        "connectionId": job["connectionId"],
        "status": job["status"],
        "jobType": job["jobType"],
        "startTime": milliseconds(job["startTime"]) if "startTime" in job else None,
        "bytesSynced": job.get("bytesSynced"),
        "rowsSynced": job.get("rowsSynced"),
        "duration": job.get("duration"),
    }


def milliseconds(time: str) -> str:
    return datetime.fromisoformat(time).isoformat(timespec="milliseconds").replace("+00:00", "Z")


app = Starlette(lifespan=lifespan, routes=[Route("/connections/{id}/jobs", list_jobs)])
