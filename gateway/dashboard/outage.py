"""Since when, and why, Airbyte gives no good answer: operators read the cause with addresses, members without."""

from gateway.errors import StorageUnavailable
from gateway.models import Outage, Trouble, TroubleKind, Visitor
from gateway.services import Services

WORDS_FOR_MEMBERS: dict[TroubleKind, str] = {
    "name": "its host has no address",
    "refused": "nothing listens at its address",
    "timeout": "it does not answer in time",
    "certificate": "its certificate is not good",
    "no TLS": "it does not speak TLS",
    "broken": "it breaks the connection off",
    "proxy": "the proxy does not lead to it",
    "failing": "it, or a proxy in front of it, fails",
    "credential": "it refuses the gateway’s credential",  # noqa: RUF001 - an apostrophe
    "other": "its answer cannot be used",
}


async def current_outage(services: Services) -> Outage | None:
    """Return the outage that lasts, and have a refresh find out soon whether it still does."""
    try:
        outage = await services.store.outages.current()
    except StorageUnavailable:
        return None
    if outage is not None:
        last_sync = services.syncs.last_sync
        last_sync.start_if_older(last_sync.freshness_seconds)
    return outage


def cause_for(trouble: Trouble, visitor: Visitor) -> str:
    """Return the cause, without a full stop."""
    return trouble.cause if visitor.user.is_admin else WORDS_FOR_MEMBERS[trouble.kind]
