"""The landing pages: what needs attention, of a client for its members and of all clients for the operator."""

import dataclasses
import re
from html import unescape

import httpx2
import pytest

from gateway.dashboard.attention import ATTENTION_ROWS, REASON_WORDS
from gateway.models import BasicSchedule, Connection, Schedule
from gateway.sandbox import Answer
from gateway.sandbox.records import ConnectionStatus
from gateway.sandbox.timeline import Status
from gateway.store import ToldStatus
from gateway.times import format_time
from tests.dashboard.support import browser, rows_of, signed_in, words
from tests.support import World, quiet

HOME = "/dashboard"
ADMIN_HOME = "/dashboard/admin"
HOURLY = BasicSchedule(3600)
HOURLY_SAID = {"scheduleType": "basic", "basicTiming": "Every 1 HOURS"}
MANUAL = {"scheduleType": "manual"}


@pytest.fixture
async def member(world: World) -> httpx2.AsyncClient:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, "acme")


async def connection(world: World, label: str, slug: str = "acme") -> tuple[str, str]:
    """Return our id and Airbyte's."""
    ours, theirs = await world.mapped_connection(slug)
    found = await world.services.store.connections.any_by_id(ours)
    await world.services.store.connections.rename(found.client_id, ours, label=label)
    return ours, theirs


async def synced(world: World, theirs: str, status: Status = "succeeded", hours_ago: float = 1.0) -> int:
    """Return the id of a job of the past, which the gateway learns of as of one from before the mapping."""
    at = world.clock.now().timestamp() - hours_ago * 3600
    job = world.sandbox.world.add_job(theirs, status=status, created_at=at)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    return job.job_id


async def told(
    world: World, theirs: str, status: ConnectionStatus = "active", schedule: Schedule | None = None
) -> None:
    """Have Airbyte say this of the connection, and note it: whenever statuses are read again, nothing changes."""
    connections = world.sandbox.world.connections
    said = HOURLY_SAID if schedule == HOURLY else MANUAL
    connections[theirs] = dataclasses.replace(connections[theirs], status=status, schedule=said)
    now = format_time(world.clock.now())
    await world.services.store.statuses.record([ToldStatus(theirs, status, schedule)], checked_at=now)


async def unmapped(world: World, *labels: str, slug: str = "acme") -> None:
    client = await world.services.store.clients.by_slug(slug)
    now = format_time(world.clock.now())
    for label in labels:
        await world.services.store.connections.add(
            Connection(f"conn_{slug}{label}", client.id, "shopify", label, "pending", created_at=now)
        )


async def seen(visitor: httpx2.AsyncClient, path: str = HOME) -> httpx2.Response:
    answer = await visitor.get(path)
    assert answer.status_code == 200, answer.text
    return answer


def listed(page: httpx2.Response) -> list[list[str]]:
    """Return the first cells of each row, without the type of the connector."""
    return [[cells[0].partition(" ")[0], *cells[1:]] for cells in rows_of(page.text)]


def figures(page: httpx2.Response) -> dict[str, str]:
    found = re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", page.text, re.DOTALL)
    return {name: re.sub(r"<[^>]+>", "", value).strip() for name, value in found}


async def test_whoever_is_not_signed_in_is_led_to_the_sign_in(world: World) -> None:
    for path in (HOME, "/dashboard/connections", ADMIN_HOME):
        answer = await browser(world).get(path)

        assert answer.status_code == 303
        assert "dashboard/sign-in" in answer.headers["location"]


async def test_an_admin_is_led_to_the_admin_pages(world: World) -> None:
    answer = await (await signed_in(world, None)).get(HOME)

    assert (answer.status_code, answer.headers["location"]) == (303, "./dashboard/admin")


async def test_a_client_without_connections_is_told_what_to_do(member: httpx2.AsyncClient) -> None:
    page = await seen(member)

    assert "No connections yet" in page.text
    assert "data-live" not in page.text


async def test_nothing_wrong_is_said_in_one_line(world: World, member: httpx2.AsyncClient) -> None:
    _, theirs = await connection(world, "fine")
    await synced(world, theirs)
    _, paused = await connection(world, "paused")
    await told(world, paused, "inactive")

    page = await seen(member)

    assert "Nothing needs attention." in page.text
    assert rows_of(page.text) == []


async def test_the_line_on_top_counts(world: World, member: httpx2.AsyncClient) -> None:
    jobs: list[tuple[Status, float]] = [("failed", 3), ("failed", 4), ("running", 1), ("succeeded", 2)]
    for status, hours_ago in jobs:
        _, theirs = await connection(world, "Shop")
        await synced(world, theirs, status, hours_ago)
    await unmapped(world, "New")

    assert figures(await seen(member)) == {
        "Connections": "5",
        "Need attention": "3",
        "Running now": "1",
        "Newest sync": "1 hour ago",
    }


async def test_each_reason_is_said_what_matters_most_first(world: World, member: httpx2.AsyncClient) -> None:
    await connection(world, "never")
    _, late = await connection(world, "late")
    await synced(world, late, hours_ago=3)
    await told(world, late, schedule=HOURLY)
    _, gone = await connection(world, "gone")
    await told(world, gone, "deprecated")
    _, stuck = await connection(world, "stuck")
    await told(world, stuck, "locked")
    await unmapped(world, "new")
    _, failed = await connection(world, "failed")
    await synced(world, failed, "failed", hours_ago=2)
    world.clock.advance(3600)
    await seen(member)

    assert listed(await seen(member)) == [
        ["failed", REASON_WORDS["failed"], "3 hours ago"],
        ["late", REASON_WORDS["late"], "1 hour ago"],
        ["gone", REASON_WORDS["vanished"], "1 hour ago"],
        ["stuck", REASON_WORDS["locked"], "1 hour ago"],
        ["never", REASON_WORDS["never_synced"], "1 hour ago"],
        ["new", REASON_WORDS["unmapped"], "1 hour ago"],
    ]


@pytest.mark.parametrize("who", ["member", "admin"])
async def test_the_reason_of_a_failure_is_one_click_away(world: World, member: httpx2.AsyncClient, who: str) -> None:
    ours, theirs = await connection(world, "Shop")
    number = await synced(world, theirs, "failed")
    visitor, home = (member, HOME) if who == "member" else (await signed_in(world, None), ADMIN_HOME)
    page = await seen(visitor, home)

    (link,) = re.findall(r'<a class="reason failed" href="([^"]*)">', page.text)
    explained = await visitor.get(page.url.join(link))

    assert str(explained.url).endswith(f"{home}/connections/{ours}/jobs/{number}")
    assert "Why it failed" in words(explained)


async def test_many_come_in_pages_and_can_be_searched(world: World, member: httpx2.AsyncClient) -> None:
    await unmapped(world, *(f"{number:03}" for number in range(2 * ATTENTION_ROWS + 1)))
    path, pages = f"{HOME}?q=0", []

    while True:
        page = await seen(member, path)
        pages.append([row[0] for row in listed(page)])
        following = re.search(r'rel="next" href="([^"]*)"', page.text)
        if not following:
            break
        path = f"{HOME}{unescape(following[1])}"

    assert [len(each) for each in pages] == [ATTENTION_ROWS, ATTENTION_ROWS, 1]
    assert len({label for each in pages for label in each}) == 2 * ATTENTION_ROWS + 1
    assert [row[0] for row in listed(await seen(member, f"{HOME}?q=acme017"))] == ["017"]


async def test_what_is_not_current_is_called_stale_and_not_late(world: World, member: httpx2.AsyncClient) -> None:
    _, theirs = await connection(world, "Shop")
    await synced(world, theirs)
    await told(world, theirs, schedule=HOURLY)
    await seen(member)
    admin = await signed_in(world, None)
    world.sandbox.faults.answer_with(Answer.html(503), times=100)
    world.clock.advance(7200)

    page, all_clients = await seen(member), await seen(admin, ADMIN_HOME)

    assert "Airbyte did not answer: it, or a proxy in front of it, fails. These are the last known figures" in page.text
    assert page.text.count('data-live="15"') == 2
    assert listed(page) == listed(all_clients) == []


async def test_a_connection_that_airbyte_does_not_tell_of_is_no_outage(
    world: World, member: httpx2.AsyncClient
) -> None:
    _, theirs = await connection(world, "Shop")
    await seen(member)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    world.clock.advance(6)
    world.sandbox.faults.answer_with(
        Answer(500), times=100, when=lambda *_: f"connectionId={theirs}" in world.sandbox.requests[-1].query
    )

    page = await seen(member)

    assert "Airbyte has not told of all of these connections lately. Their last known figures are shown." in words(page)
    assert "Airbyte did not answer" not in words(page)


async def test_another_client_s_connections_are_nowhere(world: World, member: httpx2.AsyncClient) -> None:
    await unmapped(world, "mine")
    await world.services.clients.add(slug="other", name="Other", plan="free")
    await unmapped(world, "theirs", slug="other")

    page = await seen(member)

    assert [row[0] for row in listed(page)] == ["mine"]
    assert "theirs" not in page.text


async def test_the_operator_sees_those_of_all_clients_but_the_disabled(
    world: World, member: httpx2.AsyncClient
) -> None:
    for slug in ("beta", "gone"):
        await world.services.clients.add(slug=slug, name=slug.title(), plan="free")
        await unmapped(world, slug, slug=slug)
    await world.services.clients.disable("gone")
    _, theirs = await connection(world, "shop")
    await synced(world, theirs, "failed")
    _, late = await connection(world, "late", "beta")
    await synced(world, late, hours_ago=2)
    await told(world, late, schedule=HOURLY)
    world.clock.advance(3600)
    await seen(member)
    admin = await signed_in(world, None)

    page = await seen(admin, ADMIN_HOME)

    assert [row[:3] for row in listed(page)] == [
        ["shop", "Acme", REASON_WORDS["failed"]],
        ["late", "Beta", REASON_WORDS["late"]],
        ["beta", "Beta", REASON_WORDS["unmapped"]],
    ]
    assert figures(page) == {"Connections of clients": "3", "Need attention": "3"}
    assert [row[0] for row in listed(await seen(admin, f"{ADMIN_HOME}?q=acme"))] == ["shop"]


async def test_an_operator_without_connections_is_told_what_to_do(world: World) -> None:
    page = await seen(await signed_in(world, None), ADMIN_HOME)

    assert "No client has a connection yet" in page.text


async def test_a_late_sync_is_explained_on_the_connection_s_page(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await connection(world, "Shop")
    await synced(world, theirs)
    await told(world, theirs, schedule=HOURLY)
    await seen(member)
    due = await seen(member, f"{HOME}/connections/{ours}")
    world.clock.advance(7200)
    await seen(member)
    await quiet()

    for visitor, path in ((member, HOME), (await signed_in(world, None), ADMIN_HOME)):
        late = await seen(visitor, f"{path}/connections/{ours}")

        assert "A sync was due 1 Apr 2026, 03:00 UTC and has not begun." in words(late)
    assert "Schedule every 1 hour, next just now" in words(due)


async def test_a_sync_that_moved_nothing_unlike_the_others_is_told_and_explained(
    world: World, member: httpx2.AsyncClient
) -> None:
    ours, theirs = await connection(world, "Shop")
    now = world.clock.now().timestamp()
    for hours_ago in range(11, 0, -1):
        rows = 0 if hours_ago == 1 else 1_000
        world.sandbox.world.add_job(theirs, created_at=now - hours_ago * 3600, rows=rows, bytes=rows)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    await seen(member)
    world.clock.advance(6)

    page, explained = await seen(member), await seen(member, f"{HOME}/connections/{ours}")

    assert [row[:2] for row in listed(page)] == [["Shop", REASON_WORDS["no_data"]]]
    assert "The last sync succeeded and moved no data." in words(explained)
