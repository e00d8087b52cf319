"""For whom pages read from the database: so that many pages of one client's members keep nobody else waiting."""

from collections.abc import Hashable

from gateway.sandbox import Answer
from gateway.store.read_slots import reading_for
from tests.dashboard.support import signed_in
from tests.support import World, bearer

ACME = 1


async def test_pages_of_members_read_for_their_client_and_calls_of_the_api_for_nobody(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    member = await signed_in(world, "acme")
    world.clock.advance(60)
    readers: list[Hashable] = []

    def note(_method: str, _path: str) -> bool:
        readers.append(reading_for.get())  # Airbyte is asked by the task that reads the page's figures.
        return False

    world.sandbox.faults.answer_with(Answer(500), when=note)
    assert (await member.get(f"/dashboard/connections/{ours}")).status_code == 200
    of_page, readers[:] = set(readers), []
    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))

    assert answer.status_code == 200
    assert of_page == {ACME, None}  # None: what keeps everybody's figures current
    assert set(readers) == {None}
