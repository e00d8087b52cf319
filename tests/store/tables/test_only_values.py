"""What a database has one of: the id that tells it from others, and the key of cursors."""

import asyncio

from gateway.store import DatabaseLocation, Store
from tests.support import store_at


async def test_the_first_id_stays(store: Store, database_location: DatabaseLocation) -> None:
    assert await store.database_id.get("first") == "first"
    assert await store.cursor_key.get("key") == "key"

    async with store_at(database_location) as another:
        assert await another.database_id.get("second") == "first"
        assert await another.cursor_key.get("other") == "key"


async def test_of_several_at_once_one_wins(store: Store, database_location: DatabaseLocation) -> None:
    async with store_at(database_location) as another:
        ids = await asyncio.gather(store.database_id.get("a"), another.database_id.get("b"))

    assert ids[0] == ids[1]
