"""Keeping last syncs near Airbyte's where they are spread over many workspaces: lists asked for at once, or in turn."""

import asyncio
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from starlette.types import Receive, Scope, Send

from bench.arena import Arena
from bench.costly import answer_lifespan
from bench.faulty import serving
from bench.scores import Line, at_most
from bench.world import LARGE_CLIENTS, LARGE_CONNECTIONS_EACH, build_spread_world
from gateway.services import Services, build_services
from gateway.settings import load_settings
from gateway.times import SystemClock
from gateway.web.responses import JSONAnswer

CALL_SECONDS = 0.03
"""Of Airbyte's, for a list of jobs."""
IN_TURN, AT_ONCE = 4, 10
"""Calls to Airbyte in flight. Of four the gateway's own work has one at a time, of ten it has four."""


async def slow_airbyte(scope: Scope, receive: Receive, send: Send) -> None:
    """Give a token, and after a while a page on which no job has changed."""
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
    elif scope["path"].endswith("/applications/token"):
        await JSONAnswer({"access_token": "token", "expires_in": 86_400})(scope, receive, send)
    else:
        await asyncio.sleep(CALL_SECONDS)
        await JSONAnswer({"data": []})(scope, receive, send)


def refresh(arena: Arena, rounds: int) -> list[Line]:  # noqa: ARG001 - every row takes it; this one serves itself
    """Measure a refresh with either share. Both gateways have a database of the same kind and the same Airbyte."""
    with tempfile.TemporaryDirectory(prefix="refresh-") as name, serving(slow_airbyte) as address:
        measured = asyncio.run(_measure(Path(name), address, rounds))
    ours, theirs = (1000 * statistics.median(pair[side] for pair in measured) for side in (0, 1))
    what = f"last syncs of {LARGE_CLIENTS * LARGE_CONNECTIONS_EACH:,} connections in {LARGE_CLIENTS:,} workspaces"
    return [
        Line(
            "refresh",
            f"{what}, {AT_ONCE} calls in flight / {IN_TURN}",
            [quick / slow for quick, slow in measured],
            "x",
            at_most(0.4),
            f"{ours:.0f} ms, {theirs:.0f} ms",
        )
    ]


async def _measure(folder: Path, address: str, rounds: int) -> list[tuple[float, float]]:
    async with AsyncExitStack() as stack:
        sides = [await _opened(stack, folder / str(calls), address, calls) for calls in (AT_ONCE, IN_TURN)]
        measured = [[await _seconds(side) for side in sides] for _ in range(rounds + 1)][1:]
    return [(quick, slow) for quick, slow in measured]


async def _opened(stack: AsyncExitStack, folder: Path, address: str, calls: int) -> Services:
    file = await asyncio.to_thread(build_spread_world, folder, int(address.rpartition(":")[2]))
    settings = load_settings(file, {"GATEWAY_AIRBYTE_MAX_IN_FLIGHT": str(calls)})
    services = build_services(settings, SystemClock())
    await stack.enter_async_context(services.opened())
    return services


async def _seconds(services: Services) -> float:
    """Return how long a refresh takes. Raises RuntimeError if it told nothing."""
    began = time.perf_counter()
    await services.syncs.last_sync.refresh_if_older(0)
    seconds = time.perf_counter() - began
    if services.syncs.last_sync.unread or (services.syncs.last_sync.age_seconds or 60) > seconds + 1:
        raise RuntimeError("the last syncs were not refreshed")
    return seconds
