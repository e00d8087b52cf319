"""Look names up without keeping anybody else waiting: the event loop's own lookups share a few threads with Airbyte's.

A lookup cannot be cancelled and may take half a minute. So each has a thread of its own, which also keeps no process
from ending. Who asks for a name that is being looked up waits for that lookup: a client's few webhooks hold as few
threads, however often they are tried.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

MOST_LOOKUPS = 256

GetAddressInfo = Callable[..., Sequence[tuple[Any, ...]]]


class NameLookup:
    """Finds the addresses of names, on threads."""

    def __init__(self, *, most: int = MOST_LOOKUPS, get_address_info: GetAddressInfo = socket.getaddrinfo) -> None:
        """Have `most` lookups under way at once, those included that nobody waits for any more."""
        self._free = asyncio.Semaphore(most)
        self._get_address_info = get_address_info
        self._under_way: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a name, in the order in which to try them. Raises OSError, UnicodeError."""
        name = host, port
        answer = self._under_way.get(name)
        if answer is None:
            await self._free.acquire()
            answer = self._under_way.get(name)
            if answer is not None:
                self._free.release()
        if answer is None:
            answer = self._begin(name)
        return await asyncio.shield(answer)

    def _begin(self, name: tuple[str, int]) -> asyncio.Future[list[str]]:
        """Start the thread that looks the name up. Raises OSError if the machine has none left."""
        answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        thread = threading.Thread(target=self._look_up, args=(name, answer), name="name lookup", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._free.release()
            raise OSError(str(error)) from None
        self._under_way[name] = answer
        return answer

    def _look_up(self, name: tuple[str, int], answer: asyncio.Future[list[str]]) -> None:
        """Find the addresses, on a thread, and tell the event loop."""
        loop = answer.get_loop()
        addresses, failure = [], None
        try:
            found = self._get_address_info(*name, type=socket.SOCK_STREAM)
            addresses = [str(address[0]) for *_, address in found]
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._tell, name, addresses, failure)

    def _tell(self, name: tuple[str, int], addresses: list[str], failure: Exception | None) -> None:
        self._free.release()
        answer = self._under_way.pop(name)
        if failure is None:
            answer.set_result(addresses)
        else:
            answer.set_exception(failure)
            # Nobody may wait any more: then it is no failure of ours that nobody hears of it.
            answer.exception()
