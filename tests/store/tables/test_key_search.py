"""Finding a key by what somebody has of it."""

from gateway.auth.keys import digest
from gateway.provisioning.keys import NewKey
from tests.support import World


async def test_a_key_is_found_by_its_digest_and_by_its_start(world: World) -> None:
    key: NewKey = await world.client_with_key()
    await world.key()
    search = world.services.store.key_search

    assert await search.by_digest(digest(key.text)) == [key.record]
    assert await search.by_start(key.record.start) == [key.record]
    assert await search.by_digest(digest("smrt_none")) == []
    assert await search.by_start("smrt_none…") == []
