"""A trace from the caller through the gateway to Airbyte."""

import json
from io import StringIO

import pytest

from gateway.telemetry.log import configure_log
from tests.support import World, bearer

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


async def test_the_trace_of_a_request_is_that_of_its_calls_to_airbyte_and_of_no_other_request(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    path = f"/api/v1/connections/{ours}/jobs"
    world.sandbox.requests.clear()

    for headers in ({"traceparent": TRACEPARENT}, {}, {"traceparent": "00-nonsense"}):
        await world.http.get(path, headers={**bearer(key), **headers})

    assert [seen.headers.get("traceparent") for seen in world.sandbox.requests] == [TRACEPARENT, None, None]


async def test_the_line_of_a_request_has_its_trace_id(world: World) -> None:
    stream = StringIO()
    configure_log(level="info", style="json", stream=stream)

    for headers in ({"traceparent": TRACEPARENT}, {}, {"traceparent": f"{TRACEPARENT}-more"}):
        await world.http.get("/healthz", headers=headers)

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("trace_id") for line in lines if line["event"] == "request"] == [TRACE_ID, None, None]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_trigger_carries_it_too(world: World, method: str) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.requests.clear()

    await world.http.post(f"/api/v1/connections/{ours}/sync", headers={**bearer(key), "traceparent": TRACEPARENT})

    assert {seen.headers.get("traceparent") for seen in world.sandbox.requests if seen.method == method} == {
        TRACEPARENT
    }
