"""Since when Airbyte gives no answer: one outage at a time, which goes on while its cause changes."""

from gateway.models import Outage, Trouble
from gateway.store import DatabaseLocation, Store
from tests.support import store_at

THREE, FOUR = "2026-04-01T03:00:00.000Z", "2026-04-01T04:00:00.000Z"
REFUSED = Trouble("refused", "nothing listens at 127.0.0.1:8001")
LATE = Trouble("timeout", "127.0.0.1:8001 does not answer in time")


async def test_an_outage_lasts_from_its_beginning_to_its_end(store: Store) -> None:
    assert await store.outages.current() is None

    await store.outages.note(REFUSED, at=THREE)
    await store.outages.note(LATE, at=FOUR)
    assert await store.outages.current() == Outage(THREE, LATE)

    await store.outages.end()
    assert await store.outages.current() is None


async def test_a_gateway_that_starts_knows_of_it(store: Store, database_location: DatabaseLocation) -> None:
    await store.outages.note(REFUSED, at=THREE)

    async with store_at(database_location) as another:
        assert await another.outages.current() == Outage(THREE, REFUSED)
