"""Share the one thread that hashes passwords: each group has one password in work, the longest-waiting group is next.

A group is an address, or the people of a client who are signed in or have links. Within a group, members take turns:
the accounts that are tried from an address, or those people. A flood from one group so costs others one hash, and a
flood on one account another account two. Groups that are known to be one client's have half of the slots.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.errors import Overloaded
from gateway.limiter.waiting_list import WaitingList

MOST_OF_GROUP = 8
"""A quarter of a second's work."""
MOST_GROUPS = 32
"""A second's work until each had one."""
MOST_GROUPS_OF_CLIENT = MOST_GROUPS // 2
"""At however many addresses its people have signed in."""


@dataclass(frozen=True, slots=True)
class _Group:
    """A group whose slot is held: who waits for it, and which client's it is, if that is known."""

    client_id: int | None
    waiting: WaitingList[str, None] = field(default_factory=lambda: WaitingList(most=MOST_OF_GROUP - 1))


class FairShare:
    """One slot for each group. What is done in slots comes first in, first out to the thread."""

    def __init__(self, *, busy_retry: int) -> None:
        """`busy_retry`: the seconds after which one who was refused is to come back."""
        self._busy_retry = busy_retry
        self._groups: dict[str, _Group] = {}
        self._of_clients: Counter[int] = Counter()

    def groups_of(self, client_id: int | None) -> int:
        """Return how many groups of the client have their slot held; 0 for nobody's."""
        return 0 if client_id is None else self._of_clients[client_id]

    @asynccontextmanager
    async def slot(self, name: str, member: str = "", *, client_id: int | None = None) -> AsyncIterator[None]:
        """Hold the slot of the group of that name. Raises Overloaded when too many groups want theirs, or too many of
        one client or of the group.

        Of those of a group the newest of the member with the most gives way.
        """
        group = self._groups.get(name)
        if group is None:
            self._open(name, client_id)
        elif not await group.waiting.wait(member, None, pass_on=lambda: self._pass_on(name)):
            raise self._overloaded()
        try:
            yield
        finally:
            self._pass_on(name)

    def _open(self, name: str, client_id: int | None) -> None:
        if len(self._groups) >= MOST_GROUPS or self.groups_of(client_id) >= MOST_GROUPS_OF_CLIENT:
            raise self._overloaded()
        self._groups[name] = _Group(client_id)
        if client_id is not None:
            self._of_clients[client_id] += 1

    def _pass_on(self, name: str) -> None:
        """Give the slot to the group's next."""
        group = self._groups[name]
        if group.waiting.serve() is not None:
            return
        del self._groups[name]
        if group.client_id is not None:
            self._of_clients[group.client_id] -= 1
            if not self._of_clients[group.client_id]:
                del self._of_clients[group.client_id]

    def _overloaded(self) -> Overloaded:
        return Overloaded(retry_after=self._busy_retry)
