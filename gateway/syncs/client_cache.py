"""Keep the newest values of each client, so that none takes another's room."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache, TTLCache

from gateway.times import Clock

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

KEPT_CLIENTS = 500
"""Whose values are kept: who asked longest ago is forgotten first."""
KEPT_OF_CLIENT = 100


class ClientCache(Generic[Key, Value]):
    """Values of each client, up to a size of `most` together, for so many seconds."""

    def __init__(
        self,
        clock: Clock,
        *,
        seconds: float,
        most: int = KEPT_OF_CLIENT,
        size_of: Callable[[Value], int] = lambda _value: 1,
    ) -> None:
        """`size_of` tells the size of a value. One that alone is larger than `most` is not kept."""
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._size_of = size_of
        self._clients: LRUCache[int, TTLCache[Key, Value]] = LRUCache(KEPT_CLIENTS)

    def get(self, client_id: int, key: Key) -> Value | None:
        """Return the client's value; None if none is kept."""
        values = self._clients.get(client_id)
        return None if values is None else values.get(key)

    def put(self, client_id: int, key: Key, value: Value) -> None:
        """Keep a value, from now on."""
        values = self._clients.get(client_id)
        if values is None:
            values = TTLCache(self._most, self._seconds, timer=self._clock.monotonic, getsizeof=self._size_of)
            self._clients[client_id] = values
        if self._size_of(value) <= self._most:
            values[key] = value

    def forget(self, client_id: int, key: Key) -> None:
        """Keep the value no longer."""
        values = self._clients.get(client_id)
        if values is not None:
            values.pop(key, None)
