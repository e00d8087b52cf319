"""Notice that a caller has gone while its answer is awaited."""

import asyncio

from starlette.types import Receive


async def caller_left(receive: Receive) -> None:
    """Return when the caller's socket connection is closed.

    One that only ended its own side counts as closed: nothing tells the two apart, and proxies do the same.

    What is left of the request's content is passed over. Where it cannot be read, the caller is not known to have left.
    """
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except Exception:  # noqa: BLE001 - content that is too large or broken is no reason to end the wait
        await asyncio.Event().wait()
