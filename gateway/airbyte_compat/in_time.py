"""Wait for Airbyte no longer than the programs wait for the gateway: `httpx`, which several use, gives up after 5 s."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.errors import UpstreamTimeout
from gateway.services import services_of
from gateway.web.disconnect import caller_left
from gateway.web.request_context import upstream_timing

Value = TypeVar("Value")


async def in_time(request: Request, answer: Coroutine[Any, Any, Value]) -> Value:
    """Return what a caller waits for, who is counted and may leave.

    Raises what it raises; UpstreamTimeout soon: what Airbyte was asked for goes on, for whoever asks next.
    """
    services, client = services_of(request), principal_of(request).client
    seconds = services.syncs.polled.timings.answer
    with upstream_timing(request.scope):
        try:
            async with asyncio.timeout(seconds):
                return await services.syncs.waiting.wait(client, answer, left=partial(caller_left, request.receive))
        except TimeoutError:
            raise UpstreamTimeout(detail=f"Airbyte did not tell within {seconds:g} s; the reads go on") from None
