"""The queue of deliveries: in order, leased to one gateway, fair to webhooks, and each sent again on request."""

import msgspec
import pytest

from gateway.errors import UnknownRecord
from gateway.models import Client
from gateway.store import ClaimedDelivery, DeliveryAttempt, NewEvent, Store
from gateway.store.database import Transaction
from gateway.times import format_time
from tests.store.tables.records import NOW, TOMORROW, a_webhook, actions, add_webhook, an_entry, written
from tests.store.tables.test_events import an_event
from tests.support import START

LATER = "2026-04-01T03:05:00.000Z"
PAST = "2026-03-01T00:00:00.000Z"


async def happen(store: Store, client: Client, *subjects: str, connection_id: str | None = "conn_1") -> None:
    events: list[NewEvent] = [an_event(client, connection_id, subject=f"{connection_id} {each}") for each in subjects]
    await store.events.add(events)


async def due(store: Store, *, now: str = NOW, of_webhook: int = 2, passed_over: tuple[int, ...] = ()) -> list[int]:
    found = await store.deliveries.due(now=now, of_webhook=of_webhook, passed_over=passed_over, clients_passed_over=())
    return [each.number for each in found]


async def claim(store: Store, *, holder: str = "one", now: str = NOW, seconds: float = 60.0) -> list[ClaimedDelivery]:
    return await store.deliveries.claim(await due(store, now=now), holder=holder, seconds=seconds, now=now)


def attempt(**values: object) -> DeliveryAttempt:
    standard = {
        "at": NOW,
        "status": 204,
        "excerpt": "",
        "error": "",
        "is_success": True,
        "outcome": "delivered",
        "next_at": None,
    }
    return DeliveryAttempt(**{**standard, **values})  # type: ignore[arg-type]  # as the names say


def failure(**values: object) -> DeliveryAttempt:
    return attempt(**{"status": 500, "is_success": False, "outcome": None, "next_at": LATER} | values)


async def test_events_of_a_connection_wait_for_each_other_and_for_no_other(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a", "b")
    await happen(store, acme, "c", connection_id="conn_2")
    await happen(store, acme, "d", connection_id=None)

    first, *others = await claim(store, now=NOW)
    assert (first.number, len(others), await due(store, of_webhook=9)) == (1, 1, [4])
    assert await store.deliveries.conclude(first, failure(), holder="one") == "stored"
    assert 2 not in await due(store, of_webhook=9)
    (again,) = [each for each in await claim(store, now=LATER) if each.number == 1]
    assert again.attempts == 1
    assert await store.deliveries.conclude(again, attempt(), holder="one") == "stored"
    assert 2 in await due(store, of_webhook=9)


async def test_a_schedule_that_has_ended_lets_the_next_event_through(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a", "b")
    (first,) = await claim(store)

    await store.deliveries.conclude(first, failure(outcome="failed", next_at=None), holder="one")

    assert await due(store) == [2]


async def test_a_delivery_is_one_gateways_until_its_lease_ends(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a")
    (claimed,) = await claim(store, seconds=0.0)
    (taken_over,) = await claim(store, holder="two")

    assert await claim(store, holder="one") == []
    assert await store.deliveries.conclude(claimed, attempt(), holder="one") == "lost"
    assert await store.deliveries.conclude(taken_over, attempt(), holder="two") == "stored"
    assert await store.deliveries.conclude(taken_over, attempt(), holder="two") == "lost"


@pytest.mark.parametrize("holder", ["one", None])
async def test_a_lease_that_is_given_up_is_free(store: Store, acme: Client, holder: str | None) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a")
    await claim(store)

    await store.deliveries.release(holder="another")
    assert await due(store) == []
    await store.deliveries.release(holder=holder)
    assert await due(store) == [1]


async def test_each_webhook_has_its_first_delivery_before_any_has_its_second(
    store: Store, acme: Client, other: Client
) -> None:
    await add_webhook(store, acme)
    await add_webhook(store, other, "whk_2")
    for number in range(5):
        await happen(store, acme, "a", connection_id=f"conn_{number}")
    await happen(store, other, "a")

    assert await due(store) == [1, 6, 2]
    (webhook,) = {each.webhook_number for each in await claim(store) if each.client_id == acme.id}
    assert await due(store, passed_over=(webhook,)) == []
    await store.clients.disable(acme.id, at=NOW)
    assert await due(store) == []


async def test_webhooks_that_fail_come_after_those_that_answer_and_can_be_passed_over(
    store: Store, acme: Client, other: Client
) -> None:
    await add_webhook(store, acme)
    await add_webhook(store, other, "whk_2")
    await happen(store, acme, "a")
    (first,) = await claim(store)
    await store.deliveries.conclude(first, failure(next_at=NOW), holder="one")
    await happen(store, other, "a")

    assert await due(store) == [2, 1]
    spared = await store.deliveries.due(
        now=NOW, of_webhook=2, passed_over=(), clients_passed_over=(), passes_over_failing=True
    )
    assert [(each.number, each.is_failing) for each in spared] == [(2, False)]


async def test_what_is_claimed_has_all_that_sending_takes_and_shows_no_secret(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a")

    (claimed,) = await claim(store)

    assert (claimed.secret.reveal(), claimed.previous_secrets, claimed.event_type) == (
        "whsec_whk_1",
        (),
        "connection.late",
    )
    assert (claimed.url, claimed.connection_id, claimed.attempts) == ("https://hooks.example/", "conn_1", 0)
    assert repr(claimed) == "ClaimedDelivery(1, whk_1)"


async def test_a_webhook_remembers_its_first_failure_until_a_success(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a")

    for moment in (NOW, LATER):
        (claimed,) = await claim(store, now=TOMORROW)
        await store.deliveries.conclude(claimed, failure(at=moment, next_at=moment), holder="one")
    assert (await store.webhooks.any_by_id("whk_1")).failing_since == NOW
    (claimed,) = await claim(store, now=TOMORROW)
    await store.deliveries.conclude(claimed, attempt(at=TOMORROW), holder="one")

    webhook = await store.webhooks.any_by_id("whk_1")
    assert (webhook.failing_since, webhook.last_success_at) == (None, TOMORROW)


async def test_a_disabled_webhook_is_told_of_nothing_more(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a", "b")
    (claimed,) = await claim(store)

    gone = failure(
        status=410, outcome="failed", next_at=None, disabled_reason="gone", entry=an_entry("webhook.disable")
    )
    await store.deliveries.conclude(claimed, gone, holder="one")
    await happen(store, acme, "c")

    webhook = await store.webhooks.any_by_id("whk_1")
    assert (webhook.disabled_at, webhook.disabled_reason) == (NOW, "gone")
    deliveries = await store.delivery_pages.of_webhook(acme.id, "whk_1", limit=9)
    assert [(each.outcome, each.error) for each in deliveries] == [
        ("failed", "the webhook was disabled"),
        ("failed", ""),
    ]
    assert await actions(store) == ["webhook.create", "webhook.disable"]
    assert not await store.delivery_pages.send_again(acme.id, "whk_1", deliveries[0].event_id, now=NOW)

    await store.webhooks.enable(acme.id, "whk_1", now=NOW, entry=an_entry("webhook.enable"))
    await happen(store, acme, "d")
    assert await due(store) == [3]


async def test_what_waits_is_due_once_the_webhook_leads_elsewhere(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a")
    (claimed,) = await claim(store)
    await store.deliveries.conclude(claimed, failure(), holder="one")
    failing = await store.webhooks.any_by_id("whk_1")

    await store.webhooks.update(msgspec.structs.replace(failing, events=("sync.failed",)), entry=an_entry())
    assert (await due(store), (await store.webhooks.any_by_id("whk_1")).failing_since) == ([], NOW)
    await store.webhooks.update(msgspec.structs.replace(failing, url="https://new.example/"), entry=an_entry())

    (again,) = await claim(store)
    assert (again.url, again.attempts) == ("https://new.example/", 1)
    assert (await store.webhooks.any_by_id("whk_1")).failing_since is None


async def test_the_answer_of_an_address_that_was_left_disables_nothing(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a", "b")
    (claimed,) = await claim(store)
    await store.webhooks.update(msgspec.structs.replace(a_webhook(acme), url="https://new.example/"), entry=an_entry())
    gone = failure(status=410, outcome="failed", next_at=None, disabled_reason="gone", entry=an_entry())

    assert await store.deliveries.conclude(claimed, gone, holder="one") == "stored"

    assert (await store.webhooks.any_by_id("whk_1")).disabled_at is None
    assert await due(store) == [2]


async def test_an_ended_delivery_is_sent_again_behind_what_is_open(store: Store, acme: Client, other: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a", "b")
    (claimed,) = await claim(store)
    event = claimed.event_id
    assert not await store.delivery_pages.send_again(acme.id, "whk_1", event, now=NOW)
    await store.deliveries.conclude(claimed, attempt(excerpt="ok\0"), holder="one")

    assert not await store.delivery_pages.send_again(other.id, "whk_1", event, now=NOW)
    assert await store.delivery_pages.send_again(acme.id, "whk_1", event, now=NOW)

    last, second, first = await store.delivery_pages.of_webhook(acme.id, "whk_1", limit=9)
    assert (first.excerpt, first.outcome, second.next_at) == ("ok\ufffd", "delivered", NOW)
    assert (last.event_id, last.next_at) == (first.event_id, None)
    assert await store.delivery_pages.of_webhook(other.id, "whk_1", limit=9) == []
    assert await store.delivery_pages.of_webhook(acme.id, "whk_1", before=2, limit=9) == [first]


async def test_old_events_of_a_disabled_client_go_with_their_deliveries_and_keep_nobody_waiting(
    store: Store, acme: Client
) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a", "b")

    async def age(transaction: Transaction) -> None:
        await transaction.execute_fetchall("UPDATE events SET created_at = :past WHERE number = 1", {"past": PAST})

    await store.database.write(age)
    await store.clients.disable(acme.id, at=NOW)
    await store.events.prune(format_time(START))
    await store.clients.enable(acme.id)
    await store.deliveries.release_orphans(now=START)

    assert await due(store) == [2]


async def test_a_clock_that_was_ahead_once_keeps_nothing_waiting(store: Store, acme: Client) -> None:
    await add_webhook(store, acme, created_at="2036-04-01T03:00:00.000Z")
    await happen(store, acme, "a", "b")
    (first,) = await claim(store)
    await store.deliveries.conclude(first, failure(next_at="2036-04-01T03:00:05.000Z"), holder="one")

    await store.deliveries.release_orphans(now=START)

    assert await due(store) == [1]
    (again,) = await claim(store)
    await store.deliveries.conclude(again, failure(next_at=TOMORROW), holder="one")
    await store.deliveries.release_orphans(now=START)
    assert await due(store) == []


async def test_a_test_goes_to_one_webhook_and_waits_for_nothing(store: Store, acme: Client, other: Client) -> None:
    await add_webhook(store, acme, events=("sync.failed",))
    await add_webhook(store, acme, "whk_2")
    await happen(store, acme, "a", connection_id=None)
    event = an_event(acme, None, type="webhook.test", subject="random")

    number = await store.events.add_test(await store.webhooks.any_by_id("whk_1"), event)

    (delivery,) = await store.delivery_pages.of_webhook(acme.id, "whk_1", limit=9)
    assert (delivery.number, delivery.event_type, delivery.next_at) == (number, "webhook.test", NOW)
    with pytest.raises(UnknownRecord):
        await store.events.add_test(a_webhook(other), msgspec.structs.replace(event, subject="another"))


async def test_a_success_while_another_attempt_was_under_way_keeps_the_webhook(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a")
    await happen(store, acme, "b", connection_id="conn_2")
    for claimed in await claim(store):
        await store.deliveries.conclude(claimed, failure(next_at=TOMORROW), holder="one")
    first, second = await claim(store, now=TOMORROW)
    long = {"at": TOMORROW, "next_at": TOMORROW, "failing_before": NOW, "disabled_reason": "failing"}

    await store.deliveries.conclude(first, attempt(at=TOMORROW), holder="one")
    kept = await store.deliveries.conclude(second, failure(**long, entry=an_entry("webhook.disable")), holder="one")

    webhook = await store.webhooks.any_by_id("whk_1")
    assert (kept, webhook.disabled_at, webhook.failing_since) == ("stored", None, TOMORROW)
    (again,) = await claim(store, now=TOMORROW)
    disabling = failure(**{**long, "failing_before": TOMORROW}, entry=an_entry("webhook.disable"))
    assert await store.deliveries.conclude(again, disabling, holder="one") == "disabled"
    assert (await store.webhooks.any_by_id("whk_1")).disabled_reason == "failing"


async def test_a_failure_after_quiet_days_is_the_first_again(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a", "b")
    (given_up,) = await claim(store)
    await store.deliveries.conclude(given_up, failure(outcome="failed", next_at=None), holder="one")
    (later,) = await claim(store, now=TOMORROW)
    ended = failure(
        at=TOMORROW, quiet_before=LATER, failing_before=NOW, disabled_reason="failing", entry=an_entry(), next_at=LATER
    )

    assert await store.deliveries.conclude(later, ended, holder="one") == "stored"
    assert (await store.webhooks.any_by_id("whk_1")).failing_since == TOMORROW


async def test_what_is_still_to_be_delivered_is_kept(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a", "b")
    (first,) = await claim(store)

    await store.events.prune(TOMORROW)
    assert len(await written(store)) == 2
    await store.deliveries.conclude(first, attempt(at=TOMORROW), holder="one")
    await store.events.prune(TOMORROW)
    assert len(await written(store)) == 2
    await store.events.prune("2026-04-02T03:00:00.001Z")
    assert await due(store) == []
    assert await due(store, now=TOMORROW) == [2]
    await store.clients.disable(acme.id, at=NOW)
    await store.events.prune("2026-04-02T03:00:00.001Z")
    assert await written(store) == []
