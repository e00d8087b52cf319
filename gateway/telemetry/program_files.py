"""Tell when the program's own files are gone, as when a temporary folder is cleaned."""

import asyncio
from collections.abc import Callable

import structlog

log = structlog.get_logger()


async def watch_program_files(progress: Callable[[], None], *, check: Callable[[], bool], seconds: float) -> None:
    """Log once, and end, when `check` says that the files are gone: only a restart brings them back."""
    while check():
        progress()
        await asyncio.sleep(seconds)
    log.error("program_files_missing", hint="restart the gateway; keep its temporary folder from being cleaned")
