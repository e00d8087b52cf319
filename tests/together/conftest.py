"""Three gateways that a whole module asks, for starting them takes seconds."""

from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer, postgres_server
from tests.together.support import Cluster, running_cluster


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """Not shared with other modules: it is restarted."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, own_postgres: PostgresServer) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), own_postgres) as running:
        yield running
