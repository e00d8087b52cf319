"""Records read from the database, kept until any process commits a change to it. For one event loop."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

from gateway.store.database import Database

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class ReadCache(Generic[Key, Value]):
    """At most `maxsize` records. What is absent is remembered too: a new record is a commit and clears it all."""

    def __init__(self, database: Database, load: Callable[[Key], Awaitable[Value]], *, maxsize: int) -> None:
        self._database = database
        self._load = load
        self._entries: LRUCache[Key, Value] = LRUCache(maxsize)
        self._epoch = 0
        self._generation = 0

    async def get(self, key: Key) -> Value:
        self._expire()
        try:
            return self._entries[key]
        except KeyError:
            pass
        generation = self._generation
        value = await self._load(key)
        self._expire()
        # Only what no commit overtook while it was being read may be kept.
        if generation == self._generation:
            self._entries[key] = value
        return value

    def peek(self, key: Key) -> Value | None:
        """What is remembered and not stale; None when it would have to be read."""
        self._expire()
        return self._entries.get(key)

    def clear(self) -> None:
        self._generation += 1
        self._entries.clear()

    def _expire(self) -> None:
        epoch = self._database.epoch()
        if epoch != self._epoch:
            self._epoch = epoch
            self.clear()
