"""GET /api/v1/connections/{id}/jobs."""

import asyncio
import re
from pathlib import Path

import pytest
from starlette.types import Message

from gateway.api.base_url import FALLBACK_URL
from gateway.provisioning.keys import NewKey
from gateway.sandbox import Answer
from tests.support import BOUND_SECONDS, NEVER_OURS, World, bearer, running_gateway


def link_of(header: str) -> str:
    match = re.fullmatch(r'<([^>]+)>; rel="next"', header)
    assert match is not None
    return match[1]


async def test_shows_exactly_the_contract_s_keys_in_its_order(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, created_at=world.clock.now().timestamp() - 3600, bytes=4096, rows=8)

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))

    assert answer.status_code == 200
    assert answer.text == (
        f'{{"data":[{{"jobId":1,"connectionId":"{theirs}","status":"succeeded","jobType":"sync",'
        '"startTime":"2026-04-01T02:00:00.000Z","bytesSynced":4096,"rowsSynced":8,"duration":"PT1M"}]}'
    )
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "private, no-store"


async def test_what_airbyte_leaves_out_is_null(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))

    assert answer.json()["data"][0]["status"] == "pending"
    assert answer.json()["data"][0]["duration"] is None


async def test_lists_syncs_only_newest_first(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    start = world.clock.now().timestamp() - 86_400
    for hour in range(5):
        world.sandbox.world.add_job(theirs, created_at=start + 3600 * hour)
    world.sandbox.world.add_job(theirs, created_at=start + 3600 * 6, job_type="reset")

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))

    assert [job["jobId"] for job in answer.json()["data"]] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 40, 45])
async def test_following_the_link_gives_every_job_once_and_ends(world: World, count: int) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    for minute in range(count):
        world.sandbox.world.add_job(theirs, created_at=world.clock.now().timestamp() - 60 * (count - minute))
    seen: list[list[int]] = []
    url: str | None = f"/api/v1/connections/{ours}/jobs"
    while url is not None:
        answer = await world.http.get(url, headers=bearer(key))
        seen.append([job["jobId"] for job in answer.json()["data"]])
        url = link_of(answer.headers["link"]) if "link" in answer.headers else None

    assert [job for page in seen for job in page] == list(range(count, 0, -1))
    assert len(seen) == max(1, -(-count // 20))


async def test_jobs_that_start_while_paging_neither_repeat_nor_hide_one(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    now = world.clock.now().timestamp()
    for minute in range(12):
        world.sandbox.world.add_job(theirs, created_at=now - 60 * (12 - minute))
    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs?limit=4", headers=bearer(key))
    seen = [job["jobId"] for job in answer.json()["data"]]
    while "link" in answer.headers:
        world.sandbox.world.add_job(theirs, created_at=now)
        answer = await world.http.get(link_of(answer.headers["link"]), headers=bearer(key))
        seen += [job["jobId"] for job in answer.json()["data"]]

    assert seen == list(range(12, 0, -1))


async def test_status_filters_and_stays_in_the_link(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    for minute in range(6):
        world.sandbox.world.add_job(
            theirs,
            created_at=world.clock.now().timestamp() - 600 + 60 * minute,
            status="failed" if minute % 2 else "succeeded",
        )

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs?status=failed&limit=2", headers=bearer(key))
    following = await world.http.get(link_of(answer.headers["link"]), headers=bearer(key))

    assert [job["jobId"] for job in answer.json()["data"]] == [6, 4]
    assert [job["jobId"] for job in following.json()["data"]] == [2]
    assert "link" not in following.headers


BAD_QUERIES = [
    ("limit=0", "limit must be a whole number from 1 to 100"),
    ("limit=101", "limit must be a whole number from 1 to 100"),
    ("limit=-1", "limit must be a whole number from 1 to 100"),
    ("limit=1.5", "limit must be a whole number from 1 to 100"),
    ("limit=٣", "limit must be a whole number from 1 to 100"),
    ("limit=5&limit=6", "limit is given more than once"),
    ("limit=&limit=5", "limit is given more than once"),
    (
        "status=done",
        "status must be one of pending, queued, running, incomplete, failed, succeeded, cancelled",
    ),
    ("cursor=%00", "Invalid cursor: pass the one from the Link header unchanged"),
    ("cursor=20.5.", "Invalid cursor: pass the one from the Link header unchanged"),
    ("cursor=MjAuNQ", "Invalid cursor: pass the one from the Link header unchanged"),
]


async def test_a_bad_parameter_is_named_and_airbyte_is_not_asked(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.requests.clear()

    for query, message in BAD_QUERIES:
        answer = await world.http.get(f"/api/v1/connections/{ours}/jobs?{query}", headers=bearer(key))

        assert (answer.status_code, answer.json()) == (400, {"error": message}), query
    assert not world.sandbox.requests


@pytest.mark.parametrize("query", ["limit=", "status=", "cursor=", "limit=&status=&cursor="])
async def test_an_empty_parameter_counts_as_absent(world: World, query: str) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs)
    url = f"/api/v1/connections/{ours}/jobs"

    answer = await world.http.get(f"{url}?{query}", headers=bearer(key))

    assert answer.status_code == 200
    assert answer.content == (await world.http.get(url, headers=bearer(key))).content


async def test_a_connection_without_mapping_says_so(world: World) -> None:
    key = await world.client_with_key()
    connection = (
        await world.services.connections.add("acme", connector_type="shopify", label="Later", airbyte_id=None)
    ).connection

    answer = await world.http.get(f"/api/v1/connections/{connection.id}/jobs", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (400, {"error": "Connection has no Airbyte mapping"})


async def test_rows_of_another_connection_are_dropped_and_counted(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    _, foreign = await world.mapped_connection()
    world.sandbox.world.add_job(theirs)
    world.sandbox.world.add_job(foreign)
    world.sandbox.faults.foreign_rows = 1

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))

    assert [job["connectionId"] for job in answer.json()["data"]] == [theirs]
    assert b"gateway_upstream_identity_mismatch_total 1.0" in world.services.metrics.render()


async def test_simultaneous_readers_of_the_same_list_share_one_call(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    await world.http.get("/api/v1/connections", headers=bearer(key))
    world.sandbox.requests.clear()

    answers = await world.simultaneously("GET", f"/api/v1/connections/{ours}/jobs", [key] * 32)

    assert {answer.status_code for answer in answers} == {200}
    assert len(world.sandbox.requests) == 1


async def test_asks_airbyte_for_one_connection_in_order_and_nothing_of_the_caller_s_goes_along(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.requests.clear()

    await world.http.get(
        f"/api/v1/connections/{ours}/jobs?limit=7&workspaceIds=x",
        headers={**bearer(key), "Cookie": "a=b", "X-Airbyte-User": "root"},
    )

    (request,) = world.sandbox.requests
    assert request.path == "/api/public/v1/jobs"
    assert request.query == f"connectionId={theirs}&orderBy=createdAt%7CDESC&limit=8&offset=0&jobType=sync"
    assert set(request.headers) == {"host", "accept", "accept-encoding", "user-agent", "authorization"}
    assert request.headers["accept-encoding"] == "identity"
    assert key.text not in request.headers["authorization"]


@pytest.mark.parametrize(
    ("public_url", "host", "start"),
    [
        ("https://gateway.example/airbyte/", "evil.example", "https://gateway.example/airbyte"),
        ("", "gateway.test:8080", "http://gateway.test:8080"),
        ("", "my_gateway", "http://my_gateway"),
        ("", "[::1]:8080", "http://[::1]:8080"),
        ("", "evil.example%2F", FALLBACK_URL),
    ],
)
async def test_the_link_is_a_whole_address(tmp_path: Path, public_url: str, host: str, start: str) -> None:
    async with running_gateway(tmp_path, server={"public_url": public_url}) as world:
        key = await world.client_with_key()
        ours, theirs = await world.mapped_connection()
        for _ in range(3):
            world.sandbox.world.add_job(theirs)

        answer = await world.http.get(f"/api/v1/connections/{ours}/jobs?limit=2", headers={**bearer(key), "Host": host})

    assert link_of(answer.headers["link"]) == f"{start}/api/v1/connections/{ours}/jobs?limit=2&cursor=2.2"


@pytest.mark.parametrize("change", ["given to another client", "removed", "mapped anew"])
async def test_a_list_of_a_connection_that_changed_hands_meanwhile_is_not_found(world: World, change: str) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    await world.services.clients.add(slug="other", name="Other", plan="free")
    world.sandbox.world.add_job(theirs)
    world.sandbox.requests.clear()
    world.sandbox.faults.get_hang = release = asyncio.Event()

    asking = asyncio.create_task(world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key)))
    await world.until_airbyte_is_asked("GET", "/jobs")
    world.sandbox.faults.get_hang = None
    if change == "mapped anew":
        another = world.sandbox.world.add_connection(next(iter(world.sandbox.world.workspaces)))
        await world.services.connections.map(ours, another.connection_id)
    else:
        await world.services.connections.remove(ours)
    if change == "given to another client":
        await world.services.connections.add("other", connector_type="x", label="Shop", airbyte_id=theirs)
    release.set()
    answer = await asking

    assert (answer.status_code, answer.json()) == (404, {"error": "Connection not found"})


async def test_a_caller_who_leaves_waits_no_more_and_what_was_sent_keeps_its_permit(world: World) -> None:
    """Airbyte works on for nobody: with the permit given back, one client's left reads would fill all its threads."""
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    await world.http.get(f"/api/v1/connections/{NEVER_OURS}/jobs", headers=bearer(key))
    answered = world.sandbox.faults.get_hang = asyncio.Event()
    left = asyncio.Event()
    messages: list[Message] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/api/v1/connections/{ours}/jobs",
        "query_string": b"",
        "headers": [(b"authorization", bearer(key)["Authorization"].encode())],
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    asking = asyncio.create_task(world.app(scope, receive, send))
    async with asyncio.timeout(BOUND_SECONDS):
        while not world.services.airbyte.in_flight:
            await asyncio.sleep(0.001)
        left.set()
        await asking
        await asyncio.sleep(0)
        assert world.services.airbyte.in_flight == 1
        answered.set()
        while world.services.airbyte.in_flight:
            await asyncio.sleep(0.001)

    assert messages[0]["status"] == 499
    assert len(world.services.syncs.waiting) == 0


async def test_a_connection_whose_jobs_airbyte_cannot_read_stops_nobody_else(world: World) -> None:
    key = await world.client_with_key()
    other = await world.client_with_key("globex")
    broken, theirs = await world.mapped_connection()
    ours, _ = await world.mapped_connection("globex")

    def is_broken(_method: str, path: str) -> bool:
        return path.endswith("/jobs") and theirs in world.sandbox.requests[-1].query

    world.sandbox.faults.answer_with(Answer.html(500), times=100, when=is_broken)

    statuses = [await status_of(world, f"connections/{broken}/jobs", key) for _ in range(6)]

    assert statuses[0] == 502
    assert statuses[-1] == 503
    assert await status_of(world, f"connections/{ours}/jobs", other) == 200


async def status_of(world: World, path: str, key: NewKey) -> int:
    return (await world.http.get(f"/api/v1/{path}", headers=bearer(key))).status_code
