"""Settings > API Keys through HTTP as a browser asks: what is shown once, what works, what is refused."""

import asyncio
import io
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from gateway.auth.keys import PATTERN
from gateway.dashboard.api_key import OVERLAPS
from gateway.dashboard.paging import PAGE_ROWS
from gateway.models import ApiKey
from gateway.telemetry.log import configure_log
from tests.dashboard.support import HOST, followed, plain, rows_of, signed_in
from tests.support import World, running_gateway

KEYS = "/dashboard/settings/api-keys"
ACME = 1
NEVER_OURS = "key_0000000000000000"
XSS = '<script>alert("1")</script>'


@pytest.fixture
async def ann(world: World) -> httpx2.AsyncClient:
    """The browser of a member of acme."""
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, "acme", "ann@acme.example")


async def create(visitor: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    form = {"name": "nightly", "scope": "full", "expires": "never", "date": ""} | fields
    return await visitor.post(KEYS, data=form)


async def new_key(visitor: httpx2.AsyncClient, **fields: str) -> str:
    return secret_in(await create(visitor, **fields))


def secret_in(page: httpx2.Response) -> str:
    (secret,) = {match[0] for match in re.finditer(PATTERN, page.text)}
    return secret


async def status_with(world: World, secret: str) -> int:
    return (await world.http.get("/api/v1/status", headers={"Authorization": f"Bearer {secret}"})).status_code


async def keys(world: World, client_id: int = ACME) -> list[ApiKey]:
    return await world.services.store.api_keys.of_client(client_id)


def row_of(page: httpx2.Response, key: ApiKey) -> str:
    """The list's line about the key, in words."""
    (row,) = (row for row in re.findall(r"<tr>.*?</tr>", page.text, re.DOTALL) if f"/{key.id}" in row.split("</th>")[0])
    return plain(row)


async def test_a_new_key_is_shown_once_works_and_is_refused_once_revoked(world: World, ann: httpx2.AsyncClient) -> None:
    shown = await create(ann, name="nightly report")
    (key,) = await keys(world)
    page = await ann.get(f"{KEYS}/{key.id}")
    secret = secret_in(shown)

    assert (key.name, key.scope, key.expires_at) == ("nightly report", "full", None)
    assert key.start == secret[:9] + "…"
    assert (shown.status_code, shown.headers["cache-control"]) == (200, "no-store")
    assert secret not in page.text
    assert await status_with(world, secret) == 200

    revoked = await followed(ann, await ann.post(f"{KEYS}/{key.id}/revoke", data={}))

    assert "The key is revoked" in revoked.text
    assert await status_with(world, secret) == 401


async def test_the_command_to_copy_has_this_gateway_s_address_and_the_key(ann: httpx2.AsyncClient) -> None:
    shown = await create(ann)

    command = f'curl -sS -H "Authorization: Bearer {secret_in(shown)}" https://{HOST}/api/v1/status'
    assert command in plain(shown.text)
    assert 'data-copy="secret"' in shown.text
    assert 'data-copy="curl"' in shown.text


async def test_the_secret_is_in_no_log_no_table_and_no_address(tmp_path: Path) -> None:
    log = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    configure_log(level="debug", style="json", stream=log)
    async with running_gateway(tmp_path) as world:
        await world.services.clients.add(slug="acme", name="Acme", plan="free")
        ann = await signed_in(world, "acme")
        created = await create(ann)
        (key,) = await keys(world)
        rotated = await ann.post(f"{KEYS}/{key.id}/rotate", data={"overlap": "1h"})
        secrets = [secret_in(created), secret_in(rotated)]
        assert [await status_with(world, secret) for secret in secrets] == [200, 200]
        await world.services.store.usage.flush()
        with closing(sqlite3.connect(world.services.settings.database_path)) as database:
            tables = "\n".join(database.iterdump())
        file = world.services.settings.database_path.read_bytes()
    log.seek(0)
    lines = log.read()

    assert "/rotate" in lines, "the log was not read"
    assert key.start in tables, "the database was not read"
    for secret in secrets:
        middle = secret[len(key.start) : -6]
        for text in (lines, tables, repr(created.headers), repr(rotated.headers)):
            assert middle not in text
        assert middle.encode() not in file


@pytest.mark.parametrize(("scope", "triggered"), [("full", 200), ("read", 403)])
async def test_the_scope_decides_who_may_trigger(
    world: World, ann: httpx2.AsyncClient, scope: str, triggered: int
) -> None:
    connection_id, _ = await world.mapped_connection()
    secret = await new_key(ann, scope=scope)

    answer = await world.http.post(
        f"/api/v1/connections/{connection_id}/sync", headers={"Authorization": f"Bearer {secret}"}
    )

    assert answer.status_code == triggered
    assert await status_with(world, secret) == 200


@pytest.mark.parametrize(
    ("expires", "date", "expires_at"),
    [
        ("never", "", None),
        ("never", "2026-05-01", None),
        ("30d", "", "2026-05-01T03:00:00.000Z"),
        ("90d", "", "2026-06-30T03:00:00.000Z"),
        ("1y", "", "2027-04-01T03:00:00.000Z"),
        ("date", "2026-04-02", "2026-04-02T00:00:00.000Z"),
    ],
)
async def test_a_key_ends_when_the_form_says(
    world: World, ann: httpx2.AsyncClient, expires: str, date: str, expires_at: str | None
) -> None:
    await new_key(ann, expires=expires, date=date)

    assert [key.expires_at for key in await keys(world)] == [expires_at]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"expires": "date", "date": "2026-03-31"}, "2026-03-31 is in the past"),
        ({"expires": "date", "date": "2026-04-01"}, "2026-04-01 is in the past"),
        ({"expires": "date", "date": ""}, "Choose the date on which the key expires"),
        ({"expires": "date", "date": "soon"}, "is neither a duration"),
        ({"expires": "2h"}, "Choose when the key expires"),
        ({"scope": "admin"}, "The scope must be full or read"),
        ({"name": ""}, "The name must be"),
        ({"name": "a" * 201}, "The name must be"),
        ({"name": "new\u202eline"}, "The name must be"),
    ],
)
async def test_what_cannot_be_used_is_refused_and_kept_in_the_form(
    world: World, ann: httpx2.AsyncClient, fields: dict[str, str], problem: str
) -> None:
    answer = await create(ann, **{"name": "weekly", "scope": "read", "expires": "90d"} | fields)

    assert answer.status_code == 400
    assert problem in answer.text
    assert await keys(world) == []
    sent = {"name": "weekly", "scope": "read", "expires": "90d", "date": ""} | fields
    assert f'name="name" value="{sent["name"]}"' in answer.text
    assert f'name="date" value="{sent["date"]}"' in answer.text
    if sent["scope"] == "read":
        assert '<option value="read" selected>' in answer.text
    if sent["expires"] != "2h":
        assert f'<option value="{sent["expires"]}" selected>' in answer.text


async def test_there_are_only_so_many_keys_that_work(world: World, ann: httpx2.AsyncClient) -> None:
    most = world.services.settings.keys.most_active
    for _ in range(most):
        await world.key()
    (first, *_) = await keys(world)

    refused = await create(ann, name="one too many")
    overlapping = await ann.post(f"{KEYS}/{first.id}/rotate", data={"overlap": "7d"})

    for answer in (refused, overlapping):
        assert answer.status_code == 400
        assert f"There are {most} working keys already, and {most} is the most" in answer.text
    assert len(await keys(world)) == most

    replaced = await ann.post(f"{KEYS}/{first.id}/rotate", data={"overlap": "0s"})
    still_refused = await create(ann)
    await ann.post(f"{KEYS}/{(await keys(world))[1].id}/revoke", data={})
    created = await create(ann)

    assert [replaced.status_code, still_refused.status_code, created.status_code] == [200, 400, 200]


@pytest.mark.parametrize(("overlap", "seconds"), [("0s", 0), ("1h", 3600), ("24h", 86400), ("7d", 604800)])
async def test_a_rotated_key_works_for_the_overlap(
    world: World, ann: httpx2.AsyncClient, overlap: str, seconds: int
) -> None:
    old_secret = await new_key(ann, scope="read", name="nightly")
    (old,) = await keys(world)

    shown = await ann.post(f"{KEYS}/{old.id}/rotate", data={"overlap": overlap})
    new_secret = secret_in(shown)
    old, new = await keys(world)
    page = await ann.get(f"{KEYS}/{new.id}")

    assert re.search(PATTERN, page.text) is None
    assert (new.name, new.scope, old.successor_id) == ("nightly", "read", new.id)
    assert ("Until then both keys work" if seconds else "which is refused from now on") in plain(shown.text)
    assert f'href="../../../../dashboard/settings/api-keys/{old.id}"' in shown.text
    assert f"It replaces {old.start}" in plain(page.text)
    assert await status_with(world, new_secret) == 200
    if seconds:
        world.clock.advance(seconds - 1)
        assert await status_with(world, old_secret) == 200
        world.clock.advance(1)
    assert await status_with(world, old_secret) == 401
    assert await status_with(world, new_secret) == 200


def test_the_form_offers_the_overlaps_that_were_tested() -> None:
    assert list(OVERLAPS) == ["0s", "1h", "24h", "7d"]


@pytest.mark.parametrize("overlap", ["", "1000d", "-1h", "2h"])
async def test_another_overlap_is_refused(world: World, ann: httpx2.AsyncClient, overlap: str) -> None:
    await new_key(ann)
    (key,) = await keys(world)

    answer = await ann.post(f"{KEYS}/{key.id}/rotate", data={"overlap": overlap})

    assert answer.status_code == 400
    assert "Choose when the old key expires" in answer.text
    assert await keys(world) == [key]


@pytest.mark.parametrize("before", ["rotate", "revoke"])
async def test_a_key_that_ended_or_has_a_successor_is_not_rotated(
    world: World, ann: httpx2.AsyncClient, before: str
) -> None:
    await new_key(ann)
    (key,) = await keys(world)
    await ann.post(f"{KEYS}/{key.id}/{before}", data={"overlap": "1h"})
    known = await keys(world)

    page = await ann.get(f"{KEYS}/{key.id}")
    answer = await ann.post(f"{KEYS}/{key.id}/rotate", data={"overlap": "1h"})

    assert "/rotate" not in page.text
    assert answer.status_code == 400
    assert await keys(world) == known


async def test_the_page_says_who_uses_the_key_and_still_the_old_one(world: World, ann: httpx2.AsyncClient) -> None:
    secret = await new_key(ann)
    (key,) = await keys(world)
    page = f"{KEYS}/{key.id}"
    unused = await ann.get(page)
    headers = {"Authorization": f"Bearer {secret}", "User-Agent": "loader/2.1 <b>"}
    for _ in range(2):
        await world.http.get("/api/v1/status", headers=headers)
    await world.services.store.usage.flush()
    world.clock.advance(120)

    used = await ann.get(page)
    await ann.post(f"{page}/rotate", data={"overlap": "7d"})
    new = await ann.get(f"{KEYS}/{(await keys(world))[1].id}")
    old = await ann.get(page)
    sentence = "was last used 2 minutes ago from 127.0.0.1 by loader/2.1 <b> and made 2 calls in the last 24 hours."

    assert "Nobody has used it yet." in plain(unused.text)
    assert f"It {sentence}" in plain(used.text)
    assert f"The old key {sentence}" in plain(new.text)
    assert f"It {sentence}" in plain(old.text)

    world.clock.advance(25 * 3600)
    bob = await signed_in(world, "acme", "bob@acme.example")
    assert "and made 0 calls in the last 24 hours" in plain((await bob.get(page)).text)


async def test_the_list_names_the_program_that_used_a_key_last(world: World, ann: httpx2.AsyncClient) -> None:
    secret = await new_key(ann)
    agent = "speakeasy-sdk/python 1.0.1 2.911.0 1.0.0 airbyte-api"
    await world.http.get("/api/v1/status", headers={"Authorization": f"Bearer {secret}", "User-Agent": agent})
    await world.services.store.usage.flush()

    shown = plain((await ann.get(KEYS)).text)

    assert "from 127.0.0.1 by airbyte-api 1.0.1 (python)" in shown
    assert "speakeasy" not in shown


async def test_the_list_says_what_each_key_is_for_and_in_which_state(world: World, ann: httpx2.AsyncClient) -> None:
    empty = await ann.get(KEYS)
    for name, fields in {
        "plain": {},
        "reader": {"scope": "read", "expires": "90d"},
        "ending": {"expires": "date", "date": "2026-04-08"},
        "rotated": {},
        "revoked": {},
        "expired": {"expires": "date", "date": "2026-04-02"},
    }.items():
        await create(ann, **{"name": name} | fields)
    by_name = {key.name: key for key in await keys(world)}
    await ann.post(f"{KEYS}/{by_name['rotated'].id}/rotate", data={"overlap": "7d"})
    await ann.post(f"{KEYS}/{by_name['revoked'].id}/revoke", data={})
    successor = (await keys(world))[-1]
    world.clock.advance(86400)
    bob = await signed_in(world, "acme", "bob@acme.example")

    page, ended = await bob.get(KEYS), await bob.get(f"{KEYS}?show=ended")

    assert "No active keys." in empty.text
    assert f'href="../../{KEYS[1:]}?show=ended">2 revoked or expired</a>' in page.text
    assert row_of(page, by_name["plain"]) == f"plain {by_name['plain'].start} full never 1 day ago never active"
    assert row_of(page, by_name["reader"]).endswith("read-only never 1 day ago in 89 days active")
    assert row_of(page, by_name["ending"]).endswith("in 6 days expires soon")
    assert row_of(page, by_name["rotated"]).endswith(f"in 6 days being replaced by {successor.start}")
    assert row_of(ended, by_name["revoked"]).endswith("1 day ago revoked")
    assert row_of(ended, by_name["expired"]).endswith("3 hours ago expired")
    for name, key in by_name.items():
        assert (key.id in ended.text) == (name in ("revoked", "expired"))
        assert (key.id in page.text) != (key.id in ended.text)


async def test_a_hundred_forms_at_once_make_as_many_keys_as_may_work(world: World, ann: httpx2.AsyncClient) -> None:
    most = world.services.settings.keys.most_active

    answers = await asyncio.gather(*(create(ann, name=f"loader {number}") for number in range(100)))

    statuses = [answer.status_code for answer in answers]
    assert len(await keys(world)) == statuses.count(200) == most
    assert set(statuses) == {200, 400, 429}


async def test_forms_that_are_refused_use_up_none_of_the_sixty(world: World, ann: httpx2.AsyncClient) -> None:
    await new_key(ann)
    (key,) = await keys(world)
    for _ in range(30):
        assert (await create(ann, name="")).status_code == 400
        assert (await ann.post(f"{KEYS}/{key.id}/rotate", data={"overlap": "never"})).status_code == 400
        assert (await ann.post(f"{KEYS}/{NEVER_OURS}/rotate", data={"overlap": "0s"})).status_code == 404

    assert (await create(ann)).status_code == 200


async def test_members_make_sixty_keys_an_hour_however_often_they_rotate(world: World, ann: httpx2.AsyncClient) -> None:
    await new_key(ann)
    for _ in range(59):
        (key,) = [each for each in await keys(world) if each.successor_id is None]
        assert (await ann.post(f"{KEYS}/{key.id}/rotate", data={"overlap": "0s"})).status_code == 200

    refused = await create(ann)
    rotated = await ann.post(f"{KEYS}/{(await keys(world))[-1].id}/rotate", data={"overlap": "0s"})
    admin = await signed_in(world, None)
    by_admin = await admin.post(
        "/dashboard/admin/clients/acme/api-keys", data={"name": "n", "expires": "never", "scope": "full"}
    )
    world.clock.advance(60)
    later = await create(ann)

    assert [answer.status_code for answer in (refused, rotated, by_admin, later)] == [429, 429, 200, 200]
    assert "Too many new keys in an hour: come back in 1 minute" in plain(refused.text)
    assert refused.headers["Retry-After"] == "60"


async def test_many_keys_are_paged_and_searched(world: World, ann: httpx2.AsyncClient) -> None:
    await world.allow_keys(PAGE_ROWS + 5)
    for number in range(PAGE_ROWS + 5):
        await create(ann, name=f"loader {number:02}")

    first, second, found, by_name = [
        await ann.get(f"{KEYS}{query}") for query in ("", "?page=2", "?q=LOADER+09", "?sort=name")
    ]

    assert [page.text.count("<tr>") - 1 for page in (first, second, found)] == [PAGE_ROWS, 5, 1]
    assert "loader 09" in found.text
    assert "loader 00" not in first.text
    assert [row[0][:9] for row in rows_of(by_name.text)] == [f"loader {number:02}" for number in range(PAGE_ROWS)]
    assert '<th scope="col" aria-sort="ascending"><a href="?sort=-name">Key</a></th>' in by_name.text


async def test_many_ended_keys_are_paged_and_searched(world: World, ann: httpx2.AsyncClient) -> None:
    await world.key()
    for _ in range(PAGE_ROWS + 1):
        await world.services.keys.revoke((await world.key()).record.id)

    ended = await ann.get(f"{KEYS}?show=ended")
    second = await ann.get(f"{KEYS}?show=ended&page=2")
    nothing = await ann.get(f"{KEYS}?show=ended&q=nothing")

    assert f"{PAGE_ROWS + 1} revoked or expired" in ended.text
    assert [len(rows_of(page.text)) for page in (ended, second)] == [PAGE_ROWS, 1]
    assert "0 found for" in nothing.text
    assert '<input type="hidden" name="show" value="ended">' in nothing.text


@pytest.mark.parametrize("action", ["", "/rotate", "/revoke"])
async def test_another_client_s_key_is_answered_like_one_that_never_was(
    world: World, ann: httpx2.AsyncClient, action: str
) -> None:
    theirs = await world.client_with_key("other")
    answers = []
    for key_id in (theirs.record.id, NEVER_OURS):
        path = f"{KEYS}/{key_id}{action}"
        answers.append(await (ann.post(path, data={"overlap": "0s"}) if action else ann.get(path)))

    assert [answer.status_code for answer in answers] == [404, 404]
    alike = {re.sub(r"<code>[0-9a-f]{16}</code>", "", answer.text.replace(theirs.record.id, "")) for answer in answers}
    assert len({text.replace(NEVER_OURS, "") for text in alike}) == 1
    assert await keys(world, client_id=2) == [theirs.record]
    assert await keys(world) == []
    assert await status_with(world, theirs.text) == 200
    assert {entry.actor for entry in await world.services.store.activity.of_client(2, limit=9)} == {"command line"}


async def test_a_member_makes_keys_for_his_own_client_only(world: World, ann: httpx2.AsyncClient) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")

    await create(ann, client="other", client_id="2", slug="other")

    assert len(await keys(world)) == 1
    assert await keys(world, client_id=2) == []


async def test_names_are_escaped_wherever_they_stand(world: World, ann: httpx2.AsyncClient) -> None:
    shown = await create(ann, name=XSS)
    (key,) = await keys(world)

    pages = [
        shown,
        await ann.get(KEYS),
        await ann.get(f"{KEYS}/{key.id}"),
        await ann.get(f"{KEYS}?q={XSS}"),
        await create(ann, name=XSS, scope="none"),
        await ann.get("/dashboard/usage"),
        await ann.get("/dashboard/activity"),
    ]

    for page in pages:
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert" in page.text


async def test_who_is_not_signed_in_or_comes_from_elsewhere_makes_nothing(
    world: World, ann: httpx2.AsyncClient
) -> None:
    await new_key(ann)
    (key,) = await keys(world)
    foreign = {"Sec-Fetch-Site": "cross-site"}
    for path in (KEYS, f"{KEYS}/{key.id}/rotate", f"{KEYS}/{key.id}/revoke"):
        data = {"name": "x", "scope": "full", "expires": "never", "overlap": "0s"}
        assert (await ann.post(path, data=data, headers=foreign)).status_code == 403
    ann.cookies.clear()
    for path in (KEYS, f"{KEYS}/{key.id}/rotate", f"{KEYS}/{key.id}/revoke"):
        assert "sign-in" in (await ann.post(path, data={"overlap": "0s"})).headers["location"]

    assert await keys(world) == [key]


async def test_the_activity_log_names_the_member(world: World, ann: httpx2.AsyncClient) -> None:
    await new_key(ann)
    (key,) = await keys(world)
    await ann.post(f"{KEYS}/{key.id}/rotate", data={"overlap": "1h"})
    await ann.post(f"{KEYS}/{key.id}/revoke", data={})

    entries = await world.services.store.activity.of_client(ACME, limit=3)

    assert [entry.action for entry in entries] == ["key.revoke", "key.rotate", "key.create"]
    assert {(entry.actor, entry.address, entry.by_operator) for entry in entries} == {
        ("ann@acme.example", "127.0.0.1", False)
    }
