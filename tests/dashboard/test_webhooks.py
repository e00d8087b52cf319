"""Settings > Webhooks through HTTP as a browser asks: what is shown once, what was sent, and whose it is."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gateway.dashboard.webhook import DELIVERY_ROWS
from gateway.errors import InvalidInput
from gateway.limiter import WEBHOOK_FORMS
from gateway.models import Webhook
from gateway.webhooks.timings import DeliveryTimings, WebhookTimings
from tests.dashboard.support import followed, plain, rows_of, sealed_number, signed_in, words
from tests.other_program import other_program
from tests.support import BOUND_SECONDS, World, running_gateway
from tests.webhooks.support import ALLOWED, Receiver, receiving

WEBHOOKS = "/dashboard/settings/webhooks"
OF_ACME = "/dashboard/admin/clients/acme/webhooks"
SECRET = re.compile(r"whsec_[0-9A-Za-z+/=]{44}")
ONE_EVENT = """
    INSERT INTO events (id, client_id, type, subject, at, data, created_at)
    VALUES ('evt_1', 1, 'key.created', 'it', '2026-04-01T03:00:00.000Z', '{}', '2026-04-01T03:00:00.000Z')
    """
DELIVERIES = 55
MANY_DELIVERIES = f"""
    WITH RECURSIVE counted(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM counted WHERE number < {DELIVERIES})
    INSERT INTO deliveries (webhook_number, event_number, client_id, stream, outcome, attempts, status)
    SELECT 1, 1, 1, '', 'delivered', number, 200 FROM counted
    """
SOON = WebhookTimings(delivery=DeliveryTimings(poll=0.01, idle_poll=0.01))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_gateway(tmp_path, webhook_timings=SOON, **ALLOWED) as running:
        for slug in ("acme", "globex"):
            await running.services.clients.add(slug=slug, name=slug.title(), plan="free")
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def only_webhook(world: World) -> Webhook:
    (webhook,) = await world.services.store.webhooks.all()
    return webhook


async def until_in(visitor: httpx2.AsyncClient, path: str, text: str) -> httpx2.Response:
    async with asyncio.timeout(BOUND_SECONDS):
        while text not in words(page := await visitor.get(path)):
            await asyncio.sleep(0.01)
    return page


async def test_a_member_adds_a_webhook_tests_it_and_sends_an_event_again(world: World, receiver: Receiver) -> None:
    ours, _ = await world.mapped_connection()
    ann = await signed_in(world, "acme")
    shown = await ann.post(
        WEBHOOKS, data={"url": receiver.url, "event-sync.failed": "on", f"connection-{ours}": "on", "token": "t"}
    )
    webhook = await only_webhook(world)
    path = f"{WEBHOOKS}/{webhook.id}"
    (secret,) = set(SECRET.findall(shown.text))

    assert (webhook.url, webhook.events, webhook.connections) == (receiver.url, ("sync.failed",), (ours,))
    assert shown.headers["cache-control"] == "no-store"
    assert receiver.url in (await ann.get(WEBHOOKS)).text
    assert secret not in (await ann.get(path)).text
    assert "A test event is on its way" in (await followed(ann, await ann.post(f"{path}/test", data={}))).text
    page = await until_in(ann, path, "Send again")
    assert "data-live" not in page.text
    (event,) = re.findall(r'name="event" value="([^"]+)"', page.text)

    await followed(ann, await ann.post(f"{path}/send-again", data={"event": event}))
    await receiver.until(2)

    assert receiver.types == ["webhook.test"] * 2
    assert {message.event_id for message in receiver.messages} == {event}
    for wrong in ("evt_none", "1", ""):
        answer = await ann.post(f"{path}/send-again", data={"event": wrong})
        assert (answer.status_code, "cannot be sent again" in answer.text) == (400, True)


async def test_the_page_loads_itself_again_while_something_is_sent(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda _: None
    ann = await signed_in(world, "acme")
    await ann.post(WEBHOOKS, data={"url": receiver.url})
    path = f"{WEBHOOKS}/{(await only_webhook(world)).id}"
    await ann.post(f"{path}/test", data={})
    await receiver.until(1)

    assert 'data-live="2"' in (await ann.get(path)).text
    # The address of an answer to a form cannot be loaded again.
    assert "data-live" not in (await ann.post(f"{path}/send-again", data={"event": "evt_none"})).text


async def test_a_form_sent_again_leads_to_the_webhook_of_the_first(world: World) -> None:
    ann = await signed_in(world, "acme")
    form = {"url": "https://hooks.example/", "token": "same"}
    await ann.post(WEBHOOKS, data=form)

    page = await followed(ann, await ann.post(WEBHOOKS, data=form))

    assert "was shown once" in page.text
    assert (await only_webhook(world)).url == form["url"]


async def test_what_cannot_be_a_webhook_is_refused_with_the_form_filled_in(world: World) -> None:
    ann = await signed_in(world, "acme")

    answer = await ann.post(WEBHOOKS, data={"url": "https://10.0.0.1/", "event-sync.failed": "on"})

    assert answer.status_code == 400
    assert "must lead to a public address" in answer.text
    assert 'value="https://10.0.0.1/"' in answer.text
    assert 'name="event-sync.failed" checked' in answer.text
    assert (await ann.post(WEBHOOKS, data={"url": "https://a.example/", "event-nothing": "on"})).status_code == 400


async def test_a_webhook_is_rotated_and_removed(world: World) -> None:
    ann = await signed_in(world, "acme")
    first = await ann.post(WEBHOOKS, data={"url": "https://hooks.example/"})
    path = f"{WEBHOOKS}/{(await only_webhook(world)).id}"

    second = await ann.post(f"{path}/rotate", data={})
    page = await followed(ann, await ann.post(f"{path}/remove", data={}))

    assert set(SECRET.findall(first.text)) != set(SECRET.findall(second.text)) != set()
    assert "hooks.example" not in plain(page.text)
    assert (await ann.get(path)).status_code == 404


async def test_a_disabled_webhook_says_so_and_is_enabled(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda _: 410
    ann = await signed_in(world, "acme")
    await ann.post(WEBHOOKS, data={"url": receiver.url})
    path = f"{WEBHOOKS}/{(await only_webhook(world)).id}"
    await ann.post(f"{path}/test", data={})

    await until_in(ann, path, "it answered 410")
    assert (await ann.post(f"{path}/test", data={})).status_code == 400
    page = await followed(ann, await ann.post(f"{path}/enable", data={}))

    assert "gets events again" in page.text
    assert "it answered 410" not in page.text


def attempts_of(page: httpx2.Response) -> list[int]:
    return [int(attempts) for _, _, _, attempts, *_ in rows_of(page.text)]


async def test_all_deliveries_are_there_page_by_page(world: World) -> None:
    ann = await signed_in(world, "acme")
    await ann.post(WEBHOOKS, data={"url": "https://hooks.example/"})
    webhook = await only_webhook(world)
    with other_program(world.services.settings.database_location) as other:
        other.rows(ONE_EVENT)
        other.rows(MANY_DELIVERIES)
        other.rows("UPDATE webhooks SET overflowed_at = '2026-04-01T02:00:00.000Z'")

    page = await ann.get(f"{WEBHOOKS}/{webhook.id}")
    assert "The oldest were given up" in words(page)
    numbers = attempts_of(page)
    assert len(numbers) == DELIVERY_ROWS
    while older := re.findall(r'rel="next" href="([^"]+)"', page.text):
        page = await ann.get(f"{WEBHOOKS}/{webhook.id}{older[0]}")
        numbers += attempts_of(page)

    assert numbers == list(range(DELIVERIES, 0, -1))
    with other_program(world.services.settings.database_location) as other:
        other.rows("UPDATE webhooks SET overflowed_at = '2026-03-18T02:59:59.999Z'")
    assert "The oldest were given up" not in words(await ann.get(f"{WEBHOOKS}/{webhook.id}"))
    end = await sealed_number(world, 1)
    assert "There are no older deliveries" in (await ann.get(f"{WEBHOOKS}/{webhook.id}?before={end}")).text


async def test_a_webhook_is_changed_and_what_waits_goes_to_its_new_address(world: World, receiver: Receiver) -> None:
    ours, _ = await world.mapped_connection()
    ann = await signed_in(world, "acme")
    await ann.post(WEBHOOKS, data={"url": "http://127.0.0.1:1/", "event-key.created": "on", "event-key.revoked": "on"})
    path = f"{WEBHOOKS}/{(await only_webhook(world)).id}"
    await world.key()
    await until_in(ann, path, "No connection could be made")

    page = (await ann.get(path)).text
    assert 'value="http://127.0.0.1:1/"' in page
    assert re.findall(r'name="event-([^"]*)" checked', page) == ["key.created", "key.revoked"]
    changed = {"url": receiver.url, "event-key.created": "on", f"connection-{ours}": "on"}
    assert "The webhook was changed" in (await followed(ann, await ann.post(f"{path}/update", data=changed))).text
    await receiver.until(1)

    webhook = await only_webhook(world)
    assert (webhook.url, webhook.events, webhook.connections) == (receiver.url, ("key.created",), (ours,))
    assert receiver.types == ["key.created"]
    assert rows_of((await ann.get("/dashboard/activity")).text)[0][0].startswith("changed the webhook")


async def test_a_change_that_cannot_be_is_refused_with_the_form_filled_in(world: World) -> None:
    ann = await signed_in(world, "acme")
    await ann.post(WEBHOOKS, data={"url": "https://hooks.example/"})
    before = await only_webhook(world)
    path = f"{WEBHOOKS}/{before.id}/update"

    answer = await ann.post(path, data={"url": "https://10.0.0.1/", "event-sync.failed": "on"})

    assert answer.status_code == 400
    assert "must lead to a public address" in answer.text
    assert 'value="https://10.0.0.1/"' in answer.text
    assert 'name="event-sync.failed" checked' in answer.text
    for wrong in ({"event-nothing": "on"}, {"connection-conn_none": "on"}):
        assert (await ann.post(path, data={"url": before.url, **wrong})).status_code == 400
    assert await only_webhook(world) == before


async def test_a_removed_connection_stays_ticked_or_the_webhook_would_be_told_of_all(world: World) -> None:
    ours, _ = await world.mapped_connection()
    ann = await signed_in(world, "acme")
    await ann.post(WEBHOOKS, data={"url": "https://hooks.example/", f"connection-{ours}": "on"})
    path = f"{WEBHOOKS}/{(await only_webhook(world)).id}"
    await world.services.connections.remove(ours)

    page = await ann.get(path)
    ticked = re.findall(r'name="(connection-[^"]*)" checked', page.text)
    changed = {"url": "https://other.example/", **dict.fromkeys(ticked, "on")}
    await followed(ann, await ann.post(f"{path}/update", data=changed))

    webhook = await only_webhook(world)
    assert (webhook.url, webhook.connections) == ("https://other.example/", (ours,))


async def test_nobody_sees_or_changes_another_clients_webhook(world: World) -> None:
    ann, bob = await signed_in(world, "acme"), await signed_in(world, "globex")
    await ann.post(WEBHOOKS, data={"url": "https://hooks.example/"})
    path = f"{WEBHOOKS}/{(await only_webhook(world)).id}"

    for name in ("update", "test", "rotate", "enable", "remove", "send-again"):
        form = {"url": "https://b.example/", "event": "evt_1"}
        assert (await bob.post(f"{path}/{name}", data=form)).status_code == 404
    assert (await bob.get(path)).status_code == 404
    assert "hooks.example" not in (await bob.get(WEBHOOKS)).text
    assert (await ann.get(OF_ACME)).status_code == 404


async def test_an_admin_has_the_same_pages_below_the_client(world: World) -> None:
    admin = await signed_in(world, None)
    shown = await admin.post(OF_ACME, data={"url": "https://hooks.example/"})
    webhook = await only_webhook(world)

    assert SECRET.search(shown.text)
    assert "hooks.example" in (await admin.get(f"{OF_ACME}/{webhook.id}")).text
    assert "clients/acme/webhooks" in (await admin.get("/dashboard/admin/clients/acme")).text
    assert (await admin.get(f"/dashboard/admin/clients/globex/webhooks/{webhook.id}")).status_code == 404


async def test_deliveries_are_paged_from_the_newest_on(world: World, receiver: Receiver) -> None:
    member = await signed_in(world, "acme")
    await member.post(WEBHOOKS, data={"url": receiver.url})
    webhook = await only_webhook(world)
    made = 0
    async with asyncio.timeout(BOUND_SECONDS):
        while made <= DELIVERY_ROWS:
            try:
                made += await world.services.webhooks.endpoints.test(webhook.id, client_id=1) > 0
            except InvalidInput:  # ten are on their way
                await asyncio.sleep(0.01)

    first = await member.get(f"{WEBHOOKS}/{webhook.id}")
    (older,) = re.findall(r'<a rel="next" href="(\?before=[^"]+)">', first.text)
    second = await member.get(f"{WEBHOOKS}/{webhook.id}{older}")
    third = await member.get(f"{WEBHOOKS}/{webhook.id}?before={await sealed_number(world, 1)}")

    assert [len(rows_of(page.text)) for page in (first, second, third)] == [DELIVERY_ROWS, 1, 0]
    assert "← Newest" in second.text
    assert "There are no older deliveries." in third.text


async def test_members_send_so_many_forms_about_webhooks_and_end_one_all_the_same(
    world: World, receiver: Receiver
) -> None:
    """Each costs rows for weeks, and a test a message to somebody: in a loop it would be everybody's disk."""
    ann, olga, bob = [await signed_in(world, slug) for slug in ("acme", None, "globex")]
    await ann.post(WEBHOOKS, data={"url": receiver.url, "token": "t"})
    webhook = await only_webhook(world)
    for _ in range(WEBHOOK_FORMS.requests - 1):
        assert (await world.services.limiter.take_webhook_form(webhook.client_id)).allowed

    refused = [await ann.post(f"{WEBHOOKS}/{webhook.id}/{name}", data={}) for name in ("test", "rotate", "enable")]
    refused += [await ann.post(f"{WEBHOOKS}/{webhook.id}/send-again", data={"event": "evt_1"})]
    refused += [await ann.post(f"{WEBHOOKS}/{webhook.id}/update", data={"url": "https://other.example/"})]
    refused += [await ann.post(WEBHOOKS, data={"url": receiver.url, "token": "u"})]

    assert {answer.status_code for answer in refused} == {429}
    assert "Too many changes and tests of webhooks in an hour: come back in 1 minute" in plain(refused[0].text)
    assert await only_webhook(world) == webhook
    assert (await olga.post(f"{OF_ACME}/{webhook.id}/rotate")).status_code == 200
    assert (await bob.post(WEBHOOKS, data={"url": receiver.url, "token": "v"})).status_code == 200
    assert (await ann.post(f"{WEBHOOKS}/{webhook.id}/remove")).status_code == 303
