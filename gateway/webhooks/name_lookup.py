"""Look names up without keeping anybody else waiting: the event loop's own lookups share a few threads with Airbyte's.

A lookup cannot be cancelled and may take half a minute. So each has a thread of its own, which also keeps no process
from ending; how many there are at once is bounded.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

MOST_LOOKUPS = 64

GetAddressInfo = Callable[..., Sequence[tuple[Any, ...]]]


class NameLookup:
    """Finds the addresses of names, on threads."""

    def __init__(self, *, most: int = MOST_LOOKUPS, get_address_info: GetAddressInfo = socket.getaddrinfo) -> None:
        """Have `most` lookups under way at once, those included that nobody waits for any more."""
        self._free = asyncio.Semaphore(most)
        self._get_address_info = get_address_info

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a name, in the order in which to try them. Raises OSError, UnicodeError."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def tell(addresses: list[str], error: Exception | None) -> None:
            self._free.release()
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(addresses)

        def look_up() -> None:
            addresses, failure = [], None
            try:
                found = self._get_address_info(host, port, type=socket.SOCK_STREAM)
                addresses = [str(address[0]) for *_, address in found]
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                failure = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, addresses, failure)

        threading.Thread(target=look_up, name="name lookup", daemon=True).start()
        return await answer
