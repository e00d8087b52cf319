"""Records read from the database, kept until a change to them is committed. For one event loop.

What this process commits about one owner's records makes only those stale. What others commit makes all stale, unless
the database tells whose it is.
"""

from collections.abc import Awaitable, Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from gateway.single_flight import SingleFlight
from gateway.store.database import Database, Subject

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

FORGOTTEN_TOGETHER = 16
"""One part in so many goes when there are too many: a dict looks for its first item past all that were there before."""


class Kept(msgspec.Struct, Generic[Value], frozen=True, gc=False):
    """A record, and the generation in which its reading began. A tuple would take twice as much, and there are many."""

    generation: int
    record: Value


class ReadCache(Generic[Key, Value]):
    """At most `maxsize` records, of which those read longest ago go first. What is absent is remembered too."""

    def __init__(
        self,
        database: Database,
        load: Callable[[Key], Awaitable[Value]],
        *,
        maxsize: int,
        owner_of: Callable[[Key, Value], Hashable],
        subject: Subject = "keys",
    ) -> None:
        """`owner_of` tells whose a record is, for `forget`."""
        self._database = database
        self._subject: Subject = subject
        self._load = load
        self._maxsize = maxsize
        self._owner_of = owner_of
        self._entries: dict[Key, Kept[Value]] = {}
        """The one read longest ago is first. In the order of their use, 100,000 would take 6 MB more."""
        self._loads: SingleFlight[tuple[int, Key], Value] = SingleFlight(is_for_all=True)
        """By generation and key: after a commit nobody shares a reading that began before it."""
        self._epoch = 0
        self._generation = 0
        self._cleared = 0
        """The generation that began when all was forgotten last."""
        self._forgotten: dict[Hashable, int] = {}
        """The generations that began when single owners' records were."""

    async def get(self, key: Key) -> Value:
        """Return the record, from memory or read now. Raises StorageUnavailable."""
        kept = self._kept(key)
        if kept is not None:
            return kept.record
        return await self._loads.run((self._generation, key), lambda: self._read(key))

    async def _read(self, key: Key) -> Value:
        generation = self._generation
        value = await self._load(key)
        self._expire()
        # Only what no commit overtook while it was being read may be kept.
        if generation >= self._cleared:
            # Read anew because it was stale, it is the newest.
            self._entries.pop(key, None)
            self._entries[key] = Kept(generation, value)
            if len(self._entries) > self._maxsize:
                self._forget_oldest()
        return value

    def peek(self, key: Key) -> Value | None:
        """Return the record if it is in memory and not stale; None when it would have to be read."""
        kept = self._kept(key)
        return None if kept is None else kept.record

    def forget(self, owner: Hashable) -> None:
        """Forget one owner's records, and readings of them that are under way."""
        self._generation += 1
        self._forgotten[owner] = self._generation

    def clear(self) -> None:
        """Forget every record."""
        self._generation += 1
        self._cleared = self._generation
        self._entries.clear()
        self._forgotten.clear()

    def _kept(self, key: Key) -> Kept[Value] | None:
        """Return what is in memory of the record, unless it is stale."""
        self._expire()
        kept = self._entries.get(key)
        if kept is None:
            return None
        if self._forgotten and kept.generation < self._forgotten.get(self._owner_of(key, kept.record), 0):
            return None
        return kept

    def _forget_oldest(self) -> None:
        for key in list(islice(self._entries, max(1, self._maxsize // FORGOTTEN_TOGETHER))):
            del self._entries[key]

    def _expire(self) -> None:
        epoch = self._database.epoch(self._subject)
        if epoch != self._epoch:
            self._epoch = epoch
            self.clear()
