"""Which gateways serve the database now."""

import pytest

from gateway.errors import DatabaseRefused
from gateway.store import DatabaseLocation, Store
from gateway.store.timings import StoreTimings
from tests.other_program import other_program

LONG_AGO = (StoreTimings().live + 1) * 1000


def silence(location: DatabaseLocation, gateway_id: str) -> None:
    """As if it had not been seen for longer than a living one is silent."""
    with other_program(location) as other:
        other.rows(f"UPDATE gateways SET seen_at = seen_at - {LONG_AGO} WHERE id = '{gateway_id}'")


async def ids(store: Store) -> list[str]:
    return [each.id for each in await store.gateways.live()]


async def join(store: Store, *gateway_ids: str) -> None:
    for gateway_id in gateway_ids:
        await store.gateways.join(gateway_id, name=f"{gateway_id}:1", is_alone=False)


async def test_they_are_told_in_the_order_they_came(store: Store) -> None:
    await join(store, "b", "a", "c")
    await store.gateways.stay("b", name="b:1", is_alone=False)

    assert await ids(store) == ["b", "a", "c"]


async def test_one_that_leaves_is_gone(store: Store) -> None:
    await join(store, "a", "b")
    await store.gateways.leave("a")

    assert await ids(store) == ["b"]


async def test_one_that_is_silent_counts_as_dead_until_it_speaks(
    store: Store, database_location: DatabaseLocation
) -> None:
    await join(store, "a", "b")
    silence(database_location, "a")
    assert await ids(store) == ["b"]

    await store.gateways.stay("a", name="a:1", is_alone=False)

    assert await ids(store) == ["a", "b"]


async def test_one_that_was_forgotten_meanwhile_is_known_again(store: Store) -> None:
    await join(store, "a", "b")
    await store.gateways.leave("a")
    assert await ids(store) == ["b"]

    await store.gateways.stay("a", name="a:1", is_alone=False)

    assert await ids(store) == ["b", "a"]


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True)])
async def test_one_with_limits_of_its_own_bears_no_other(store: Store, first: bool, second: bool) -> None:
    await store.gateways.join("a", name="host-a:1", is_alone=first)

    with pytest.raises(DatabaseRefused, match=r"another gateway, host-a:1; .*rate_limit\.backend"):
        await store.gateways.join("b", name="host-b:2", is_alone=second)

    assert await ids(store) == ["a"]


async def test_a_dead_one_keeps_nobody_out(store: Store, database_location: DatabaseLocation) -> None:
    await store.gateways.join("a", name="a:1", is_alone=True)
    silence(database_location, "a")

    await store.gateways.join("b", name="b:1", is_alone=True)

    assert await ids(store) == ["b"]
