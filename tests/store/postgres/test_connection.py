"""A connection to a PostgreSQL server that takes too long."""

import asyncio
from typing import Any

import psycopg
import pytest

from gateway.settings.secret import SecretUrl
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.timings import StoreTimings
from tests.postgres import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> SecretUrl:
    return postgres.without_rows()


async def test_a_connection_that_comes_too_late_is_closed(url: SecretUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 loses a cancellation that comes together with an answer."""
    late = await psycopg.AsyncConnection.connect(url.reveal())

    async def connect_late(*_arguments: Any, **_options: Any) -> psycopg.AsyncConnection[Any]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return late
        raise AssertionError

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect_late)
    connection = PostgresConnection(url.reveal(), StoreTimings(connect=0.01))
    with pytest.raises(TimeoutError):
        await connection.connect()

    await connection.close_all()

    assert late.closed
