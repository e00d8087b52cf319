"""Records read from the database, kept until any process commits a change to it. For one event loop."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from gateway.single_flight import SingleFlight
from gateway.store.database import Database, Subject

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class ReadCache(Generic[Key, Value]):
    """At most `maxsize` records. What is absent is remembered too: a new record is a commit and clears it all."""

    def __init__(
        self,
        database: Database,
        load: Callable[[Key], Awaitable[Value]],
        *,
        maxsize: int,
        subject: Subject = "keys",
    ) -> None:
        self._database = database
        self._subject: Subject = subject
        self._load = load
        self._maxsize = maxsize
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        """The one asked for longest ago is first."""
        self._loads: SingleFlight[tuple[int, Key], Value] = SingleFlight()
        """By generation and key: after a commit nobody shares a reading that began before it."""
        self._epoch = 0
        self._generation = 0

    async def get(self, key: Key) -> Value:
        """Return the record, from memory or read now. Raises StorageUnavailable."""
        self._expire()
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        return await self._loads.run((self._generation, key), lambda: self._read(key))

    async def _read(self, key: Key) -> Value:
        generation = self._generation
        value = await self._load(key)
        self._expire()
        # Only what no commit overtook while it was being read may be kept.
        if generation == self._generation:
            self._entries[key] = value
            if len(self._entries) > self._maxsize:
                self._entries.popitem(last=False)
        return value

    def peek(self, key: Key) -> Value | None:
        """Return the record if it is in memory and not stale; None when it would have to be read."""
        self._expire()
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def clear(self) -> None:
        """Forget every record."""
        self._generation += 1
        self._entries.clear()

    def _expire(self) -> None:
        epoch = self._database.epoch(self._subject)
        if epoch != self._epoch:
            self._epoch = epoch
            self.clear()
