"""A sandbox with a clock held in the hand, and a signed-in client for it."""

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from gateway.sandbox import CONFIG_API, PUBLIC_API, Connection, Sandbox

CREDENTIALS = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
NOON = 1_775_044_800.0  # 2026-04-01T12:00:00Z


@dataclass
class Clock:
    """Time moves only when a test moves it."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def connect(sandbox: Sandbox) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=sandbox.app), base_url="http://airbyte")


async def listed(client: httpx2.AsyncClient, **params: str | int | list[str]) -> list[int]:
    answer = await client.get("/jobs", params=params)
    assert answer.status_code == 200, answer.text
    return [row["jobId"] for row in answer.json()["data"]]


Trigger = Callable[[str], Coroutine[Any, Any, httpx2.Response]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    return Sandbox(clock=clock, empty=True)


@pytest.fixture
def connection(sandbox: Sandbox) -> Connection:
    return sandbox.world.add_connection(sandbox.world.add_workspace("Acme Inc").workspace_id)


@pytest.fixture
async def anonymous(sandbox: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    async with connect(sandbox) as client:
        yield client


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    """Paths are relative to the public API."""
    async with connect(sandbox) as client:
        answer = await client.post(f"{PUBLIC_API}/applications/token", json=CREDENTIALS)
        client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        client.base_url = httpx2.URL(f"http://airbyte{PUBLIC_API}")
        yield client


@pytest.fixture
async def config(client: httpx2.AsyncClient, sandbox: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    """Paths are relative to the Config API; the token is the public API's."""
    async with connect(sandbox) as config:
        config.headers["authorization"] = client.headers["authorization"]
        config.base_url = httpx2.URL(f"http://airbyte{CONFIG_API}")
        yield config


@pytest.fixture
def trigger(client: httpx2.AsyncClient) -> Trigger:
    async def post(connection_id: str) -> httpx2.Response:
        return await client.post("/jobs", json={"connectionId": connection_id, "jobType": "sync"})

    return post
