"""Two tenants of one Airbyte, and calls as their programs make them."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2

from gateway.provisioning.keys import NewKey
from gateway.web.compatible_paths import PUBLIC_API
from tests.support import BOUND_SECONDS, World, bearer

NOBODYS = "00000000-0000-4000-8000-00000000beef"
PROBLEM_KEYS = ["status", "type", "title", "detail"]


@dataclass
class Tenant:
    """A client with a key and a connection that is Airbyte's `airbyte_id`."""

    world: World
    key: NewKey
    connection_id: str
    airbyte_id: str

    async def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Call the public API with the key as bearer token."""
        return await self.world.http.request(method, PUBLIC_API + path, headers=bearer(self.key), **options)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.call("GET", path, **options)

    async def config(self, path: str, **content: object) -> httpx2.Response:
        """Call the Config API."""
        return await self.world.http.post(f"/api/v1{path}", headers=bearer(self.key), json=content)

    async def trigger(self) -> httpx2.Response:
        return await self.call("POST", "/jobs", json={"connectionId": self.airbyte_id, "jobType": "sync"})

    async def new_job(self) -> int:
        """Start a sync, and return its id; repeat the call where a gateway lets nobody wait."""
        async with asyncio.timeout(BOUND_SECONDS):
            while (answer := await self.trigger()).status_code == HTTPStatus.GATEWAY_TIMEOUT:
                pass
        assert answer.status_code == 200, answer.text
        return int(answer.json()["jobId"])


async def tenant(world: World, slug: str = "acme", **key: Any) -> Tenant:
    """A new client with one mapped connection."""
    made = await world.client_with_key(slug, **key)
    ours, theirs = await world.mapped_connection(slug)
    return Tenant(world, made, ours, theirs)


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


def assert_problem(answer: httpx2.Response, status: int, detail: str) -> None:
    """The answer has the shape of Airbyte's errors, and our sentence."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    problem = answer.json()
    assert list(problem) == PROBLEM_KEYS
    assert (problem["status"], problem["detail"]) == (status, detail)


def sent(world: World, method: str) -> list[str]:
    """Paths that Airbyte was asked for by this method."""
    return [each.path for each in world.sandbox.requests if each.method == method and "token" not in each.path]


async def limit_calls(world: World, rate: str, slug: str = "acme") -> None:
    """Let all keys of a client make so many calls."""
    await world.services.clients.update(
        slug, name=slug.title(), plan="free", rate=None, rate_total=rate, most_keys=None
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


async def waiting_poll(acme: Tenant, job_id: int) -> asyncio.Task[httpx2.Response]:
    """A poll that waits for the end of the job."""
    before = len(acme.world.services.syncs.watcher)
    task = asyncio.create_task(acme.get(f"/jobs/{job_id}"))
    await until(lambda: len(acme.world.services.syncs.watcher) == before + 1)
    return task
