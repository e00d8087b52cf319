"""What needs attention, as both landing pages show it: found for many connections, and the reasons in words."""

import asyncio
from collections.abc import Sequence
from functools import partial

from gateway.models import Connection
from gateway.services import Services
from gateway.syncs.attention import Attention, Reason, needing_attention

ATTENTION_ROWS = 20
REASON_WORDS: dict[Reason, str] = {
    "failed": "The last sync failed",
    "late": "A sync is late",
    "vanished": "Deleted in Airbyte",
    "locked": "Locked in Airbyte",
    "never_synced": "Never synced",
    "no_data": "The last sync moved no data",
    "unmapped": "Not mapped to Airbyte yet",
}
EXPLAINED_BY_JOB = frozenset({"failed"})
"""Reasons that the page of the last job explains; the connection's page explains the others."""


async def attention(services: Services, connections: Sequence[Connection], *, is_current: bool) -> list[Attention]:
    """Return what needs attention, what matters most first; found in a thread, as there may be thousands."""
    found = partial(
        needing_attention,
        connections,
        now=services.clock.now(),
        grace=services.settings.airbyte.late_grace,
        is_current=is_current,
    )
    return await asyncio.to_thread(found)
