"""What gateways of the version before do to a database of this one, while the gateways are upgraded one by one."""

import msgspec
import pytest

from gateway.models import BasicSchedule
from gateway.settings.secret import SecretUrl
from gateway.store import EndedSync
from gateway.store.database import Transaction
from tests.postgres import PostgresServer
from tests.store.tables.records import NOW, a_connection
from tests.support import store_at

HOURLY = BasicSchedule(3600)


@pytest.fixture
def url(postgres: PostgresServer) -> SecretUrl:
    return postgres.without_rows()


async def map_as_version_6(transaction: Transaction) -> None:
    """Map the connection anew as a gateway does that knows nothing of schedules and recent syncs."""
    await transaction.execute_fetchall(
        """
        UPDATE connections SET airbyte_id = 'another', workspace_id = 'work', status = 'active',
            status_checked_at = :now, last_job_id = NULL, last_sync_at = NULL, last_sync_status = NULL,
            backfilled_at = NULL
        WHERE id = 'conn_1'
        """,
        {"now": NOW},
    )


async def test_a_connection_that_an_older_gateway_maps_anew_keeps_nothing_of_the_former_one(url: SecretUrl) -> None:
    async with store_at(url) as store:
        client = await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)
        connection = msgspec.structs.replace(
            a_connection(client, "conn_1", "former"), schedule=HOURLY, schedule_since=NOW
        )
        await store.connections.add(connection)
        ended = EndedSync("former", 7, NOW, NOW, "succeeded", 1, 1)
        await store.last_syncs.record([], ended=[ended], backfilled=["former"], backfilled_at=NOW)

        await store.database.write(map_as_version_6)

        (row,) = await store.connections.all()
        assert (row.airbyte_id, row.schedule, row.schedule_since, row.last_ended_at) == ("another", None, None, None)
        assert await store.last_syncs.recent(["another"]) == {"another": []}
        (watched,) = await store.database.fetch_all("SELECT watched_since FROM connections")
        assert watched[0] is None


async def test_a_connection_that_is_mapped_anew_keeps_the_schedule_that_comes_with_it(url: SecretUrl) -> None:
    async with store_at(url) as store:
        client = await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)
        connection = a_connection(client, "conn_1", "former")
        await store.connections.add(connection)

        await store.connections.map(
            msgspec.structs.replace(connection, airbyte_id="another", schedule=HOURLY, schedule_since=NOW)
        )

        (row,) = await store.connections.all()
        assert (row.airbyte_id, row.schedule, row.schedule_since) == ("another", HOURLY, NOW)
