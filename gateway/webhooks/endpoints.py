"""What clients and operators do with webhooks: add, update, test, rotate, enable, remove. Each is in the activity."""

from collections.abc import Callable, Sequence

import msgspec

from gateway.errors import InvalidInput, UnknownRecord
from gateway.models import (
    COMMAND_LINE,
    EVENT_TYPES,
    TEST_EVENT,
    ActivityEntry,
    Actor,
    EventType,
    TestRow,
    Webhook,
    activity_entry,
)
from gateway.settings.secret import Secret
from gateway.store import NewEvent, Store
from gateway.times import Clock, format_time
from gateway.webhooks.destination import Destinations
from gateway.webhooks.signature import new_secret
from gateway.webhooks.timings import WebhookTimings

MOST_WEBHOOKS = 10
"""Of one client."""


class NewWebhook(msgspec.Struct, frozen=True):
    """A webhook with a new secret, at the only moment it is shown."""

    record: Webhook
    secret: str

    def __repr__(self) -> str:
        return f"NewWebhook({self.record.id})"


class WebhookService:
    """Webhooks. `by` is who the activity log says it was.

    Where `client_id` is given, a webhook or slug that is not that client's is as unknown as one that never was.
    """

    def __init__(
        self,
        store: Store,
        destinations: Destinations,
        clock: Clock,
        *,
        new_id: Callable[[str], str],
        random_bytes: Callable[[int], bytes],
        timings: WebhookTimings,
    ) -> None:
        """`new_id` makes an identifier with a prefix; `random_bytes` gives so many bytes."""
        self._clients = store.clients
        self._webhooks = store.webhooks
        self._events = store.events
        self._destinations = destinations
        self._clock = clock
        self._new_id = new_id
        self._random_bytes = random_bytes
        self._timings = timings

    async def add(
        self,
        client_slug: str,
        *,
        url: str,
        events: Sequence[str] = (),
        connections: Sequence[str] = (),
        client_id: int | None = None,
        webhook_id: str | None = None,
        by: Actor = COMMAND_LINE,
    ) -> NewWebhook:
        """Add a webhook, told of all events and connections where none are named.

        Raises InvalidInput, also if the client has ten; UnknownRecord; Duplicate if a given `webhook_id` is taken.
        """
        client = await self._clients.by_slug(client_slug)
        if client_id not in {None, client.id}:
            raise UnknownRecord(f"the client {client_slug!r} was removed")
        self._destinations.require_allowed(url)
        webhook = Webhook(
            id=webhook_id or self._new_id("whk"),
            client_id=client.id,
            url=url,
            created_at=self._now(),
            events=event_types(events),
            connections=tuple(dict.fromkeys(connections)),
        )
        secret = new_secret(self._random_bytes)
        entry = self._entry(by, "webhook.create", webhook)
        await self._webhooks.add(webhook, secret=Secret(secret), most=MOST_WEBHOOKS, entry=entry)
        return NewWebhook(webhook, secret)

    async def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        connections: Sequence[str] | None = None,
        client_id: int | None = None,
        by: Actor = COMMAND_LINE,
    ) -> Webhook:
        """Change where a webhook leads and what it is told of; what is None stays, and its secret too.

        Raises InvalidInput, UnknownRecord.
        """
        known = await self.find(webhook_id, client_id)
        wanted = msgspec.structs.replace(
            known,
            url=known.url if url is None else url,
            events=known.events if events is None else event_types(events),
            connections=known.connections if connections is None else tuple(dict.fromkeys(connections)),
        )
        if wanted.url != known.url:
            self._destinations.require_allowed(wanted.url)
        if wanted != known:
            await self._webhooks.update(wanted, entry=self._entry(by, "webhook.update", wanted))
        return await self.find(webhook_id, known.client_id)

    def require_allowed(self, url: str) -> None:
        """Check a webhook's URL as `add` does. Raises InvalidInput."""
        self._destinations.require_allowed(url)

    async def rotate(self, webhook_id: str, *, client_id: int | None = None, by: Actor = COMMAND_LINE) -> NewWebhook:
        """Sign with a new secret, and for a day with the present one too. Raises UnknownRecord."""
        webhook = await self.find(webhook_id, client_id)
        secret = new_secret(self._random_bytes)
        await self._webhooks.rotate(
            webhook.client_id,
            webhook.id,
            secret=Secret(secret),
            now=self._now(),
            previous_until=format_time(self._clock.now() + self._timings.rotation),
            entry=self._entry(by, "webhook.rotate", webhook),
        )
        return NewWebhook(await self.find(webhook_id, webhook.client_id), secret)

    async def enable(self, webhook_id: str, *, client_id: int | None = None, by: Actor = COMMAND_LINE) -> Webhook:
        """Have a disabled webhook told of events again, from now on. Raises UnknownRecord."""
        webhook = await self.find(webhook_id, client_id)
        entry = self._entry(by, "webhook.enable", webhook)
        await self._webhooks.enable(webhook.client_id, webhook.id, now=self._now(), entry=entry)
        return await self.find(webhook_id, webhook.client_id)

    async def remove(self, webhook_id: str, *, client_id: int | None = None, by: Actor = COMMAND_LINE) -> Webhook:
        """Tell the webhook of nothing more, and forget its deliveries. Raises UnknownRecord."""
        webhook = await self.find(webhook_id, client_id)
        await self._webhooks.remove(webhook.client_id, webhook.id, entry=self._entry(by, "webhook.remove", webhook))
        return webhook

    async def test(self, webhook_id: str, *, client_id: int | None = None) -> int:
        """Have a test event sent; return its delivery's number.

        Raises UnknownRecord; InvalidInput if it or its client is disabled, or ten tests are on their way.
        """
        webhook = await self.find(webhook_id, client_id)
        event = NewEvent(
            client_id=webhook.client_id,
            type=TEST_EVENT,
            subject=self._new_id("test"),
            at=self._now(),
            data=TestRow(webhook.id),
        )
        return await self._events.add_test(webhook, event)

    async def find(self, webhook_id: str, client_id: int | None = None) -> Webhook:
        """Return the webhook. Raises UnknownRecord."""
        if client_id is None:
            return await self._webhooks.any_by_id(webhook_id)
        return await self._webhooks.by_id(client_id, webhook_id)

    def _entry(self, by: Actor, action: str, webhook: Webhook) -> ActivityEntry:
        return activity_entry(by, action, webhook, at=self._now())

    def _now(self) -> str:
        return format_time(self._clock.now())


def event_types(names: Sequence[str]) -> tuple[EventType, ...]:
    """Return the types of events with these names, each once. Raises InvalidInput for any other."""
    unknown = sorted(set(names) - set(EVENT_TYPES))
    if unknown:
        raise InvalidInput(f"there is no event {unknown[0]!r}; the events are {', '.join(EVENT_TYPES)}")
    return tuple(each for each in EVENT_TYPES if each in names)
