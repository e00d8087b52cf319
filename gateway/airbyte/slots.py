"""Give each call under way a transport, and so a socket connection, of its own."""

from collections.abc import Callable
from typing import Generic, TypeVar

Transport = TypeVar("Transport")


class Slots(Generic[Transport]):
    """As many transports as there ever were calls at once; the bulkhead bounds those.

    One pool for all calls would look at each of its socket connections, and poll each idle one, twice for every
    call: a third of a call's cost at 32 connections. The last one given back is taken first: it is the warmest.
    """

    def __init__(self, new: Callable[[], Transport]) -> None:
        self._new = new
        self._idle: list[Transport] = []
        self.all: list[Transport] = []

    def take(self) -> Transport:
        """Return the transport that was given back last, or a new one."""
        if self._idle:
            return self._idle.pop()
        transport = self._new()
        self.all.append(transport)
        return transport

    def give_back(self, transport: Transport) -> None:
        """Keep a transport for the next call."""
        self._idle.append(transport)
