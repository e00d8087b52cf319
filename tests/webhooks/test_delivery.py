"""Events on their way to real receivers: in order, signed, again after failures, and one tenant's beside another's."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as PublishedWebhook

from gateway.airbyte.tls import verifying_tls
from gateway.errors import InvalidInput, OperatorError
from gateway.models import Delivery
from gateway.sandbox.timeline import Status
from gateway.store import DatabaseLocation, Store
from gateway.store.timings import StoreTimings
from gateway.syncs.timings import LastSyncTimings, SyncTimings
from gateway.webhooks.delivery import NOT_SENT
from gateway.webhooks.endpoints import NewWebhook
from gateway.webhooks.sender import NOT_TRUSTED
from gateway.webhooks.timings import DeliveryLimits, DeliveryTimings, WebhookTimings
from gateway.webhooks.webhooks import Outside, build_webhooks
from tests.faults.test_upstream_connect import RIGHT_NAME, certificate_of_an_authority
from tests.other_program import other_program
from tests.postgres import PostgresServer
from tests.support import BOUND_SECONDS, START, World, running_gateway, store_at
from tests.webhooks.support import ALLOWED, Receiver, receiving

SOON = WebhookTimings(delivery=DeliveryTimings(poll=0.01, idle_poll=0.01, jitter=0.0))
RARELY = SyncTimings(last_sync=LastSyncTimings(shortest_watch=3600.0))
"""Nothing is refreshed but on request."""
RUNNING_SECONDS = 5
"""After so long a sync of the sandbox runs, and has not ended."""
RUNNING = START + timedelta(seconds=RUNNING_SECONDS)


@asynccontextmanager
async def gateway(folder: Path, *, location: DatabaseLocation | None = None) -> AsyncIterator[World]:
    async with running_gateway(
        folder, location=location, sync_timings=RARELY, webhook_timings=SOON, **ALLOWED
    ) as world:
        yield world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with gateway(tmp_path) as running:
        await running.client_with_key("acme")
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def add(world: World, receiver: Receiver, slug: str = "acme") -> NewWebhook:
    return await world.services.webhooks.endpoints.add(slug, url=receiver.url)


async def deliveries(world: World, new: NewWebhook) -> list[Delivery]:
    return await world.services.store.delivery_pages.of_webhook(new.record.client_id, new.record.id, limit=100)


async def until_ended(world: World, new: NewWebhook) -> list[Delivery]:
    async with asyncio.timeout(BOUND_SECONDS):
        rows = await deliveries(world, new)
        while any(each.outcome is None for each in rows):
            await asyncio.sleep(0.01)
            rows = await deliveries(world, new)
    return rows


async def until_attempted(world: World, new: NewWebhook, attempts: int) -> None:
    """Wait until the oldest delivery was stored as attempted so often."""
    async with asyncio.timeout(BOUND_SECONDS):
        while (await deliveries(world, new))[-1].attempts < attempts:
            await asyncio.sleep(0.01)


async def sync(world: World, theirs: str, status: Status) -> None:
    """Have a sync begin and end in Airbyte at once, and the gateway learn of it."""
    now = world.clock.now().timestamp()
    world.sandbox.world.add_job(theirs, status=status, created_at=now, duration_seconds=0.0)
    await world.services.syncs.last_sync.refresh_if_older(0)


async def test_a_sync_is_told_from_its_beginning_to_its_end(world: World, receiver: Receiver) -> None:
    ours, theirs = await world.mapped_connection()
    new = await add(world, receiver)

    world.sandbox.world.trigger(theirs, "sync")
    await world.services.syncs.last_sync.refresh_if_older(0)
    world.clock.advance(RUNNING_SECONDS)
    await world.services.syncs.last_sync.refresh_if_older(0)
    await receiver.until(1)
    world.clock.advance(3600)
    await world.services.syncs.last_sync.refresh_if_older(0)
    await receiver.until(2)

    assert receiver.types == ["sync.started", "sync.succeeded"]
    assert {message.content["data"]["connection"] for message in receiver.messages} == {ours}
    for message, moment in zip(receiver.messages, (RUNNING, RUNNING + timedelta(hours=1)), strict=True):
        assert list(message.content) == ["type", "timestamp", "data"]
        signature = PublishedWebhook(new.secret).sign(message.event_id, moment, message.body.decode())
        assert message.headers["webhook-signature"] == signature


async def test_a_failed_sync_is_told_with_its_reason(world: World, receiver: Receiver) -> None:
    _, theirs = await world.mapped_connection()
    await add(world, receiver)
    await add(world, receiver)

    await sync(world, theirs, "failed")
    await receiver.until(4)

    failed = [message for message in receiver.messages if message.content["type"] == "sync.failed"]
    assert len({message.body for message in failed}) == 1
    assert failed[0].content["data"]["failure"]["origin"] in {"source", "destination", "platform", "unknown"}


async def test_a_failed_sync_is_told_without_a_reason_while_airbyte_gives_none(
    world: World, receiver: Receiver
) -> None:
    _, theirs = await world.mapped_connection()
    await world.services.webhooks.endpoints.add("acme", url=receiver.url, events=["sync.failed"])
    world.sandbox.world.add_job(theirs, status="failed")
    await world.services.syncs.last_sync.refresh_if_older(0)
    world.sandbox.world.forget_connection(theirs)

    await receiver.until(1)

    assert "failure" in receiver.messages[0].content["data"]


async def test_a_failing_receiver_gets_each_event_in_order_at_last(world: World, receiver: Receiver) -> None:
    _, theirs = await world.mapped_connection()
    new = await add(world, receiver)
    answers = iter([500, 307, 503])
    receiver.answer = lambda _: next(answers, 200)

    await sync(world, theirs, "succeeded")
    for attempts, pause in enumerate((5, 300, 1800), 1):
        await until_attempted(world, new, attempts)
        assert len(receiver.messages) == attempts
        world.clock.advance(pause)
    await receiver.until(5)

    assert receiver.types == ["sync.started"] * 4 + ["sync.succeeded"]
    assert len({message.event_id for message in receiver.messages}) == 2
    last, first = await until_ended(world, new)
    assert (first.attempts, first.outcome, last.attempts, last.excerpt) == (4, "delivered", 1, "ok")
    counted = world.services.metrics.render().decode()
    for outcome, count in (("delivered", 2), ("failed", 3), ("given_up", 0)):
        assert f'gateway_webhook_attempts_total{{outcome="{outcome}"}} {count}.0' in counted


async def test_what_cannot_be_sent_at_all_is_an_attempt_that_failed(world: World, receiver: Receiver) -> None:
    new = await add(world, receiver)
    # As of a gateway that still took such an address.
    await world.services.store.database.write(
        lambda transaction: transaction.execute_fetchall("UPDATE webhooks SET url = 'https://999.1.1.1/secret'"),
        housekeeping=True,
    )
    await world.services.webhooks.endpoints.test(new.record.id)
    await until_attempted(world, new, 1)

    (row,) = await deliveries(world, new)
    assert (row.outcome, row.error) == (None, NOT_SENT)


@pytest.mark.parametrize("is_named", [True, False])
async def test_a_receiver_inside_may_have_a_certificate_of_the_operators_own_authority(
    tmp_path: Path, *, is_named: bool
) -> None:
    tls, authority = certificate_of_an_authority(tmp_path, *RIGHT_NAME)
    inside = {**ALLOWED["webhooks"], "ca_file": authority.name if is_named else ""}
    async with (
        receiving(tls) as inner,
        running_gateway(tmp_path, sync_timings=RARELY, webhook_timings=SOON, webhooks=inside) as world,
    ):
        await world.client_with_key()
        new = await add(world, inner)
        await world.services.webhooks.endpoints.test(new.record.id)
        await until_attempted(world, new, 1)
        (row,) = await deliveries(world, new)

    assert (row.outcome, row.error) == (("delivered", "") if is_named else (None, NOT_TRUSTED))


async def test_a_file_of_authorities_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"^webhooks\.ca_file: .*none\.pem: cannot be read"):
        async with running_gateway(tmp_path, webhooks={"ca_file": "none.pem"}):
            pass


async def test_no_client_is_told_of_anothers_events(world: World, receiver: Receiver) -> None:
    await world.client_with_key("globex")
    async with receiving() as other:
        await add(world, receiver)
        await add(world, other, "globex")
        for slug in ("acme", "globex"):
            ours, theirs = await world.mapped_connection(slug)
            await sync(world, theirs, "succeeded")
            await world.key(slug)
            target = receiver if slug == "acme" else other
            await target.until(3)
            told = [message.content["data"] for message in target.messages]
            assert {each["connection"] for each in told if "connection" in each} == {ours}
        assert len(receiver.messages) == len(other.messages) == 3


async def test_a_receiver_that_hangs_keeps_nobody_elses_events(world: World, receiver: Receiver) -> None:
    await world.client_with_key("globex")
    receiver.answer = lambda _: None
    await add(world, receiver)
    for _ in range(10):
        _, theirs = await world.mapped_connection()
        world.sandbox.world.add_job(theirs, status="failed")
    async with receiving() as other:
        await add(world, other, "globex")
        _, theirs = await world.mapped_connection("globex")
        await sync(world, theirs, "succeeded")

        await other.until(2)

        assert len(receiver.messages) <= DeliveryLimits().of_webhook


async def test_a_lease_that_ends_while_an_event_is_being_sent_takes_no_room_for_good(tmp_path: Path) -> None:
    """As when the machine slept: the event is due again, and is being sent still."""
    patient = DeliveryTimings(message=10 * BOUND_SECONDS, poll=0.01, idle_poll=0.01, lease=0.0)
    asleep = WebhookTimings(delivery=patient)
    async with (
        receiving() as receiver,
        running_gateway(tmp_path, sync_timings=RARELY, webhook_timings=asleep, **ALLOWED) as world,
    ):
        receiver.answer = lambda _: None
        await world.client_with_key("acme")
        new = await add(world, receiver)
        await world.services.webhooks.endpoints.test(new.record.id)
        await receiver.until(1)
        for _ in range(3):
            await world.services.webhooks.delivery.send_due()
        assert len(receiver.messages) == 1
        receiver.release.set()
        await until_ended(world, new)

        receiver.release.clear()
        for _ in range(DeliveryLimits().of_webhook):
            await world.services.webhooks.endpoints.test(new.record.id)
        await receiver.until(1 + DeliveryLimits().of_webhook)


async def test_what_could_not_be_stored_at_once_is_stored_later_and_not_sent_again(tmp_path: Path) -> None:
    soon = WebhookTimings(delivery=DeliveryTimings(poll=0.01, idle_poll=0.01, store_again=0.01))
    impatient = StoreTimings(write_lock=0.5)
    async with (
        receiving() as receiver,
        running_gateway(
            tmp_path, sync_timings=RARELY, webhook_timings=soon, store_timings=impatient, **ALLOWED
        ) as world,
    ):
        receiver.answer = lambda _: None
        await world.client_with_key("acme")
        new = await add(world, receiver)
        await world.services.webhooks.endpoints.test(new.record.id)
        await receiver.until(1)
        with other_program(world.services.settings.database_location) as other:
            other.keep_others_from_writing()
            before = failed_writes(world)
            receiver.release.set()
            async with asyncio.timeout(BOUND_SECONDS):
                while failed_writes(world) == before:
                    await asyncio.sleep(0.01)
        (row,) = await until_ended(world, new)

    assert (row.outcome, row.attempts, len(receiver.messages)) == ("delivered", 1, 1)


def failed_writes(world: World) -> float:
    failures = world.services.store.health.failures
    return sum(count for (operation, _), count in failures.items() if operation == "write")


async def test_a_webhook_that_is_gone_is_told_of_nothing_more(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda _: 410
    new = await add(world, receiver)
    await world.key()
    await until_ended(world, new)
    await world.key()

    assert len(await deliveries(world, new)) == 1
    assert (await world.services.webhooks.endpoints.find(new.record.id)).disabled_reason == "gone"
    (entry, *_) = await world.services.store.activity.of_client(new.record.client_id, limit=9)
    assert (entry.action, entry.actor) == ("key.create", "command line")
    with pytest.raises(InvalidInput):
        await world.services.webhooks.endpoints.test(new.record.id)

    receiver.answer = lambda _: 200
    await world.services.webhooks.endpoints.enable(new.record.id)
    await world.services.webhooks.endpoints.test(new.record.id)
    await receiver.until(2)
    assert receiver.types == ["key.created", "webhook.test"]


async def test_both_secrets_of_a_rotation_sign_for_a_day(world: World, receiver: Receiver) -> None:
    old = await add(world, receiver)
    new = await world.services.webhooks.endpoints.rotate(old.record.id)
    for count, seconds in enumerate((86_399, 1), 1):
        world.clock.advance(seconds)
        await world.services.webhooks.endpoints.test(old.record.id)
        await receiver.until(count)

    signed = [message.headers["webhook-signature"].split(" ") for message in receiver.messages]
    assert [len(each) for each in signed] == [2, 1]
    moment = START + timedelta(seconds=86_399)
    for secret, signature in zip((new.secret, old.secret), signed[0], strict=True):
        message = receiver.messages[0]
        assert PublishedWebhook(secret).sign(message.event_id, moment, message.body.decode()) == signature


async def test_every_secret_of_the_last_day_signs(world: World, receiver: Receiver) -> None:
    endpoints = world.services.webhooks.endpoints
    first = await add(world, receiver)
    second = await endpoints.rotate(first.record.id)
    world.clock.advance(3600)
    third = await endpoints.rotate(first.record.id)
    for count, seconds in enumerate((82_799, 1), 1):
        world.clock.advance(seconds)
        await endpoints.test(first.record.id)
        await receiver.until(count)

    moment = START + timedelta(seconds=86_399)
    for message, secrets in zip(receiver.messages, [(third, second, first), (third, second)], strict=True):
        signatures = [
            PublishedWebhook(each.secret).sign(message.event_id, moment, message.body.decode()) for each in secrets
        ]
        assert message.headers["webhook-signature"].split(" ") == signatures
        moment += timedelta(seconds=1)


async def test_what_was_being_sent_when_the_gateway_stopped_is_sent_by_the_next(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: None
    async with gateway(tmp_path) as world:
        await world.client_with_key()
        await add(world, receiver)
        await world.key()
        await receiver.until(1)
        location = world.services.settings.database_path
    receiver.answer = lambda _: 200

    async with gateway(tmp_path, location=location):
        await receiver.until(2)

    assert len({message.event_id for message in receiver.messages}) == 1


@pytest.fixture
def shared(postgres: PostgresServer) -> DatabaseLocation:
    return postgres.without_rows()


async def test_two_gateways_send_each_event_once(tmp_path: Path, shared: DatabaseLocation, receiver: Receiver) -> None:
    async with gateway(tmp_path, location=shared) as world, store_at(shared) as store, sending(world, store):
        await world.client_with_key()
        new = await add(world, receiver)
        for _ in range(10):
            await world.services.webhooks.endpoints.test(new.record.id)

        await receiver.until(10)
        rows = await until_ended(world, new)

    assert len(receiver.messages) == len({message.event_id for message in receiver.messages}) == len(rows) == 10


@asynccontextmanager
async def sending(world: World, store: Store) -> AsyncIterator[None]:
    """Send what is due as another gateway of the same database does."""
    services = world.services
    webhooks = build_webhooks(
        store,
        services.syncs,
        world.clock,
        settings=services.settings,
        outside=Outside(
            tls=verifying_tls,
            new_id=lambda prefix: f"another {prefix}",
            random_bytes=random.randbytes,
            part=random.random,
            count_attempt=lambda _outcome: None,
        ),
        timings=SOON,
    )
    task = asyncio.create_task(webhooks.delivery.run(lambda: None))
    yield
    task.cancel()
    await asyncio.wait({task})
    await webhooks.delivery.close()
