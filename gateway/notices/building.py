"""Build the room's collaborators from the settings."""

import ssl
from collections.abc import Callable
from functools import partial

from gateway.airbyte import Airbyte
from gateway.airbyte.tls import verifying_tls
from gateway.notices.channels import Channel, MailChannel, WebhookChannel
from gateway.notices.mail import Mailer
from gateway.notices.matters import MatterLimits, Matters
from gateway.notices.watch import NoticeTimings, NoticeWatch
from gateway.settings import Settings
from gateway.store import Store
from gateway.store.leadership import Leadership
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.times import Clock
from gateway.webhooks.destination import Destinations
from gateway.webhooks.name_lookup import NameLookup
from gateway.webhooks.sender import HttpSender

EVERYWHERE = ("0.0.0.0/0", "::/0")
"""The operator's own receiver may stand in any network: he chose it."""


def build_mailer(settings: Settings, clock: Clock) -> Mailer | None:
    """Return what sends mail; None without a mail server."""
    notify = settings.notify
    return Mailer(notify.smtp_url, notify.mail_from, _tls(settings), clock) if notify.smtp_url else None


def build_notices(
    settings: Settings,
    mailer: Mailer | None,
    store: Store,
    airbyte: Airbyte,
    last_sync: LastSyncRefresh,
    *,
    clock: Clock,
    leadership: Leadership,
    new_id: Callable[[], str],
    timings: NoticeTimings | None = None,
) -> NoticeWatch:
    """Build everything, start nothing. `new_id` names a message."""
    limits = MatterLimits(
        backup_folder=settings.backup_folder, backup_max_age_hours=settings.notify.backup_max_age_hours
    )
    path = settings.database_path if settings.database.is_file else None
    matters = Matters(store, airbyte, last_sync, limits, clock=clock, database_path=path)
    channels = _channels(settings, mailer, clock, new_id)
    return NoticeWatch(store, matters, channels, clock, leadership=leadership, timings=timings or NoticeTimings())


def _channels(settings: Settings, mailer: Mailer | None, clock: Clock, new_id: Callable[[], str]) -> list[Channel]:
    notify = settings.notify
    channels: list[Channel] = []
    if mailer is not None and notify.mail_to:
        channels.append(MailChannel(mailer, notify.mail_to, settings.server.address))
    if notify.webhook_url:
        destinations = Destinations(EVERYWHERE, allow_http=True, look_up=NameLookup())
        sender = HttpSender(destinations, _tls(settings))
        channels.append(WebhookChannel(sender, notify.webhook_url, notify.webhook_secret, clock, new_id))
    return channels


def _tls(settings: Settings) -> Callable[[], ssl.SSLContext]:
    return partial(verifying_tls, settings.ca_file)
