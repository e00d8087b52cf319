"""Build the room's collaborators from the settings."""

import secrets
import ssl
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from gateway.airbyte import Airbyte
from gateway.airbyte.tls import verifying_tls
from gateway.notices.channels import Channel, MailChannel, WebhookChannel
from gateway.notices.mail import Mailer
from gateway.notices.matters import BackupLimit, Matters
from gateway.notices.timings import NoticeTimings
from gateway.notices.watch import NoticeWatch
from gateway.settings import Settings
from gateway.settings.brand import CurrentBrand
from gateway.store import Store
from gateway.store.leadership import Leadership
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.times import Clock
from gateway.webhooks.destination import Destinations
from gateway.webhooks.name_lookup import NameLookup
from gateway.webhooks.timings import DeliveryTimings

EVERYWHERE = ("0.0.0.0/0", "::/0")
"""The operator's own receiver may stand in any network: he chose it."""


class Notices(NamedTuple):
    """What tells the operator, and sends links to people; no mailer without a mail server."""

    watch: NoticeWatch
    mailer: Mailer | None


def build_notices(
    settings: Settings,
    store: Store,
    airbyte: Airbyte,
    last_sync: LastSyncRefresh,
    *,
    brand: CurrentBrand,
    clock: Clock,
    leadership: Leadership,
    timings: NoticeTimings,
) -> Notices:
    """Build everything, start nothing."""
    notify = settings.notify
    backups = BackupLimit(settings.backup_folder, notify.backup_max_age_hours)
    path = settings.database_path if settings.database.is_file else None
    matters = Matters(store, airbyte, last_sync, backups, clock=clock, database_path=path, timings=timings)
    mailer = Mailer(notify.smtp_url, notify.mail_from, _tls(settings), clock, timings.mail) if notify.smtp_url else None
    channels = _channels(settings, mailer, brand, clock)
    return Notices(NoticeWatch(store, matters, channels, clock, leadership=leadership, timings=timings), mailer)


def _channels(settings: Settings, mailer: Mailer | None, brand: CurrentBrand, clock: Clock) -> list[Channel]:
    notify = settings.notify
    channels: list[Channel] = []
    if mailer is not None and notify.mail_to:
        channels.append(MailChannel(mailer, notify.mail_to, settings.server.address, brand))
    if notify.webhook_url:
        # Not above: its library takes a tenth of what a command needs to start, and few of them send.
        from gateway.webhooks.sender import HttpSender  # noqa: PLC0415 - see the line before

        destinations = Destinations(EVERYWHERE, allow_http=True, look_up=NameLookup())
        sender = HttpSender(destinations, _tls(settings), seconds=DeliveryTimings().message)
        channels.append(WebhookChannel(sender, notify.webhook_url, notify.webhook_secret, clock, _new_id))
    return channels


def _new_id() -> str:
    return f"msg_{secrets.token_urlsafe(16)}"


def _tls(settings: Settings) -> Callable[[], ssl.SSLContext]:
    return partial(verifying_tls, settings.ca_file)
