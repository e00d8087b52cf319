"""Share what is scarce between groups of callers: who waits longest is next, and nobody has all there is."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable

Group = Hashable
"""A client, or the address block of a caller of whom nothing else is known."""

GREED = 4
"""One group alone may have four fifths of what there is."""


def has_share(own: int, all_groups: int, most: float) -> bool:
    """Return whether a group that has `own` may have one more, when all groups together have `all_groups` of `most`.

    It may have `GREED` times what is left. So something is always left for a group that has none, and what many groups
    leave each other is equal; no group is compared with another (dynamic thresholds, Choudhury and Hahne 1998).
    """
    return own <= GREED * (most - all_groups)


class GroupQueue:
    """Waiters by group. Of the groups that wait, the one that was served or began to wait longest ago is next."""

    __slots__ = ("_groups", "_length")

    def __init__(self) -> None:
        self._groups: OrderedDict[Group, deque[asyncio.Future[None]]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def length_of(self, group: Group) -> int:
        waiters = self._groups.get(group)
        return len(waiters) if waiters else 0

    def join(self, group: Group, waiter: asyncio.Future[None]) -> None:
        self._groups.setdefault(group, deque()).append(waiter)
        self._length += 1

    def next(self) -> asyncio.Future[None] | None:
        """Take out and return the next who still waits; None if nobody does."""
        while self._groups:
            group, waiters = next(iter(self._groups.items()))
            waiter = waiters.popleft()
            self._length -= 1
            if waiters:
                self._groups.move_to_end(group)
            else:
                del self._groups[group]
            if not waiter.done():
                return waiter
        return None
