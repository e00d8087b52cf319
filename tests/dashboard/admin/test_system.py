"""The operator's page about the installation: always there, and the doctor's findings on request."""

import asyncio
import sqlite3
import ssl
from pathlib import Path

from gateway import __version__
from gateway.dashboard.timings import PageTimings
from gateway.sandbox.faults import Answer
from tests.dashboard.support import signed_in, words
from tests.support import World, bearer, running_gateway

SYSTEM = "/dashboard/admin/system"
CHECKED = f"{SYSTEM}?check=1"


async def test_it_shows_versions_and_what_it_holds_without_asking_airbyte(world: World, tmp_path: Path) -> None:
    await world.client_with_key("acme")
    await world.client_with_key("globex")
    await world.services.clients.disable("globex")
    await world.mapped_connection("acme")
    await world.services.connections.add("acme", connector_type="shopify", label="Later", airbyte_id=None)
    admin = await signed_in(world, None)
    asked = len(world.sandbox.requests)

    text = words(await admin.get(SYSTEM))

    size = (tmp_path / "gateway.db").stat().st_size / 1000
    assert len(world.sandbox.requests) == asked
    assert f"Gateway {__version__}" in text
    assert f"SQLite {sqlite3.sqlite_version}" in text
    assert ssl.OPENSSL_VERSION in text
    assert "Clients 2 , 1 of them disabled" in text
    assert "Connections 2 , 1 of them unmapped" in text
    assert "Active keys 2" in text
    assert "Users 1" in text
    assert f"{tmp_path / 'gateway.db'} , {size:.1f} kB" in text
    assert "Last good answer just now" in text
    assert "0 of at most 4" in text
    assert "sandbox-secret" not in text


async def test_a_sound_installation_is_well(world: World) -> None:
    await world.client_with_key("acme")
    await world.mapped_connection("acme")
    admin = await signed_in(world, None)

    before, after = words(await admin.get(SYSTEM)), words(await admin.get(CHECKED))

    assert "All checks passed." not in before
    assert "All checks passed." in after
    assert "1 mapped connections looked for in Airbyte" in after


async def test_what_is_wrong_comes_first_and_leads_to_where_it_is_mended(world: World) -> None:
    await world.client_with_key("acme")
    connection, airbyte_id = await world.mapped_connection("acme")
    world.sandbox.world.forget_connection(airbyte_id)
    admin = await signed_in(world, None)

    answer = await admin.get(CHECKED)

    assert "1 check failed." in words(answer)
    assert words(answer).index(f"fail {connection}") < words(answer).index("ok settings")
    assert f'dashboard/admin/connections/{connection}"' in answer.text


async def test_a_warning_is_shown_as_one_and_nothing_is_called_wrong(world: World) -> None:
    await world.client_with_key("acme")
    await world.services.connections.add("acme", connector_type="shopify", label="Later", airbyte_id=None)
    admin = await signed_in(world, None)

    text = words(await admin.get(CHECKED))

    assert "No check failed, but there are warnings." in text
    assert "All checks passed." not in text
    assert text.index("warn connections 1 without mapping") < text.index("ok settings")


async def test_callers_through_a_proxy_that_nobody_declared_are_told(world: World) -> None:
    admin = await signed_in(world, None)
    await world.http.get("/api/v1/status", headers={"X-Forwarded-For": "203.0.113.9"})

    assert "since its start 1 request came with X-Forwarded-For" in words(await admin.get(CHECKED))


async def test_airbyte_down_is_a_finding(world: World) -> None:
    admin = await signed_in(world, None)
    world.sandbox.faults.answer_with(Answer.html(502), times=1000)

    answer = await admin.get(CHECKED)

    assert answer.status_code == 200
    assert "fail airbyte Upstream service unreachable" in words(answer)
    assert "ok database" in words(answer)


async def test_calls_that_are_held_back_are_shown(world: World) -> None:
    admin = await signed_in(world, None)
    before = words(await admin.get(SYSTEM))
    await admin.get(CHECKED)
    keys = {slug: await world.client_with_key(slug) for slug in ("acme", "globex", "initech")}
    mapped = {slug: (await world.mapped_connection(slug))[0] for slug in keys}
    world.sandbox.faults.answer_with(Answer.html(502), times=1000)
    for _ in range(2):
        for slug, key in keys.items():
            await world.http.get(f"/api/v1/connections/{mapped[slug]}/jobs", headers=bearer(key))

    after = words(await admin.get(SYSTEM))

    assert "none since the start" in before
    assert "Calls to Airbyte allowed" in before
    assert "Calls to Airbyte paused after failures in a row" in after


async def test_nobody_waits_longer_than_the_bound(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, page_timings=PageTimings(checks=0.1)) as world:
        admin = await signed_in(world, None)
        world.sandbox.faults.get_hang = asyncio.Event()

        answer = await admin.get(CHECKED)
        world.sandbox.faults.get_hang.set()

    assert answer.status_code == 200
    assert "What is not listed was not checked" in words(answer)
    assert "ok database" in words(answer)
    assert "All checks passed." not in words(answer)
