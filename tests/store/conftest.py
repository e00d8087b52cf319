"""An open store on a new file, and two clients in it."""

from collections.abc import AsyncIterator

import pytest

from gateway.models import Client
from gateway.store import DatabaseLocation, Store
from tests.support import store_at

NOW = "2026-04-01T03:00:00.000Z"


@pytest.fixture
async def store(database_location: DatabaseLocation) -> AsyncIterator[Store]:
    async with store_at(database_location) as opened:
        yield opened


@pytest.fixture
async def acme(store: Store) -> Client:
    return await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)


@pytest.fixture
async def other(store: Store, acme: Client) -> Client:
    return await store.clients.add(slug="other", name="Other", plan="free", created_at=NOW)
