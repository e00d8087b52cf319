"""Write what only saves a later look: when storage is unavailable, a caller still gets his answer."""

from collections.abc import Awaitable

import structlog

from gateway.errors import StorageUnavailable

log = structlog.get_logger()


async def best_effort(write: Awaitable[None]) -> None:
    """Wait for the write; log that storage was unavailable instead of raising it."""
    try:
        await write
    except StorageUnavailable as error:
        log.warning("not_recorded", detail=error.detail)
