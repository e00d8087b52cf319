"""Fixtures for every room, and which tests run on both kinds of database."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gateway.store import DatabaseLocation, create_database
from gateway.telemetry.log import configure_log
from tests.postgres import PostgresServer, postgres_server
from tests.support import HandClock, World, running_gateway

ON_BOTH = (
    "tests/api/test_cancel.py",
    "tests/api/test_all_jobs.py",
    "tests/api/test_connections.py",
    "tests/api/test_health.py",
    "tests/api/test_jobs.py",
    "tests/api/test_keys.py",
    "tests/api/test_one_job.py",
    "tests/api/test_status.py",
    "tests/api/test_trigger.py",
    "tests/provisioning/manifest/",
    "tests/store/",
    "tests/syncs/test_trigger.py",
    "tests/syncs/test_trigger_audit.py",
    "tests/web/middleware/",
    "tests/dashboard/test_sign_in.py",
    "tests/dashboard/admin/test_access.py::test_an_admin",
)
"""The API and every statement."""
UNCOUNTED = ("tests/browser/", "tests/faults/", "tests/machine/", "tests/nginx/", "tests/together/")
"""Many rounds, and servers in processes of their own: counting branches would cost minutes and find little."""


settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
"""The time an example takes is the machine's affair and decides nothing."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(UNCOUNTED):
            item.add_marker("no_cover")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_on_both = metafunc.definition.nodeid.startswith(ON_BOTH)
    if metafunc.definition.get_closest_marker("sqlite_only") is not None:
        is_on_both = False
    if metafunc.definition.get_closest_marker("postgresql_only") is not None:
        metafunc.parametrize("database_location", ["postgresql"], indirect=True)
    elif "database_location" in metafunc.fixturenames and is_on_both:
        metafunc.parametrize("database_location", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def quiet_log() -> None:
    """Warnings and errors only; a test that reads lines configures the log itself."""
    configure_log(level="warning", style="console")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def database_location(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseLocation:
    """Of an empty database: a file, unless the test runs on both kinds and this is the other."""
    if getattr(request, "param", "sqlite") == "sqlite":
        path = tmp_path / "gateway.db"
        asyncio.run(create_database(path))
        return path
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return postgres.without_rows()


@pytest.fixture
async def world(tmp_path: Path, database_location: DatabaseLocation) -> AsyncIterator[World]:
    """A gateway with an empty database in front of an empty sandbox Airbyte."""
    async with running_gateway(tmp_path, location=database_location) as running:
        yield running
