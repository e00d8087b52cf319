"""Three gateways that a whole module asks, for starting them takes seconds."""

from collections.abc import Iterator

import pytest

from tests.fleet.support import Fleet, running_fleet
from tests.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """Not shared with other modules: it is restarted."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, own_postgres: PostgresServer) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet"), own_postgres) as running:
        yield running
