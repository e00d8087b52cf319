"""A Valkey of one's own, and a way to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.background import Background
from gateway.cluster.timings import ValkeyTimings
from gateway.cluster.valkey import Valkey
from gateway.telemetry.log import log_task_failure
from tests.valkey import ValkeyServer, running_valkey

PATIENCE_SECONDS = 1.0
PATIENT = ValkeyTimings(patience=PATIENCE_SECONDS)
"""Longer than in earnest: on a busy machine a Valkey waits for the processor, too."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with running_valkey(tmp_path) as running:
        yield running


@asynccontextmanager
async def reached(server: ValkeyServer, timings: ValkeyTimings = PATIENT) -> AsyncIterator[Valkey]:
    valkey = Valkey(server.secret, background=Background(log_task_failure), timings=timings)
    await valkey.open()
    try:
        yield valkey
    finally:
        await valkey.close()


@pytest.fixture
async def valkey(server: ValkeyServer) -> AsyncIterator[Valkey]:
    async with reached(server) as opened:
        assert not opened.is_unavailable
        yield opened
