"""The room's collaborators, built for one gateway."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.settings import Settings, WebhookSettings
from gateway.store import Store
from gateway.syncs.syncs import Syncs
from gateway.times import Clock
from gateway.webhooks.delivery import WebhookDelivery
from gateway.webhooks.destination import Destinations
from gateway.webhooks.due_events import DueEvents
from gateway.webhooks.endpoints import WebhookService
from gateway.webhooks.message import Messages
from gateway.webhooks.name_lookup import NameLookup
from gateway.webhooks.timings import WebhookTimings

if TYPE_CHECKING:
    from gateway.webhooks.sender import Sender


@dataclass(frozen=True, slots=True)
class Outside:
    """What comes from outside: whom to trust, identifiers by their prefix, bytes of secrets, a number from 0 to 1.

    `tls` takes a file of authorities that are trusted too, if there is one. `count_attempt` is called with how each
    attempt to send an event ended.
    """

    tls: Callable[[Path | None], ssl.SSLContext]
    new_id: Callable[[str], str]
    random_bytes: Callable[[int], bytes]
    part: Callable[[], float]
    count_attempt: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What tells clients' own servers of events."""

    endpoints: WebhookService
    delivery: WebhookDelivery
    due_events: DueEvents


def build_webhooks(
    store: Store,
    syncs: Syncs,
    clock: Clock,
    *,
    settings: Settings,
    outside: Outside,
    timings: WebhookTimings,
) -> Webhooks:
    """Build everything, start nothing. Raises OperatorError if the file of authorities cannot be used."""
    destinations, tls = _destinations(settings.webhooks), _tls(outside, settings.webhook_ca_file)
    return Webhooks(
        endpoints=WebhookService(
            store,
            destinations,
            clock,
            new_id=outside.new_id,
            random_bytes=outside.random_bytes,
            timings=timings,
        ),
        delivery=WebhookDelivery(
            store,
            Messages(store, syncs.job_details, explain_seconds=timings.delivery.explain),
            lambda: _sender(destinations, tls, seconds=timings.delivery.message),
            clock,
            holder=outside.new_id("sender"),
            part=outside.part,
            count_attempt=outside.count_attempt,
            timings=timings.delivery,
            limits=timings.limits,
        ),
        due_events=DueEvents(
            store,
            clock,
            syncs.last_sync.is_current_for,
            grace=settings.airbyte.late_grace,
            timings=timings.due,
        ),
    )


def _tls(outside: Outside, ca_file: Path | None) -> Callable[[], ssl.SSLContext]:
    """Return what makes a context. Raises OperatorError now, not with each message, for a file that cannot be used."""
    tls = partial(outside.tls, ca_file)
    if ca_file is not None:
        tls()
    return tls


def _destinations(options: WebhookSettings) -> Destinations:
    return Destinations(options.allowed_networks, allow_http=options.allow_http, look_up=NameLookup())


def _sender(destinations: Destinations, tls: Callable[[], ssl.SSLContext], *, seconds: float) -> "Sender":
    # Not above: its library takes a tenth of what a command needs to start, and no command sends.
    from gateway.webhooks.sender import HttpSender  # noqa: PLC0415 - see the line before

    return HttpSender(destinations, tls, seconds=seconds)
