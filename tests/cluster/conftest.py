"""A Valkey of one's own, and a way to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.cluster.valkey import Valkey
from tests.valkey import ValkeyServer, running_valkey

PATIENCE_SECONDS = 1.0
"""Longer than in earnest: a busy machine lets a Valkey wait for its turn, too."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cluster.valkey.PATIENCE_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with running_valkey(tmp_path) as running:
        yield running


@asynccontextmanager
async def reached(server: ValkeyServer) -> AsyncIterator[Valkey]:
    valkey = Valkey(server.secret)
    await valkey.open()
    try:
        yield valkey
    finally:
        await valkey.close()


@pytest.fixture
async def valkey(server: ValkeyServer) -> AsyncIterator[Valkey]:
    async with reached(server) as opened:
        assert not opened.is_away
        yield opened
