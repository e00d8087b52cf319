"""Fixtures for every room."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.log import configure_log
from tests.support import HandClock, World, running_gateway


@pytest.fixture(autouse=True)
def quiet_log() -> None:
    """Warnings and errors only; a test that reads lines configures the log itself."""
    configure_log(level="warning", style="console")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway with an empty database in front of an empty sandbox Airbyte."""
    async with running_gateway(tmp_path) as running:
        yield running
