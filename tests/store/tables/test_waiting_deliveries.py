"""How many events wait for a webhook: the oldest give way, what is being sent does not; no other webhook suffers."""

from datetime import timedelta

from gateway.models import Client, Delivery
from gateway.store import Store
from gateway.store.tables.delivery_pages import DeliveryPages
from gateway.store.tables.events import Events, EventWriter
from gateway.store.tables.waiting_deliveries import GIVEN_UP, WaitingDeliveries, WebhookFigures
from tests.store.tables.records import NOW, add_webhook, an_entry
from tests.store.tables.test_deliveries import attempt, claim, due, failure, happen
from tests.store.tables.test_events import an_event
from tests.support import START, HandClock

FEW = 3


def bounded(store: Store) -> WaitingDeliveries:
    return WaitingDeliveries(store.database, most=FEW)


async def happen_bounded(store: Store, client: Client, *connections: str, first: int = 0) -> None:
    """An event of each of these connections, one transaction each, numbered from the `first` on."""
    events = Events(store.database, EventWriter(store.database.dialect, HandClock(), bounded(store)))
    for number, connection in enumerate(connections, first):
        await events.add([an_event(client, connection, subject=f"{connection} {number}")])


async def of(store: Store, client: Client, webhook_id: str = "whk_1") -> list[Delivery]:
    """Oldest first."""
    return list(reversed(await store.delivery_pages.of_webhook(client.id, webhook_id, limit=99)))


async def test_the_oldest_events_are_given_up_and_their_successors_are_due(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)

    await happen_bounded(store, acme, "stuck", "stuck", "stuck", "other")

    first, second, *_ = rows = await of(store, acme)
    assert [(each.outcome, each.error) for each in rows] == [("failed", GIVEN_UP), *[(None, None)] * 3]
    assert (first.next_at, second.next_at) == (None, NOW)
    assert await due(store, of_webhook=9) == [2, 4]
    assert [each.overflowed_at for each in await store.webhooks.all()] == [NOW]


async def test_what_is_being_sent_is_not_given_up(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen_bounded(store, acme, "stuck")
    (first,) = await claim(store)

    await happen_bounded(store, acme, *["stuck"] * FEW, first=1)

    assert [each.outcome for each in await of(store, acme)] == [None, "failed", None, None]
    assert await due(store) == []
    assert await store.deliveries.conclude(first, attempt(), holder="one") == "stored"
    assert await due(store) == [3]


async def test_no_other_webhook_notices(store: Store, acme: Client, other: Client) -> None:
    await add_webhook(store, other, "whk_2")
    await happen(store, other, "a", "b", "c")
    await add_webhook(store, acme)

    await happen_bounded(store, acme, *["stuck"] * 9)

    assert [each.outcome for each in await of(store, other, "whk_2")] == [None] * 3
    assert [webhook.id for webhook, _ in await store.webhooks.overflowed(since="")] == ["whk_1"]
    assert await store.webhooks.overflowed(since=NOW) == []


async def test_sending_again_is_bounded_too(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await happen(store, acme, "a")
    (first,) = await claim(store)
    await store.deliveries.conclude(first, attempt(), holder="one")
    pages = DeliveryPages(store.database, bounded(store))

    for _ in range(9):
        assert await pages.send_again(acme.id, "whk_1", first.event_id, now=NOW)

    assert [each.outcome for each in await of(store, acme)].count(None) == FEW


async def test_the_figures_count_what_waits_and_what_is_due(store: Store, acme: Client, other: Client) -> None:
    await add_webhook(store, acme)
    await add_webhook(store, other, "whk_2")
    later = START + timedelta(minutes=2)
    assert await store.waiting_deliveries.figures(now=later) == WebhookFigures(0, 0.0, 0)

    await happen(store, acme, "a", "b")
    await happen(store, other, "a")
    assert await store.waiting_deliveries.figures(now=later) == WebhookFigures(3, 120.0, 0)

    first, second = await claim(store)
    gone = failure(status=410, outcome="failed", next_at=None, disabled_reason="gone", entry=an_entry())
    await store.deliveries.conclude(second, gone, holder="one")
    assert await store.waiting_deliveries.figures(now=later) == WebhookFigures(2, 0.0, 1)

    await store.clients.disable(other.id, at=NOW)
    await store.clients.disable(acme.id, at=NOW)
    assert await store.waiting_deliveries.figures(now=later) == WebhookFigures(0, 0.0, 0)
    assert first.client_id == acme.id
