"""What clients and the gateway said to each other, said again: the same requests, in the same order, at their times.

`python -m tests.clients --record` makes the recordings.
"""

import re
from pathlib import Path

import pytest

from gateway.syncs.timings import CancelTimings, LastSyncTimings, PollTimings, SyncTimings
from tests.clients.catalog import CLIENTS, REQUIREMENTS, Client
from tests.clients.checks import assert_documented, assert_named, assert_own
from tests.clients.recording import Exchange, Names, Recording, content_of, load
from tests.clients.scene import PREPARED, TENANTS, Scene, names_of, set_up
from tests.support import BOUND_SECONDS, START, World, running_gateway

ADDRESS = "http://gateway"
LONG = 10 * BOUND_SECONDS
PATIENT = SyncTimings(
    last_sync=LastSyncTimings(wait=LONG), poll=PollTimings(answer=LONG, look_age=1.0), cancel=CancelTimings(read=LONG)
)
"""No answer hangs on how fast this machine is."""
WHEN = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|PT[\dHMS]+")

each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


def shape(content: object) -> object:
    """Return what is the same whenever it is said: words and names as they are, of figures and times only the kind."""
    if isinstance(content, dict):
        return {name: shape(value) for name, value in content.items()}
    if isinstance(content, list):
        return [shape(each) for each in content]
    if isinstance(content, str):
        return WHEN.sub("(a time)", content)
    return type(content)


async def said_again(world: World, names: Names, exchange: Exchange) -> Exchange:
    """Send the request of an exchange, and return it with the answer that it gets now."""
    request = exchange.request
    headers = {name: names.fill(value) for name, value in request.headers.items()}
    answer = await world.http.request(
        request.method, names.fill(request.target), headers=headers, content=names.fill(content_of(request))
    )
    return Exchange(exchange.at, request, names.answer(answer.status_code, answer.headers, answer.content))


async def staged(world: World, recording: Recording) -> tuple[Scene, Names]:
    """The scene at the time of the recording; the key that was to expire has."""
    world.clock.advance(recording.began - START.timestamp() - 10)
    scene = await set_up(world.services, world.sandbox, world.clock.now().timestamp())
    names = Names(await names_of(scene, world.http, ADDRESS))
    world.clock.advance(10)
    return scene, names


@each_client
async def test_what_was_said_is_said_again(tmp_path: Path, client: Client) -> None:
    recording = load(client.name)
    async with running_gateway(tmp_path, sync_timings=PATIENT) as world:
        scene, names = await staged(world, recording)
        at = 0.0
        for event in recording.events:
            world.clock.advance(max(0.0, event.at - at))
            at = max(at, event.at)
            if not isinstance(event, Exchange):
                scene.prepare(event.what, world.clock.now().timestamp())
                continue
            now = await said_again(world, names, event)
            assert now.answer.status == event.answer.status, (event, now.answer)
            assert shape(now.answer.headers) == shape(event.answer.headers), event.request
            assert shape(now.answer.body) == shape(event.answer.body), event
            assert_documented(now)
            assert_own(now, scene)


@each_client
def test_the_versions_in_a_recording_are_those_that_are_installed(client: Client) -> None:
    assert load(client.name).packages == client.pins
    if not client.read:
        installed = (REQUIREMENTS / f"{client.name}.txt").read_text().splitlines()
        assert {f"{name}=={version} \\" for name, version in client.pins.items()} <= set(installed)


@each_client
def test_a_recording_has_all_that_may_happen_to_a_client_and_neither_secrets_nor_ids(client: Client) -> None:
    recording = load(client.name)
    for exchange in recording.exchanges:
        assert_named(exchange)

    assert {200, 401, 404} <= {exchange.answer.status for exchange in recording.exchanges}
    assert {exchange.tenant for exchange in recording.exchanges} >= set(TENANTS)
    prepared = [event.what for event in recording.events if not isinstance(event, Exchange)]
    assert prepared == (list(PREPARED) if client.starts_syncs else [])
    statuses = set(map(status_of, recording.exchanges))
    assert not client.starts_syncs or {"pending", "running", "succeeded", "failed"} <= statuses


def status_of(exchange: Exchange) -> object:
    """Return the status of the job that the answer tells of."""
    body = exchange.answer.body
    return body.get("job", body).get("status") if isinstance(body, dict) else None
