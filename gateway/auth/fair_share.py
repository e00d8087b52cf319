"""Share the one thread that hashes passwords: each group has one password in work, the longest-waiting group is next.

A group is an address, a person who is signed in, or a link. Within a group, members take turns: the accounts that are
tried from an address. A flood from one group so costs others one hash, and a flood on one account another account two.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import Overloaded
from gateway.limiter.waiting_list import WaitingList

MOST_OF_GROUP = 8
"""A quarter of a second's work."""
MOST_GROUPS = 32
"""A second's work until each had one."""


class FairShare:
    """One slot for each group. What is done in slots comes first in, first out to the thread."""

    def __init__(self, *, busy_retry: int) -> None:
        """`busy_retry`: the seconds after which one who was refused is to come back."""
        self._busy_retry = busy_retry
        self._waiting: dict[str, WaitingList[str, None]] = {}
        """Who waits for a slot that is held, by its group."""

    @asynccontextmanager
    async def slot(self, group: str, member: str = "") -> AsyncIterator[None]:
        """Hold the group's slot. Raises Overloaded when too many groups want theirs, or too many of the group.

        Of those the newest of the member with the most gives way.
        """
        waiting = self._waiting.get(group)
        if waiting is None:
            self._open(group)
        elif not await waiting.wait(member, None, pass_on=lambda: self._pass_on(group)):
            raise Overloaded(retry_after=self._busy_retry)
        try:
            yield
        finally:
            self._pass_on(group)

    def _open(self, group: str) -> None:
        if len(self._waiting) >= MOST_GROUPS:
            raise Overloaded(retry_after=self._busy_retry)
        self._waiting[group] = WaitingList(most=MOST_OF_GROUP - 1)

    def _pass_on(self, group: str) -> None:
        """Give the slot to the group's next."""
        if self._waiting[group].serve() is None:
            del self._waiting[group]
