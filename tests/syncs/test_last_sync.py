"""How fresh the last-sync figures are and what they cost."""

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.models import Connection
from gateway.provisioning.keys import NewKey
from gateway.sandbox import Answer
from gateway.store import LastSync
from gateway.syncs.timings import LastSyncTimings, SyncTimings
from gateway.times import format_time
from tests.support import BOUND_SECONDS, NEVER_MAPPED, World, bearer, quiet, running_gateway

STALE = '110 - "Response is Stale"'


def waiting(seconds: float) -> SyncTimings:
    """Readers that wait for a refresh for so long."""
    return SyncTimings(last_sync=LastSyncTimings(wait=seconds))


async def test_a_new_mapping_knows_its_newest_sync_at_once(world: World) -> None:
    key = await world.client_with_key()
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    theirs = world.sandbox.world.add_connection(workspace).connection_id
    world.sandbox.world.add_job(theirs, created_at=world.clock.now().timestamp() - 7200, status="failed")
    world.sandbox.world.add_job(theirs, created_at=world.clock.now().timestamp() - 3600, job_type="reset")

    await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=theirs)
    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert answer.json()["data"][0]["last_sync_at"] == "2026-04-01T01:00:00.000Z"
    assert answer.json()["data"][0]["last_sync_status"] == "failed"


async def test_changes_are_seen_after_the_freshness_window_and_not_before(world: World) -> None:
    key = await world.client_with_key()
    _, theirs = await world.mapped_connection()
    await world.http.get("/api/v1/connections", headers=bearer(key))
    world.sandbox.world.add_job(theirs, status="running")
    seen = []
    for _ in range(2):
        answer = await world.http.get("/api/v1/connections", headers=bearer(key))
        seen.append(answer.json()["data"][0]["last_sync_status"])
        world.clock.advance(5)
    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert seen == [None, "running"]
    assert answer.json()["data"][0]["last_sync_status"] == "running"


async def test_a_change_during_a_long_silence_is_not_missed(world: World) -> None:
    key = await world.client_with_key()
    _, theirs = await world.mapped_connection()
    await world.http.get("/api/v1/connections", headers=bearer(key))
    world.clock.advance(3600)
    world.sandbox.world.add_job(theirs, status="succeeded")
    world.clock.advance(86_400)

    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert answer.json()["data"][0]["last_sync_status"] == "succeeded"


async def test_five_hundred_connections_cost_one_call_in_a_freshness_window(world: World) -> None:
    key = await world.client_with_key()
    for _ in range(500):
        await world.mapped_connection()
    await world.http.get("/api/v1/connections", headers=bearer(key))
    world.clock.advance(5)
    world.sandbox.requests.clear()

    for _ in range(10):
        answer = await world.http.get("/api/v1/connections", headers=bearer(key))
        await world.http.get("/api/v1/status", headers=bearer(key))

    assert len(answer.json()["data"]) == 500
    assert len(world.sandbox.requests) == 1


async def test_all_who_wait_share_one_call_across_clients(world: World) -> None:
    keys = [await world.client_with_key(slug) for slug in ("acme", "globex", "initech")]
    for slug in ("acme", "globex", "initech"):
        await world.mapped_connection(slug)
    world.clock.advance(60)
    world.sandbox.requests.clear()

    answers = await world.simultaneously("GET", "/api/v1/connections", keys * 10)

    assert {answer.status_code for answer in answers} == {200}
    assert len([request for request in world.sandbox.requests if request.path.endswith("/jobs")]) == 1


async def test_the_question_names_every_workspace_in_use_and_no_more_than_what_changed(world: World) -> None:
    key = await world.client_with_key()
    _, theirs = await world.mapped_connection()
    workspace = world.sandbox.world.connections[theirs].workspace_id
    await world.http.get("/api/v1/connections", headers=bearer(key))
    await quiet()
    world.clock.advance(120)
    world.sandbox.requests.clear()

    await world.http.get("/api/v1/connections", headers=bearer(key))
    await quiet()

    request, again = world.sandbox.requests
    assert again.query.startswith(f"connectionId={theirs}&")
    assert request.query == (
        f"workspaceIds={workspace}&jobType=sync&updatedAtStart=2026-04-01T02:58:00Z"
        "&orderBy=updatedAt%7CDESC&limit=100&offset=0"
    )


async def test_more_changes_than_one_page_holds_are_all_read(tmp_path: Path) -> None:
    # Three pages and 250 writes: a busy machine may take longer for them than readers are made to wait.
    async with running_gateway(tmp_path, sync_timings=waiting(10 * BOUND_SECONDS)) as world:
        key = await world.client_with_key()
        connections = [(await world.mapped_connection())[1] for _ in range(250)]
        await world.http.get("/api/v1/connections", headers=bearer(key))
        for theirs in connections:
            world.sandbox.world.add_job(theirs, status="running")
        world.clock.advance(5)

        answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert {row["last_sync_status"] for row in answer.json()["data"]} == {"running"}


@pytest.mark.parametrize(
    ("fault", "times"),
    [(Answer.html(502), 2), (Answer.html(200), 1), (Answer(200, body=b"{}"), 1), (Answer(429), 1)],
    ids=["502", "page", "{}", "429"],
)
@pytest.mark.parametrize("path", ["connections", "status"])
async def test_when_airbyte_fails_the_known_figures_are_served_and_called_stale(
    world: World, fault: Answer, times: int, path: str
) -> None:
    key = await world.client_with_key()
    _, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, status="succeeded")
    world.clock.advance(5)
    fresh = await world.http.get(f"/api/v1/{path}", headers=bearer(key))
    await quiet()
    world.sandbox.faults.answer_with(fault, times=times)
    world.clock.advance(60)

    stale = await world.http.get(f"/api/v1/{path}", headers=bearer(key))
    world.clock.advance(60)
    healed = await world.http.get(f"/api/v1/{path}", headers=bearer(key))

    assert "warning" not in fresh.headers
    assert (stale.status_code, stale.headers["warning"]) == (200, STALE)
    assert stale.content == fresh.content
    assert "warning" not in healed.headers


async def test_a_broken_airbyte_is_asked_no_more_often_than_a_sound_one(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer.html(404), times=1000)
    world.clock.advance(60)
    world.sandbox.requests.clear()

    for _ in range(20):
        await world.http.get("/api/v1/connections", headers=bearer(key))

    assert len(world.sandbox.requests) == 1


async def test_a_connection_mapped_while_airbyte_was_unavailable_is_filled_in_later(world: World) -> None:
    key = await world.client_with_key()
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    theirs = world.sandbox.world.add_connection(workspace, status="inactive").connection_id
    world.sandbox.world.add_job(theirs, status="succeeded")
    world.sandbox.faults.answer_with(Answer.html(502), times=2, when=lambda _, path: "/connections/" in path)
    mapped = await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=theirs)

    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert "mapped unchecked" in (mapped.warning or "")
    (row,) = answer.json()["data"]
    assert (row["status"], row["last_sync_status"]) == ("inactive", "succeeded")


async def test_a_mapping_airbyte_does_not_know_holds_up_nobody_else_s_figures(world: World) -> None:
    key = await world.client_with_key()
    client = await world.services.store.clients.by_slug("acme")
    await world.services.store.connections.add(
        Connection(
            id="conn_lost",
            client_id=client.id,
            connector_type="shopify",
            label="Lost",
            status="pending",
            created_at=format_time(world.clock.now()),
            airbyte_id=NEVER_MAPPED,
        )
    )
    _, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, status="succeeded")
    world.clock.advance(5)

    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert [row["last_sync_status"] for row in answer.json()["data"]] == [None, "succeeded"]
    assert "warning" not in answer.headers


async def test_statuses_are_read_again_at_most_once_an_hour(world: World) -> None:
    key = await world.client_with_key(rate="1000000/60")
    _, theirs = await world.mapped_connection()
    world.sandbox.world.set_connection_status(theirs, "inactive")

    async def shown() -> str:
        answer = await world.http.get("/api/v1/connections", headers=bearer(key))
        return str(answer.json()["data"][0]["status"])

    def lists_read() -> int:
        return sum(request.path.endswith("/connections") for request in world.sandbox.requests)

    world.clock.advance(1800)
    assert {await shown(), await shown()} == {"active"}
    await quiet()
    assert lists_read() == 0
    world.clock.advance(1805)
    await shown()
    await quiet()
    assert await shown() == "inactive"
    assert lists_read() == 2  # a page of statuses, and that there is no other

    world.clock.advance(5)
    assert await shown() == "inactive"
    await quiet()
    assert lists_read() == 2


async def test_a_status_that_is_older_than_twice_an_hour_is_read_or_said_to_be_old(world: World) -> None:
    key = await world.client_with_key(rate="1000000/60")
    _, theirs = await world.mapped_connection()
    world.sandbox.world.set_connection_status(theirs, "inactive")

    async def shown(path: str = "connections") -> tuple[str | None, str | None]:
        answer = await world.http.get(f"/api/v1/{path}", headers=bearer(key))
        status = answer.json()["data"][0]["status"] if path == "connections" else None
        return status, answer.headers.get("warning")

    world.clock.advance(2 * 3600 + 1)
    assert await shown() == ("inactive", None)

    world.clock.advance(2 * 3600 + 1)
    world.sandbox.faults.answer_with(Answer.html(502), times=100, when=lambda _, path: path.endswith("/connections"))
    assert await shown() == ("inactive", STALE)
    assert await shown("status") == (None, STALE)


async def test_a_silent_airbyte_holds_a_reader_up_for_so_long_and_no_longer(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, sync_timings=waiting(0.01)) as world:
        key = await world.client_with_key()
        await world.mapped_connection()
        world.clock.advance(60)
        release = world.sandbox.faults.get_hang = asyncio.Event()

        async with asyncio.timeout(BOUND_SECONDS):
            answer = await world.http.get("/api/v1/connections", headers=bearer(key))
        release.set()

    assert (answer.status_code, answer.headers["warning"]) == (200, STALE)


async def test_who_comes_while_airbyte_has_been_silent_for_long_is_not_held_up_at_all(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, sync_timings=waiting(10 * BOUND_SECONDS)) as world:
        key = await world.client_with_key()
        await world.mapped_connection()
        world.clock.advance(60)
        release = world.sandbox.faults.get_hang = asyncio.Event()
        first = asyncio.create_task(world.http.get("/api/v1/connections", headers=bearer(key)))
        while not world.services.airbyte.in_flight:
            await asyncio.sleep(0)
        world.clock.advance(10 * BOUND_SECONDS)

        async with asyncio.timeout(BOUND_SECONDS):
            answer = await world.http.get("/api/v1/connections", headers=bearer(key))

        assert not first.done()
        release.set()
        await first

    assert (answer.status_code, answer.headers["warning"]) == (200, STALE)


async def test_nothing_mapped_means_nothing_asked(world: World) -> None:
    key = await world.client_with_key()

    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert answer.json() == {"data": []}
    assert not world.sandbox.requests


def jobs_page(*rows: bytes) -> Answer:
    return Answer(200, body=b'{"data":[' + b",".join(rows) + b"]}")


def is_job_list(_method: str, path: str) -> bool:
    return path.endswith("/jobs")


async def two_clients(world: World) -> tuple[NewKey, NewKey, str, str]:
    """Keys of two clients and their connections' Airbyte ids, each in a workspace of its own."""
    keys, ids = [], []
    for slug in ("acme", "globex"):
        keys.append(await world.client_with_key(slug))
        theirs = world.sandbox.world.add_connection(world.sandbox.world.add_workspace(slug).workspace_id).connection_id
        await world.services.connections.add(slug, connector_type="shopify", label="Shop", airbyte_id=theirs)
        ids.append(theirs)
    world.clock.advance(60)
    return keys[0], keys[1], ids[0], ids[1]


async def warned(world: World, *keys: NewKey) -> list[bool]:
    answers = [await world.http.get(f"/api/v1/{path}", headers=bearer(key)) for key in keys for path in PATHS]
    return ["warning" in answer.headers for answer in answers[:: len(PATHS)]]


async def connections_of(world: World, key: NewKey) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    return rows


PATHS = ("connections", "status")


@pytest.mark.parametrize(
    "odd",
    [
        b'{"jobId":"?","connectionId":"\xff"}',
        b'{"jobId":8,"connectionId":"one","status":"\\ud800"}',
        b'{"jobId":8,"connectionId":"one","streams":' + b"[" * 1500 + b"]" * 1500 + b"}",
    ],
    ids=["no UTF-8", "half a surrogate pair", "nested too deep"],
)
async def test_an_odd_row_of_nobody_s_connection_makes_nobody_s_figures_stale(world: World, odd: bytes) -> None:
    acme, globex, theirs, _ = await two_clients(world)
    good = (
        f'{{"jobId":9,"status":"running","jobType":"sync","connectionId":"{theirs}","startTime":"2026-04-01T03:00Z"}}'
    )
    world.sandbox.faults.answer_with(jobs_page(odd, good.encode()), when=is_job_list)

    assert await warned(world, acme, globex) == [False, False]
    listed = await world.http.get("/api/v1/connections", headers=bearer(acme))

    assert listed.json()["data"][0]["last_sync_status"] == "running"
    assert b"gateway_upstream_odd_rows_total 1.0" in world.services.metrics.render()


@pytest.mark.parametrize("status", ["?", "\\ud800"])
async def test_an_odd_row_that_is_a_connection_s_newest_is_owned_up_to_by_its_client_alone(
    world: World, status: str
) -> None:
    acme, globex, theirs, _ = await two_clients(world)
    odd = f'{{"jobId":9,"status":"{status}","jobType":"sync","connectionId":"{theirs}"}}'.encode()
    world.sandbox.faults.answer_with(jobs_page(odd), times=2, when=is_job_list)

    assert await warned(world, acme, globex) == [True, False]
    world.clock.advance(60)
    assert await warned(world, acme, globex) == [False, False]


async def test_a_workspace_that_airbyte_refuses_makes_only_its_clients_figures_stale(world: World) -> None:
    acme, globex, theirs, others = await two_clients(world)
    lost = world.sandbox.world.connections[theirs].workspace_id
    record = world.sandbox.world.workspaces.pop(lost)
    world.sandbox.faults.user_mode = True
    world.sandbox.world.add_job(others, status="running")
    world.sandbox.world.add_job(theirs, status="failed")

    assert await warned(world, acme, globex) == [True, False]
    listed = await world.http.get("/api/v1/connections", headers=bearer(globex))
    assert listed.json()["data"][0]["last_sync_status"] == "running"

    world.clock.advance(86_400)
    assert await warned(world, acme, globex) == [True, False]
    world.sandbox.world.workspaces[lost] = record
    world.clock.advance(86_400)
    assert await warned(world, acme, globex) == [False, False]
    listed = await world.http.get("/api/v1/connections", headers=bearer(acme))
    assert listed.json()["data"][0]["last_sync_status"] == "failed"


async def test_a_connection_back_filled_in_a_workspace_that_airbyte_refuses_is_not_called_fresh(world: World) -> None:
    acme, globex, theirs, _ = await two_clients(world)
    world.sandbox.world.workspaces.pop(world.sandbox.world.connections[theirs].workspace_id)
    world.sandbox.faults.user_mode = True
    assert await warned(world, acme, globex) == [True, False]
    (connection, _) = await world.services.store.connections.all()

    await world.services.syncs.backfill.run_one(connection)  # as a command does that maps it

    assert await warned(world, acme, globex) == [True, False]


async def test_a_connection_that_cannot_be_back_filled_holds_up_no_other_and_is_returned_to(world: World) -> None:
    acme, globex, theirs, others = await two_clients(world)
    for each in (theirs, others):
        world.sandbox.world.add_job(each, status="succeeded", created_at=world.clock.now().timestamp() - 7200)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs, others])
    world.sandbox.faults.answer_with(jobs_page(), when=is_job_list)
    world.sandbox.faults.answer_with(jobs_page(b"0"), when=is_job_list)

    assert await warned(world, acme, globex) == [True, False]
    listed = await world.http.get("/api/v1/connections", headers=bearer(globex))
    assert listed.json()["data"][0]["last_sync_status"] == "succeeded"
    world.clock.advance(10)
    assert await warned(world, acme, globex) == [True, False]
    world.clock.advance(60)
    assert await warned(world, acme, globex) == [False, False]


async def test_airbyte_s_failure_concerns_no_client_without_mapping(world: World) -> None:
    acme, globex, _, _ = await two_clients(world)
    bare = await world.client_with_key("initech")
    world.sandbox.faults.answer_with(Answer(429))

    assert await warned(world, acme, globex, bare) == [True, True, False]


async def test_a_job_list_that_ignores_the_offset_ends_and_every_connection_is_asked_instead(world: World) -> None:
    acme, globex, theirs, _ = await two_clients(world)
    world.sandbox.world.add_job(theirs, status="running")
    rows = [
        f'{{"jobId":{number},"status":"running","jobType":"reset","connectionId":"{theirs}"}}'.encode()
        for number in range(100)
    ]
    world.sandbox.faults.answer_with(jobs_page(*rows), times=2, when=is_job_list)
    world.sandbox.requests.clear()

    assert await warned(world, acme, globex) == [False, False]
    assert len(world.sandbox.requests) == 4


async def test_statuses_that_could_not_be_read_do_not_count_as_checked(world: World) -> None:
    acme, _, theirs, others = await two_clients(world)
    lost = world.sandbox.world.connections[theirs].workspace_id
    world.sandbox.world.workspaces.pop(lost)
    world.sandbox.world.forget_connection(theirs)
    world.sandbox.faults.user_mode = True
    world.clock.advance(7200)
    before = {row.airbyte_id: row.status_checked_at for row in await world.services.store.connections.all()}

    await warned(world, acme)
    await quiet()

    after = {row.airbyte_id: row.status_checked_at for row in await world.services.store.connections.all()}
    assert after[theirs] == before[theirs]
    assert after[others] != before[others]


async def test_each_connection_is_asked_for_again_by_itself_one_a_refresh(world: World) -> None:
    """What changes do not tell is found out: jobs of a restored Airbyte, rows stamped in the past."""
    acme, globex, theirs, others = await two_clients(world)
    for each in (theirs, others):
        world.sandbox.world.add_job(each, status="failed", created_at=world.clock.now().timestamp() - 7200)
    world.clock.advance(7200)
    seen = []
    for _ in range(2):
        world.sandbox.requests.clear()
        await world.http.get("/api/v1/connections", headers=bearer(acme))
        await quiet()
        rows = [await world.http.get("/api/v1/connections", headers=bearer(key)) for key in (acme, globex)]
        seen.append(sorted(str(row.json()["data"][0]["last_sync_status"]) for row in rows))
        assert sum("connectionId" in request.query for request in world.sandbox.requests) == 1
        world.clock.advance(60)

    assert seen == [["None", "failed"], ["failed", "failed"]]


async def test_a_last_sync_that_airbyte_no_longer_has_is_replaced_by_its_newest(world: World) -> None:
    acme, _, theirs, _ = await two_clients(world)
    store = world.services.store
    await store.last_syncs.record([LastSync(theirs, 900, "2026-04-01T03:00:00.000Z", "succeeded")])
    world.sandbox.world.add_job(theirs, status="failed", created_at=world.clock.now().timestamp() - 86_400)
    world.clock.advance(7200)
    for _ in range(3):
        answer = await world.http.get("/api/v1/connections", headers=bearer(acme))
        await quiet()
        world.clock.advance(60)

    assert answer.json()["data"][0]["last_sync_status"] == "failed"


async def test_a_young_last_sync_that_airbyte_does_not_list_is_called_stale_until_it_is_listed_or_replaced(
    world: World,
) -> None:
    acme, globex, theirs, _ = await two_clients(world)
    world.sandbox.world.add_job(theirs, status="failed", created_at=world.clock.now().timestamp() - 86_400)
    world.clock.advance(60)
    young = format_time(world.clock.now())
    await world.services.store.last_syncs.record([LastSync(theirs, 900, young, "succeeded")])
    told = []
    for _ in range(12):
        await warned(world, acme)
        await quiet()
        (stale, other), (row,) = await warned(world, acme, globex), await connections_of(world, acme)
        told.append((row["last_sync_status"], stale, other))
        world.clock.advance(30)

    assert told[2] == ("succeeded", True, False)
    assert told[-1] == ("failed", False, False)


async def test_a_connection_that_moved_to_another_workspace_is_followed(world: World) -> None:
    acme, _, theirs, _ = await two_clients(world)
    elsewhere = world.sandbox.world.add_workspace("Elsewhere").workspace_id
    known = world.sandbox.world.connections[theirs]
    world.sandbox.world.connections[theirs] = dataclasses.replace(known, workspace_id=elsewhere)
    world.clock.advance(7200)

    await warned(world, acme)
    await quiet()

    assert elsewhere in await world.services.store.last_syncs.workspaces_in_use()


async def test_a_failure_of_any_kind_is_called_stale(world: World) -> None:
    acme, globex, _, _ = await two_clients(world)
    assert await warned(world, acme, globex) == [False, False]
    await world.services.store.last_syncs.record([], read_upto="no time at all")
    world.clock.advance(60)

    assert await warned(world, acme, globex) == [True, True]


async def test_figures_whose_last_refresh_is_older_than_twice_its_cadence_are_called_stale(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, sync_timings=waiting(0.01)) as world:
        key = await world.client_with_key()
        await world.mapped_connection()
        refresh = world.services.syncs.last_sync.start_if_older(0)
        assert refresh is not None
        await refresh
        await quiet()
        release = world.sandbox.faults.get_hang = asyncio.Event()

        world.clock.advance(10)
        assert await warned(world, key) == [False]
        world.clock.advance(1)
        assert await warned(world, key) == [True]
        release.set()


async def test_a_refresh_that_took_longer_than_twice_its_cadence_is_no_fresh_one(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()

    def take_long(_method: str, path: str) -> bool:
        world.clock.advance(11 if path.endswith("/jobs") else 0)
        return False

    world.sandbox.faults.answer_with(Answer.html(502), when=take_long)

    assert await warned(world, key) == [True]


async def test_a_connection_that_airbyte_forbids_makes_its_client_s_figures_stale(world: World) -> None:
    acme, globex, theirs, _ = await two_clients(world)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    world.sandbox.world.forget_connection(theirs)
    world.sandbox.faults.user_mode = True

    assert await warned(world, acme, globex) == [True, False]


async def test_a_connection_that_fails_when_it_is_asked_for_again_makes_its_client_s_figures_stale(
    world: World,
) -> None:
    acme, globex, *_ = await two_clients(world)
    world.clock.advance(7200)
    world.sandbox.faults.answer_with(jobs_page(), when=is_job_list)
    world.sandbox.faults.answer_with(jobs_page(b"0"), when=is_job_list)
    await warned(world, acme)
    await quiet()
    world.clock.advance(5)

    stale = await warned(world, acme, globex)
    assert sorted(stale) == [False, True]
    world.clock.advance(60)
    assert await warned(world, acme, globex) == [False, False]


async def test_a_client_whose_connection_hangs_keeps_no_other_waiting_and_makes_none_stale(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, sync_timings=waiting(10 * BOUND_SECONDS)) as world:
        acme, globex, theirs, _ = await two_clients(world)
        assert await warned(world, acme, globex) == [False, False]
        await quiet()
        await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
        release = hang_when(world, lambda query: theirs in query)
        world.clock.advance(5)
        asking = asyncio.create_task(warned(world, acme))

        async with asyncio.timeout(BOUND_SECONDS):
            for _ in range(5):
                assert await warned(world, globex) == [False]
                world.clock.advance(5)

        assert not asking.done()
        release.set()
        assert await asking == [False]


async def test_a_client_with_many_connections_that_hang_keeps_a_new_mapping_waiting_for_two_of_them_at_most(
    world: World,
) -> None:
    await two_clients(world)
    workspace = world.sandbox.world.add_workspace("Many").workspace_id
    many = [world.sandbox.world.add_connection(workspace).connection_id for _ in range(5)]
    for each in many:
        await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=each)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=many)
    asked: list[str] = []

    def hangs(_method: str, _path: str) -> bool:
        hanging = [each for each in many if f"connectionId={each}&" in world.sandbox.requests[-1].query]
        asked.extend(hanging)
        world.clock.advance(15 if hanging else 0)
        return bool(hanging)

    world.sandbox.faults.answer_with(Answer(400), times=9, when=hangs)
    for runs in (1, 2):
        await world.services.syncs.backfill.run(is_read=True)
        assert len(set(asked)) == len(asked) == 2 * runs


def hang_when(world: World, is_hanging: Callable[[str], bool]) -> asyncio.Event:
    """Hold back answers to requests whose query is such, until the event is set."""
    faults, release = world.sandbox.faults, asyncio.Event()

    def choose(_method: str, _path: str) -> bool:
        faults.get_hang = release if is_hanging(world.sandbox.requests[-1].query) else None
        return False

    faults.answer_with(Answer.html(502), when=choose)
    return release


async def test_an_error_of_ours_about_one_connection_holds_up_no_other(world: World) -> None:
    acme, globex, theirs, others = await two_clients(world)
    for each in (theirs, others):
        world.sandbox.world.add_job(each, created_at=world.clock.now().timestamp() - 7200)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs, others])
    asked: list[str] = []

    def break_down(_method: str, path: str) -> bool:
        asked.append(path)
        if path.endswith("/jobs") and len(asked) == 2:  # the first one reads the changes
            raise ZeroDivisionError
        return False

    world.sandbox.faults.answer_with(Answer.html(502), when=break_down)

    assert await warned(world, acme, globex) == [True, False]


@pytest.mark.parametrize(("ahead_seconds", "readings"), [(-90, 1), (90, 1), (600, 2)])
async def test_the_last_sync_is_right_although_the_date_of_airbyte_s_answers_is_wrong(
    world: World, ahead_seconds: float, readings: int
) -> None:
    key = await world.client_with_key()
    _, theirs = await world.mapped_connection()
    world.sandbox.faults.date_ahead_seconds = ahead_seconds
    await warned(world, key)
    world.clock.advance(60)
    await warned(world, key)
    await quiet()
    world.clock.advance(5)
    world.sandbox.world.add_job(theirs, status="failed", created_at=world.clock.now().timestamp())
    world.clock.advance(3600)

    for _ in range(readings):
        answer = await world.http.get("/api/v1/connections", headers=bearer(key))
        await quiet()

    assert answer.json()["data"][0]["last_sync_at"] == "2026-04-01T03:01:05.000Z"
    assert answer.json()["data"][0]["last_sync_status"] == "failed"


async def test_a_new_mapping_knows_its_eleven_newest_ended_syncs_with_one_call(world: World) -> None:
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    theirs = world.sandbox.world.add_connection(workspace).connection_id
    now = world.clock.now().timestamp()
    ids = [world.sandbox.world.add_job(theirs, created_at=now - 3600 * hours).job_id for hours in range(15, 0, -1)]
    world.sandbox.world.add_job(theirs, created_at=now, status="running")
    await world.client_with_key()
    world.sandbox.requests.clear()

    await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=theirs)

    assert [request.path for request in world.sandbox.requests if request.path.endswith("/jobs")] == [
        "/api/public/v1/jobs"
    ]
    held = await world.services.store.last_syncs.recent([theirs])
    assert [sync.job_id for sync in held[theirs]] == ids[:-12:-1]
    (connection,) = await world.services.store.connections.all()
    assert connection.last_ended_at == held[theirs][0].ended_at
