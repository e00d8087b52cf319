"""Since when Airbyte as a whole gives no answer: noticed by whoever refreshes, and known to all gateways."""

import pytest

from gateway.errors import UpstreamUnreachable
from gateway.models import Outage, Trouble
from gateway.sandbox import Answer
from gateway.syncs.outage_watch import OutageWatch
from tests.support import World, quiet

THREE = "2026-04-01T03:00:00.000Z"
FRESHNESS = 6


async def refresh(world: World) -> Outage | None:
    """Refresh as a reader does, and return what is known of Airbyte then."""
    world.clock.advance(FRESHNESS)
    await world.services.syncs.last_sync.refresh_if_older(FRESHNESS)
    await quiet()
    return await world.services.store.outages.current()


@pytest.fixture
async def connected(world: World) -> World:
    """With a connection, so that there is something to ask for."""
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    await world.mapped_connection()
    return world


def fail(world: World, answer: Answer, times: int = 1000) -> None:
    world.sandbox.faults.answer_with(answer, times=times)


def recover(world: World) -> None:
    world.sandbox.faults._canned.clear()  # noqa: SLF001 - there is no other way to take an answer back
    world.clock.advance(3600)


async def test_an_outage_begins_with_the_first_failure_and_ends_with_an_answer(connected: World) -> None:
    assert await refresh(connected) is None
    fail(connected, Answer.html(503))

    begun = await refresh(connected)
    lasting = await refresh(connected)

    assert begun is not None
    assert lasting is not None
    assert begun.trouble.kind == "failing"
    assert "answers 503" in begun.trouble.cause
    assert lasting.since == begun.since
    recover(connected)
    assert await refresh(connected) is None


async def test_a_cause_that_changes_begins_no_new_outage(connected: World) -> None:
    fail(connected, Answer.html(503), times=2)
    fail(connected, Answer.html(502))

    begun = await refresh(connected)
    changed = await refresh(connected)

    assert begun is not None
    assert changed is not None
    assert "answers 503" in begun.trouble.cause
    assert "answers 502" in changed.trouble.cause
    assert changed.since == begun.since


async def test_an_outage_that_lasts_is_written_once(connected: World) -> None:
    fail(connected, Answer.html(503))
    await refresh(connected)
    before = connected.services.store.health.writes

    for _ in range(3):
        await refresh(connected)

    # Each refresh publishes nothing here: a gateway alone has nobody to tell.
    assert connected.services.store.health.writes == before


async def test_a_gateway_alone_knows_that_none_lasts_and_does_not_ask_after_each_answer(world: World) -> None:
    services = world.services
    watch = OutageWatch(services.store, services.airbyte, world.clock)
    await watch.answered()

    # Nobody else writes one; it shows whether this one reads.
    await services.store.outages.note(Trouble("failing", "it fails"), at=THREE)
    await watch.answered()
    assert await services.store.outages.current() is not None

    await watch.failed(UpstreamUnreachable("nobody listens"))
    await watch.answered()
    assert await services.store.outages.current() is None


async def test_where_nothing_is_asked_for_nothing_ends(world: World) -> None:
    fail(world, Answer.html(503))
    assert await refresh(world) is None


async def test_a_credential_that_is_refused_is_an_outage(connected: World) -> None:
    connected.sandbox.faults.unauthorized = 1000

    found = await refresh(connected)

    assert found is not None
    assert found.trouble.kind == "credential"
