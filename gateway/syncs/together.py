"""Await several reads at once, so that none of them is left behind."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

Value = TypeVar("Value")


async def together(reads: Iterable[Awaitable[Value]]) -> list[Value]:
    """Return what all reads return, in their order. Each ends by itself before the first failure is raised."""
    values = []
    for end in await asyncio.gather(*reads, return_exceptions=True):
        if isinstance(end, BaseException):
            raise end
        values.append(end)
    return values
