"""What pages say while Airbyte gives no answer: to operators since when and why, to members why, without addresses."""

import httpx2
import pytest

from gateway.dashboard.app import routes
from gateway.dashboard.outage import WORDS_FOR_MEMBERS
from gateway.dashboard.timings import PageTimings
from gateway.models import Trouble
from gateway.sandbox import Answer
from gateway.times import format_time
from tests.dashboard.support import plain, signed_in, words
from tests.support import World, quiet

CAUSE = "http://airbyte/api/public/v1 answers 503: a proxy in front of Airbyte does not reach it"
FOR_MEMBERS = WORDS_FOR_MEMBERS["failing"]


@pytest.fixture
async def admin(world: World) -> httpx2.AsyncClient:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, None)


async def down(world: World) -> None:
    """Another gateway has noticed, and this one's Airbyte does not answer either."""
    world.sandbox.faults.answer_with(Answer.html(503), times=1000)
    await world.services.store.outages.note(Trouble("failing", CAUSE), at=format_time(world.clock.now()))


def operator_pages(connection: str) -> list[str]:
    return sorted(
        route.path.replace("{slug}", "acme").replace("{id}", connection)
        for route in routes(PageTimings())
        if route.path.startswith("/dashboard/admin") and "GET" in (route.methods or ()) and ".csv" not in route.path
    )


async def test_every_operator_page_says_since_when_and_why(world: World, admin: httpx2.AsyncClient) -> None:
    ours, _ = await world.mapped_connection()
    paths = [path for path in operator_pages(ours) if "{" not in path]
    await down(world)

    pages = [await admin.get(path) for path in paths]

    assert len(paths) > 10
    assert {path: page.status_code for path, page in zip(paths, pages, strict=True)} == dict.fromkeys(paths, 200)
    for page in pages:
        assert f"Airbyte has given no good answer since 1 Apr 2026, 03:00 UTC: {CAUSE}." in plain(page.text), page.url


async def test_members_read_the_cause_without_addresses(world: World, admin: httpx2.AsyncClient) -> None:
    ours, _ = await world.mapped_connection()
    member = await signed_in(world, "acme")
    await down(world)
    world.clock.advance(3600)

    pages = [await member.get(f"/dashboard{path}") for path in ("", "/connections", f"/connections/{ours}", "/usage")]

    for page in pages[:2]:
        assert f"Airbyte did not answer: {FOR_MEMBERS}. These are the last known figures" in words(page), page.url
    for page in pages:
        assert "http://airbyte" not in page.text
        assert "no good answer since" not in page.text


async def test_the_banner_goes_when_airbyte_answers_again(world: World, admin: httpx2.AsyncClient) -> None:
    await world.mapped_connection()
    await world.services.store.outages.note(Trouble("failing", CAUSE), at=format_time(world.clock.now()))
    world.clock.advance(6)

    first = await admin.get("/dashboard/admin/users")
    await quiet()
    second = await admin.get("/dashboard/admin/users")

    assert CAUSE in words(first)
    assert '<div id="outage" data-live="15">' in first.text
    assert CAUSE not in words(second)
    assert "data-live" not in second.text


async def test_a_call_that_is_not_made_is_told_by_what_stopped_it(world: World, admin: httpx2.AsyncClient) -> None:
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer.html(503), times=1000)
    member = await signed_in(world, "acme")
    for _ in range(4):
        world.clock.advance(6)
        last = await member.get(f"/dashboard/connections/{ours}")
    assert world.services.airbyte.figures().stopped > 0

    pages = [await admin.get(f"/dashboard/admin/connections/{ours}"), last]

    assert "Airbyte cannot be reached: http://airbyte/api/public/v1 answers 503: a proxy in front" in words(pages[0])
    assert f"Airbyte cannot be reached: {FOR_MEMBERS}" in words(pages[1])
    assert not any("busy" in words(page) for page in pages)
