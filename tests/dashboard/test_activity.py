"""Both activity pages through HTTP as a browser asks: who is told what."""

import re
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from gateway.dashboard.activity import ACTION_WORDS, ACTIVITY_ROWS, OPERATOR, as_members_see
from gateway.dashboard.csv_answer import CSV_BATCH_ROWS
from gateway.dashboard.date_range import WRONG_DATE
from gateway.models import COMMAND_LINE, EVENT_TYPES, TEST_EVENT, ActivityEntry, Actor
from gateway.syncs.cursor_seal import SEALED_PATTERN
from gateway.times import format_time
from tests.dashboard.support import csv_of, rows_of, sealed_number, signed_in, words
from tests.support import START, World

ACTIVITY = "/dashboard/activity"
ADMIN_ACTIVITY = "/dashboard/admin/activity"
ACME = 1
NOW = format_time(START)
PACKAGE = Path(__file__).parents[2] / "gateway"
ANN = Actor("ann@acme.example", "192.0.2.1", "00000000000000a1")
ROOT = Actor("root@agency.example", "198.51.100.7", "00000000000000b2", is_operator=True)
ACTION = re.compile(r'"((?:client|connection|key|sync|user|webhook)\.(?!(?:html|address)")[a-z-]+)"')


@pytest.fixture
async def member(world: World) -> httpx2.AsyncClient:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, "acme", ANN.name)


async def record(world: World, by: Actor, action: str, subject: str, client_id: int | None = ACME) -> None:
    await world.services.store.activity.record(by.did(action, subject, client_id=client_id, at=NOW))


def rows(page: httpx2.Response) -> list[list[str]]:
    return rows_of(page.text)


async def test_an_entry_says_who_did_what_when_and_from_where(world: World, member: httpx2.AsyncClient) -> None:
    await record(world, ANN, "key.create", "smrt_abcd… (nightly)")

    page = await member.get(ACTIVITY)

    assert rows(page)[0] == [
        "created the API key smrt_abcd… (nightly)",
        "ann@acme.example",
        "1 Apr 2026, 03:00 UTC",
        "192.0.2.1",
        "00000000000000a1",
    ]
    assert f'<time datetime="{NOW}"' in page.text


async def test_what_was_done_on_the_pages_is_told_newest_first(world: World, member: httpx2.AsyncClient) -> None:
    form = {"name": "nightly", "scope": "full", "expires": "never", "date": ""}
    await member.post("/dashboard/settings/api-keys", data=form)

    told = [row[1::-1] for row in rows(await member.get(ACTIVITY))]
    (key,) = await world.services.store.api_keys.of_client(ACME)

    assert told == [
        [ANN.name, f"created the API key {key.start} (nightly)"],
        [ANN.name, "signed in"],
        [ANN.name, "set a new password"],
        [OPERATOR, f"invited {ANN.name}"],
        [OPERATOR, "created the client Acme (acme)"],
    ]


@pytest.mark.parametrize("by", [ROOT, COMMAND_LINE])
async def test_members_are_not_told_who_the_operator_s_people_are(
    world: World, member: httpx2.AsyncClient, by: Actor
) -> None:
    await record(world, by, "connection.map", "Shop (conn_1)")

    page = await member.get(ACTIVITY)

    (what, who, _, where, _), *_ = rows(page)
    assert (who, what, where) == (OPERATOR, "mapped the connection Shop (conn_1)", "—")
    assert by.name not in page.text
    assert str(by.address) not in page.text


async def test_an_admin_s_deed_on_a_page_is_the_operator_s_to_members(world: World, member: httpx2.AsyncClient) -> None:
    admin = await signed_in(world, None, ROOT.name)
    form = {"name": "Acme", "plan": "pro", "rate": ""}
    assert (await admin.post("/dashboard/admin/clients/acme/settings", data=form)).status_code == 303

    seen, known = await member.get(ACTIVITY), await admin.get(ADMIN_ACTIVITY)

    assert rows(seen)[0][:2] == ["changed the settings of the client Acme (acme)", OPERATOR]
    assert rows(seen)[0][3] == "—"
    assert ROOT.name not in seen.text
    assert rows(known)[0][:3] == ["changed the settings of the client Acme (acme)", ROOT.name, "acme"]
    assert rows(known)[0][4] == "127.0.0.1"


async def test_a_member_who_was_removed_is_still_named(world: World, member: httpx2.AsyncClient) -> None:
    await world.services.store.users.remove(
        (await world.services.store.users.by_email(ANN.name)).id,
        entry=ROOT.did("user.remove", ANN.name, client_id=ACME, at=NOW),
    )
    bob = await signed_in(world, "acme", "bob@acme.example")

    told = [row[1::-1] for row in rows(await bob.get(ACTIVITY))]

    assert [OPERATOR, f"removed the user {ANN.name}"] in told
    assert [ANN.name, "signed in"] in told


async def test_a_client_is_told_nothing_of_others(world: World, member: httpx2.AsyncClient) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")
    await record(world, Actor("eve@other.example"), "key.create", "smrt_eeee… (theirs)", client_id=2)
    await record(world, ROOT, "user.invite", "nobody's", client_id=None)

    page = await member.get(f"{ACTIVITY}?client=other")

    for secret in ("eve@other.example", "theirs", "nobody"):
        assert secret not in page.text


async def test_the_operator_sees_every_client_or_one(world: World, member: httpx2.AsyncClient) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")
    await world.services.clients.add(slug="gone", name="Gone", plan="free")
    await record(world, Actor("eve@other.example", "192.0.2.2"), "key.create", "smrt_eeee… (theirs)", client_id=2)
    await world.services.clients.remove("gone")
    admin = await signed_in(world, None, ROOT.name)

    everything = await admin.get(ADMIN_ACTIVITY)
    one = await admin.get(f"{ADMIN_ACTIVITY}?client=other")
    unknown = await admin.get(f"{ADMIN_ACTIVITY}?client=nobody")

    assert {row[2] for row in rows(everything)} == {"acme", "other", "removed", "none"}
    assert [[*row[:3], row[4]] for row in rows(one)] == [
        ["created the API key smrt_eeee… (theirs)", "eve@other.example", "other", "192.0.2.2"],
        ["created the client Other (other)", "command line", "other", "—"],
    ]
    assert unknown.status_code == 404
    assert "There is no client" in unknown.text
    assert 'value="nobody"' in unknown.text
    assert rows(unknown) == []


@pytest.mark.parametrize("path", [ACTIVITY, ADMIN_ACTIVITY, f"{ADMIN_ACTIVITY}?client=acme"])
async def test_pages_follow_each_other_without_gap_or_repetition(
    world: World, member: httpx2.AsyncClient, path: str
) -> None:
    for number in range(2 * ACTIVITY_ROWS):
        await record(world, ANN, "key.create", f"entry {number:03}")
    visitor = member if path == ACTIVITY else await signed_in(world, None, ROOT.name)
    seen: list[str] = []
    sizes: list[int] = []
    page = await visitor.get(path)
    while True:
        sizes.append(len(rows(page)))
        seen += re.findall(r"entry (\d{3})", page.text)
        await record(world, ANN, "key.create", "in between")
        older = re.search(r'<a rel="next" href="([^"]*)">', page.text)
        if older is None:
            break
        page = await visitor.get(f"{path.partition('?')[0]}{older[1].replace('&amp;', '&')}")

    assert seen == [f"{number:03}" for number in reversed(range(2 * ACTIVITY_ROWS))]
    assert sizes[:2] == [ACTIVITY_ROWS, ACTIVITY_ROWS]
    assert "← Newest" in page.text
    assert "in between" not in page.text


async def test_a_full_page_without_more_has_no_next(world: World, member: httpx2.AsyncClient) -> None:
    known = len(rows(await member.get(ACTIVITY)))
    for _ in range(ACTIVITY_ROWS - known):
        await record(world, ANN, "key.create", "x")

    page = await member.get(ACTIVITY)

    assert len(rows(page)) == ACTIVITY_ROWS
    assert 'aria-label="Pages"' not in page.text


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 40, "", "٣"])
async def test_a_page_that_cannot_be_is_the_newest(member: httpx2.AsyncClient, before: str) -> None:
    answer = await member.get(ACTIVITY, params={"before": before})

    assert answer.status_code == 200
    assert len(rows(answer)) == len(rows(await member.get(ACTIVITY)))


async def test_nothing_older_says_so(world: World, member: httpx2.AsyncClient) -> None:
    page = await member.get(f"{ACTIVITY}?before={await sealed_number(world, 1)}")

    assert "There are no older entries" in page.text
    assert "← Newest" in page.text


async def test_no_address_tells_how_many_entries_all_clients_have(world: World, member: httpx2.AsyncClient) -> None:
    for _ in range(ACTIVITY_ROWS + 1):
        await record(world, ANN, "key.create", "x")

    page = await member.get(ACTIVITY)
    (older,) = re.findall(r'rel="next" href="\?before=([^"]*)"', page.text)

    assert re.fullmatch(SEALED_PATTERN, older)
    assert 0 < len(rows(await member.get(f"{ACTIVITY}?before={older}"))) < ACTIVITY_ROWS
    of_another = await sealed_number(world, 2, client_id=2)
    assert rows(await member.get(f"{ACTIVITY}?before={of_another}")) == rows(page)


async def test_an_action_without_words_is_shown_as_it_is(world: World, member: httpx2.AsyncClient) -> None:
    await record(world, ANN, "key.polish", "smrt_abcd…")

    assert rows(await member.get(ACTIVITY))[0][0] == "key.polish smrt_abcd…"


async def test_what_people_wrote_is_escaped(world: World, member: httpx2.AsyncClient) -> None:
    xss = "<script>alert(1)</script>"
    await record(world, Actor(xss, xss, xss), xss, xss)
    admin = await signed_in(world, None, ROOT.name)

    for page in (await member.get(ACTIVITY), await admin.get(ADMIN_ACTIVITY, params={"client": xss})):
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text


def test_every_action_that_is_told_has_words() -> None:
    told = {
        action
        for path in PACKAGE.rglob("*.py")
        if path.name != "activity.py"
        for action in ACTION.findall(path.read_text(encoding="utf-8"))
    }

    assert told - {*EVENT_TYPES, TEST_EVENT} == ACTION_WORDS.keys()


def test_members_see_their_own_people_whole() -> None:
    entry: ActivityEntry = ANN.did("key.create", "x", client_id=ACME, at=NOW)

    assert as_members_see(entry) == entry


async def test_the_file_has_all_entries_as_the_pages_have_them(world: World, member: httpx2.AsyncClient) -> None:
    for number in range(CSV_BATCH_ROWS + 1):
        await record(world, ANN, "key.create", f"entry {number:03}")
    await record(world, ROOT, "connection.map", "=Shop, or so (conn_1)")

    answer = await member.get(f"{ACTIVITY}.csv")

    header, newest, *others = csv_of(answer)
    assert header == ["at", "actor", "action", "subject", "address", "requestId"]
    assert newest == [NOW, OPERATOR, "connection.map", "'=Shop, or so (conn_1)", "", "00000000000000b2"]
    assert others[0] == [NOW, ANN.name, "key.create", f"entry {CSV_BATCH_ROWS:03}", ANN.address, ANN.request_id]
    assert [row[3] for row in others if row[2] == "key.create"] == [
        f"entry {n:03}" for n in range(CSV_BATCH_ROWS, -1, -1)
    ]
    assert answer.headers["content-disposition"] == 'attachment; filename="acme-activity-2026-04-01.csv"'
    assert ROOT.name not in answer.text


async def test_the_operator_s_file_has_every_client_or_one(world: World, member: httpx2.AsyncClient) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")
    await record(world, ROOT, "user.invite", "nobody's", client_id=None)
    admin = await signed_in(world, None, ROOT.name)

    everything = csv_of(await admin.get(f"{ADMIN_ACTIVITY}.csv"))
    page = await admin.get(f"{ADMIN_ACTIVITY}?client=other")
    one = await admin.get(f"{ADMIN_ACTIVITY}.csv?client=other")
    unknown = await admin.get(f"{ADMIN_ACTIVITY}.csv?client=nobody")

    assert everything[0][0] == "client"
    assert {row[0] for row in everything[1:]} == {"acme", "other", ""}
    assert 'href="activity.csv?client=other"' in page.text
    assert [row[:4] for row in csv_of(one)[1:]] == [
        ["other", NOW, "command line", "client.create"],
    ]
    assert unknown.status_code == 404


async def test_a_client_s_file_tells_nothing_of_others(world: World, member: httpx2.AsyncClient) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")
    await record(world, Actor("eve@other.example"), "key.create", "smrt_eeee… (theirs)", client_id=2)
    await record(world, ROOT, "user.invite", "nobody's", client_id=None)

    file = await member.get(f"{ACTIVITY}.csv?client=other")

    for secret in ("eve@other.example", "theirs", "nobody"):
        assert secret not in file.text


async def test_entries_are_found_by_person_action_and_day(world: World, member: httpx2.AsyncClient) -> None:
    await record(world, Actor("Bob@acme.example"), "key.revoke", "by Bob")
    await record(world, ROOT, "connection.map", "by an admin")
    tomorrow = format_time(START + timedelta(days=1))
    late = Actor("bob@acme.example").did("key.create", "a day later", client_id=ACME, at=tomorrow)
    await world.services.store.activity.record(late)
    admin = await signed_in(world, None, ROOT.name)

    async def found(visitor: httpx2.AsyncClient, page: str, **asked: str) -> list[str]:
        pages = await visitor.get(page, params=asked)
        file = csv_of(await visitor.get(f"{page}.csv", params=asked))
        subjects = [row[file[0].index("subject")] for row in file[1:]]
        assert len(rows(pages)) == len(subjects)
        return subjects

    assert await found(member, ACTIVITY, person="BOB") == ["a day later", "by Bob"]
    assert await found(member, ACTIVITY, person="bob", action="key.revoke") == ["by Bob"]
    assert await found(member, ACTIVITY, person="bob", **{"from": "2026-04-02"}) == ["a day later"]
    assert await found(member, ACTIVITY, person="bob", to="2026-04-01") == ["by Bob"]
    assert await found(admin, ADMIN_ACTIVITY, person="ROOT@agency", action="connection.map") == ["by an admin"]
    assert await found(admin, ADMIN_ACTIVITY, client="acme", person="root@", action="connection.map") == ["by an admin"]


async def test_members_find_operators_only_by_that_word(world: World, member: httpx2.AsyncClient) -> None:
    await record(world, ROOT, "connection.map", "by an admin")

    by_word = await member.get(ACTIVITY, params={"person": "operat", "action": "connection.map"})
    by_name = await member.get(ACTIVITY, params={"person": "root"})
    file = await member.get(f"{ACTIVITY}.csv", params={"person": "root"})

    assert [row[0] for row in rows(by_word)] == ["mapped the connection by an admin"]
    assert rows(by_name) == []
    assert "No entry is like this." in by_name.text
    assert len(csv_of(file)) == 1


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "20260401", "2026-W01-1"])
async def test_a_day_that_is_none_is_refused(member: httpx2.AsyncClient, day: str) -> None:
    for path in (ACTIVITY, f"{ACTIVITY}.csv"):
        answer = await member.get(path, params={"from": day})

        assert answer.status_code == 400
        assert WRONG_DATE in words(answer).lower()


async def test_what_was_asked_for_stays_in_the_form_and_in_the_links(world: World, member: httpx2.AsyncClient) -> None:
    for number in range(ACTIVITY_ROWS + 1):
        await record(world, ANN, "key.create", f"entry {number:02}")

    page = await member.get(f"{ACTIVITY}?person=ann&action=key.create&from=2026-04-01&to=2099-12-31")

    assert 'value="ann"' in page.text
    assert '<option value="key.create" selected>' in page.text
    assert 'value="2026-04-01"' in page.text
    assert "?person=ann&amp;action=key.create&amp;from=2026-04-01&amp;to=2099-12-31&amp;before=" in page.text
    assert 'href="activity.csv?person=ann&amp;action=key.create' in page.text


@pytest.mark.parametrize("path", [ACTIVITY, ADMIN_ACTIVITY, f"{ADMIN_ACTIVITY}?client=acme"])
async def test_a_search_that_ended_early_goes_on_where_it_ended(
    world: World, member: httpx2.AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.tables.activity.SEARCHED_AT_ONCE", 3)
    visitor = member if path == ACTIVITY else await signed_in(world, None, ROOT.name)
    await record(world, ANN, "key.polish", "the old one")
    for number in range(4):
        await record(world, ANN, "key.create", f"entry {number}")
    place, _, query = path.partition("?")

    page = await visitor.get(f"{place}?{query}&action=key.polish")
    older = re.search(r'<a rel="next" href="([^"]*action=key.polish[^"]*)">Search older entries →</a>', page.text)
    assert older is not None
    later = await visitor.get(f"{place}{older[1].replace('&amp;', '&')}")
    file = await visitor.get(f"{place}.csv?{query}&action=key.polish")

    assert "There are older ones." in page.text
    assert [row[0] for row in rows(later)] == ["key.polish the old one"]
    assert len(csv_of(file)) == 2


async def test_a_long_request_id_is_short_and_whole_behind_it(world: World, member: httpx2.AsyncClient) -> None:
    request_id = "0123456789abcdef" * 2
    await record(world, Actor(ANN.name, "2001:db8:85a3:8d3:1319:8a2e:370:7348", request_id), "key.create", "x")

    page = await member.get(ACTIVITY)

    assert f"<summary><code>{request_id[:8]}…</code></summary>" in page.text
    assert re.search(rf'<code id="(request-\d+)">{request_id}</code></details> <button [^>]*data-copy="\1"', page.text)
