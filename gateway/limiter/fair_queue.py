"""A queue that several owners share fairly: none is served twice while another waits, and the fullest gives way.

Permits for Airbyte and the thread that hashes passwords (by `waiting_list`), the rounds of the event loop and callers
who wait for Airbyte are shared out by it.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)
Item = TypeVar("Item")


class FairQueue(Generic[Owner, Item]):
    """Items that wait, each owner's in their own order. Pure: it knows neither time nor tasks."""

    __slots__ = ("_items", "_most", "length")

    def __init__(self, *, most: float = math.inf) -> None:
        """Hold `most` items at once."""
        self._most = most
        self.length = 0
        """How many items wait: `len` of the queue, without a call."""
        # The owner whose last item was served, or who began to wait, longest ago comes first.
        self._items: dict[Owner, list[Item]] = {}

    def __len__(self) -> int:
        return self.length

    @property
    def owner_count(self) -> int:
        """How many owners have something waiting."""
        return len(self._items)

    def length_of(self, owner: Owner) -> int:
        """Return how many items the owner has waiting."""
        return len(self._items.get(owner, ()))

    def of(self, owner: Owner) -> Iterable[Item]:
        """Return what the owner has waiting, in its order."""
        return tuple(self._items.get(owner, ()))

    def owners(self, is_counted: Callable[[Item], bool]) -> set[Owner]:
        """Return who has a waiting item that is counted."""
        return {owner for owner, items in self._items.items() if any(map(is_counted, items))}

    def join(self, owner: Owner, item: Item) -> Item | None:
        """Add an item. Return the one that gives way, if there are too many: the newest of who has the most.

        It may be `item` itself, and is so when its owner has as many as any other.
        """
        self._items.setdefault(owner, []).append(item)
        self.length += 1
        if self.length <= self._most:
            return None
        fullest = max(self._items, key=lambda each: (len(self._items[each]), each == owner))
        newest = self._items[fullest][-1]
        self.leave(fullest, newest)
        return newest

    def leave(self, owner: Owner, item: Item) -> None:
        """Take an item out, if it is still in; its owner keeps the rank."""
        items = self._items.get(owner, [])
        if item in items:
            items.remove(item)
            self.length -= 1
            if not items:
                del self._items[owner]

    def take(
        self, may_be_served: Callable[[Owner, Item], bool] = lambda _owner, _item: True
    ) -> tuple[Owner, Item] | None:
        """Take out the next item that may be served, and rank its owner last. Return None if there is none."""
        for owner, items in self._items.items():
            for item in items:
                if may_be_served(owner, item):
                    self.leave(owner, item)
                    if owner in self._items:
                        self._items[owner] = self._items.pop(owner)
                    return owner, item
        return None
