"""The operator's pages about clients, through HTTP as a browser asks."""

import re

import pytest

from gateway.models import AWAITING_MAPPING, COMMAND_LINE
from tests.dashboard.support import accounts_of, plain, rows_of, signed_in
from tests.support import World, bearer

CLIENTS = "/dashboard/admin/clients"
XSS = '<script>alert("1")</script><img src=x onerror=alert(1)>'
ESCAPED = "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"


async def test_nothing_there_yet_says_what_to_do(world: World) -> None:
    admin = await signed_in(world, None)

    answer = await admin.get(CLIENTS)

    assert answer.status_code == 200
    assert "No clients yet" in answer.text


async def test_a_client_is_created_and_listed(world: World) -> None:
    admin = await signed_in(world, None)

    created = await admin.post(CLIENTS, data={"name": " Acme Inc ", "slug": "acme", "plan": "starter"})
    page = await admin.get(f"{CLIENTS}/{created.headers['location'].rpartition('/')[2]}")
    listed = await admin.get(CLIENTS)

    assert created.status_code == 303
    assert "The client is created" in page.text
    assert (await world.services.store.clients.by_slug("acme")).name == "Acme Inc"
    assert "Acme Inc" in listed.text
    assert "starter" in listed.text


async def test_calls_are_counted_in_words(world: World) -> None:
    key = await world.client_with_key()
    admin = await signed_in(world, None)
    said = []

    for _ in range(2):
        await world.http.get("/api/v1/status", headers=bearer(key))
        await world.services.store.usage.flush()
        page = await admin.get(f"{CLIENTS}/acme")
        said += re.findall(r"<span>([^<]*) in 24 h</span>", page.text)

    assert said == ["1 call", "2 calls"]


async def test_the_activity_log_names_the_admin(world: World) -> None:
    admin = await signed_in(world, None, "op@agency.example")

    await admin.post(CLIENTS, data={"name": "Acme", "slug": "acme", "plan": "free"})
    await admin.post(f"{CLIENTS}/acme/disable", data={})

    told = [(entry.actor, entry.action) for entry in await world.services.store.activity.all(limit=2)]
    assert told == [("op@agency.example", "client.disable"), ("op@agency.example", "client.create")]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("slug", "acme", "There already is a client with the slug"),
        ("slug", "Bad Slug", "The slug must be"),
        ("name", "", "The name must be"),
        ("plan", "x" * 201, "The plan must be"),
    ],
)
async def test_bad_input_keeps_what_was_typed(world: World, field: str, value: str, problem: str) -> None:
    await world.client_with_key("acme")
    admin = await signed_in(world, None)
    typed = {"name": "Typed Name", "slug": "typed-slug", "plan": "typed plan", field: value}

    answer = await admin.post(CLIENTS, data=typed)

    assert answer.status_code == 400
    assert f'<span class="wrong" id="{field}-problem">{problem}' in answer.text
    assert re.findall(r'<input name="(\w+)"[^>]* aria-invalid="true" autofocus', answer.text) == [field]
    assert " pattern=" not in answer.text
    assert all(f'value="{text}"' in answer.text for text in typed.values())
    assert [client.slug for client in await world.services.store.clients.all()] == ["acme"]


async def test_the_list_counts_what_a_client_has(world: World) -> None:
    key = await world.client_with_key("acme")
    await world.key("acme", expires="1h")
    await world.services.keys.revoke((await world.key("acme")).record.id)
    await world.mapped_connection("acme")
    await signed_in(world, "acme")
    admin = await signed_in(world, None)
    for _ in range(3):
        await world.http.get("/api/v1/status", headers=bearer(key))
    await world.services.store.usage.flush()

    before = await admin.get(CLIENTS)
    world.clock.advance(3600)
    an_hour_later = await admin.get(CLIENTS)
    world.clock.advance(23 * 3600)
    a_day_later = await signed_in(world, None, "second@agency.example")

    assert cells(before.text) == ["1", "2", "1", "3"]
    assert cells(an_hour_later.text) == ["1", "1", "1", "3"]
    assert cells((await a_day_later.get(CLIENTS)).text) == ["1", "1", "1", "0"]


def cells(text: str) -> list[str]:
    """The numbers of the first row."""
    return [part.partition("<")[0] for part in text.split('class="number">')[5:9]]


async def test_many_clients_are_paged_and_searched(world: World) -> None:
    for number in range(120):
        await world.services.clients.add(slug=f"c{number}", name=f"Müller {number:03}", plan="free")
    admin = await signed_in(world, None)

    first, last = await admin.get(CLIENTS), await admin.get(f"{CLIENTS}?page=6")
    beyond = await admin.get(f"{CLIENTS}?page=999999")
    found = await admin.get(f"{CLIENTS}?q=M%C3%9CLLER+07&page=2")
    nobody = await admin.get(f"{CLIENTS}?q=nobody")

    assert "1 to 20 of 120" in first.text
    assert "101 to 120 of 120" in last.text
    assert "101 to 120 of 120" in beyond.text
    assert "10 found" in found.text
    assert "Müller 079" in found.text
    assert "0 found" in nobody.text


async def test_a_changed_rate_holds_from_the_next_request_on(world: World) -> None:
    key = await world.client_with_key("acme")
    admin = await signed_in(world, None)

    answer = await admin.post(f"{CLIENTS}/acme/settings", data={"name": "Acme Two", "plan": "pro", "rate": "7/60"})
    called = await world.http.get("/api/v1/status", headers=bearer(key))
    page = await admin.get(f"{CLIENTS}/acme/settings")

    assert answer.status_code == 303
    assert answer.headers["location"].endswith("clients/acme/settings?done=updated")
    assert called.headers["RateLimit-Policy"] == '"default";q=7;w=60'
    assert called.json()["client"] | {"created_at": ""} == {
        "name": "Acme Two",
        "slug": "acme",
        "plan": "pro",
        "created_at": "",
    }
    assert 'value="7/60"' in page.text


async def test_a_new_connection_s_mistakes_stand_beside_their_fields(world: World) -> None:
    await world.client_with_key("acme")
    admin = await signed_in(world, None)

    answer = await admin.post(f"{CLIENTS}/acme/connections", data={"label": "Shop orders", "connector_type": "My Shop"})

    assert answer.status_code == 400
    assert '<span class="wrong" id="connector_type-problem">The connector type must be' in answer.text
    assert all(f'value="{typed}"' in answer.text for typed in ("Shop orders", "My Shop"))
    assert " pattern=" not in answer.text


async def test_a_bad_rate_keeps_what_was_typed(world: World) -> None:
    await world.client_with_key("acme")
    admin = await signed_in(world, None)

    answer = await admin.post(
        f"{CLIENTS}/acme/settings", data={"name": "Other", "plan": "pro", "rate": "lots", "most_keys": "0"}
    )

    assert answer.status_code == 400
    assert '<span class="wrong" id="rate-problem">A rate is REQUESTS/SECONDS' in answer.text
    assert '<span class="wrong" id="most_keys-problem">The most keys must be' in answer.text
    assert re.findall(r'<input name="(\w+)"[^>]* aria-invalid="true"', answer.text) == ["rate", "most_keys"]
    assert answer.text.count(" autofocus") == 1
    assert " pattern=" not in answer.text
    assert 'value="Other"' in answer.text
    assert 'value="lots"' in answer.text
    assert (await world.services.store.clients.by_slug("acme")).name == "Acme"


async def test_disabling_silences_keys_and_sessions_at_once(world: World) -> None:
    key = await world.client_with_key("acme")
    member, admin = await signed_in(world, "acme"), await signed_in(world, None)
    before = await world.http.get("/api/v1/status", headers=bearer(key))
    asked = await admin.get(f"{CLIENTS}/acme/settings")

    await admin.post(f"{CLIENTS}/acme/disable", data={})

    refused = await world.http.get("/api/v1/status", headers=bearer(key))
    led_away = await member.get("/dashboard/settings/account")
    page = await admin.get(f"{CLIENTS}/acme/settings?done=disabled")
    assert "From the next request on, its key gets 401. Its users are" in " ".join(asked.text.split())
    assert (before.status_code, refused.status_code) == (200, 401)
    assert led_away.status_code == 303
    assert "sign-in" in led_away.headers["location"]
    assert "its users cannot sign in" in page.text


async def test_enabling_gives_the_keys_back(world: World) -> None:
    key = await world.client_with_key("acme")
    admin = await signed_in(world, None)
    await admin.post(f"{CLIENTS}/acme/disable", data={})

    await admin.post(f"{CLIENTS}/acme/enable", data={})

    assert (await world.http.get("/api/v1/status", headers=bearer(key))).status_code == 200


async def test_removing_wants_the_slug(world: World) -> None:
    key = await world.client_with_key("acme")
    admin = await signed_in(world, None)

    refused = await admin.post(f"{CLIENTS}/acme/remove", data={"slug": "acm"})
    held = await world.http.get("/api/v1/status", headers=bearer(key))
    removed = await admin.post(f"{CLIENTS}/acme/remove", data={"slug": "acme"})
    gone = await world.http.get("/api/v1/status", headers=bearer(key))

    assert (refused.status_code, held.status_code) == (400, 200)
    assert "Nothing was removed" in refused.text
    assert (removed.status_code, gone.status_code) == (303, 401)
    assert (await admin.get(f"{CLIENTS}/acme")).status_code == 404


async def test_the_tab_of_keys_leads_to_each(world: World) -> None:
    key = await world.client_with_key("acme")
    ended = await world.key("acme")
    await world.services.keys.revoke(ended.record.id)
    admin = await signed_in(world, None)

    active = await admin.get(f"{CLIENTS}/acme/api-keys")

    assert "1 revoked or expired" in active.text
    for new, page in ((key, active), (ended, await admin.get(f"{CLIENTS}/acme/api-keys?show=ended"))):
        assert f'/dashboard/admin/clients/acme/api-keys/{new.record.id}"' in page.text
        assert new.record.start in page.text
        assert new.text not in page.text


@pytest.mark.parametrize("path", ["/settings", "/disable", "/enable", "/remove", "/connections", "/api-keys"])
async def test_an_unknown_client_is_not_found(world: World, path: str) -> None:
    admin = await signed_in(world, None)

    assert (await admin.post(f"{CLIENTS}/nobody{path}", data={})).status_code == 404
    assert (await admin.get(f"{CLIENTS}/nobody")).status_code == 404
    assert (await admin.get(f"{CLIENTS}/nobody/users")).status_code == 404


async def test_what_people_typed_is_never_markup(world: World) -> None:
    await world.services.clients.add(slug="evil", name=XSS, plan=XSS)
    await world.services.keys.create("evil", name=XSS, scope="full", expires=None, rate=None)
    await world.services.connections.add("evil", connector_type="shopify", label=XSS, airbyte_id=None)
    admin = await signed_in(world, None)

    tabs = [f"{CLIENTS}/evil{tab}" for tab in ("", "/api-keys", "/users", "/webhooks", "/settings")]
    answers = [await admin.get(path) for path in (CLIENTS, *tabs, f"{CLIENTS}?q=%3Cscript%3E")]

    assert {answer.status_code for answer in answers} == {200}
    assert all("<script>alert" not in answer.text and "<img" not in answer.text for answer in answers)
    assert all(ESCAPED in answer.text for answer in answers)


async def test_a_clients_page_shows_what_leads_nowhere(world: World) -> None:
    await world.client_with_key("acme")
    connection = (
        await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=None)
    ).connection
    admin = await signed_in(world, None)

    answer = await admin.get(f"{CLIENTS}/acme")

    assert connection.status == AWAITING_MAPPING
    assert '<span class="badge unmapped">unmapped</span>' in answer.text


async def test_500_connections_of_a_client_are_paged(world: World) -> None:
    await world.client_with_key("acme")
    for number in range(500):
        await world.services.connections.add(
            "acme", connector_type="shopify", label=f"Shop {number:03}", airbyte_id=None
        )
    admin = await signed_in(world, None)

    first, found = await admin.get(f"{CLIENTS}/acme"), await admin.get(f"{CLIENTS}/acme?q=shop+499")
    backwards = await admin.get(f"{CLIENTS}/acme?sort=-label")

    assert "1 to 20 of 500" in first.text
    assert "Shop 020" not in first.text
    assert [row[0] for row in rows_of(backwards.text)] == [f"Shop {number}" for number in range(499, 479, -1)]
    assert "1 found" in found.text
    assert "Shop 499" in found.text


async def test_each_tab_says_whose_it_is_and_which(world: World) -> None:
    await world.client_with_key("acme")
    admin = await signed_in(world, None)
    tabs = {
        "": "Connections",
        "/api-keys": "API keys",
        "/users": "Users",
        "/webhooks": "Webhooks",
        "/settings": "Settings",
    }

    for path, words in tabs.items():
        page = await admin.get(f"{CLIENTS}/acme{path}")
        navigation = page.text.partition('aria-label="Client"')[2].partition("</nav>")[0]

        assert "Acme acme active" in plain(page.text)
        assert f'clients/acme{path}" aria-current="page">{words}</a>' in navigation
        assert navigation.count("aria-current") == 1
        assert f"<h1>{words}</h1>" in page.text


async def test_the_people_of_a_client_are_paged_searched_and_sorted(world: World) -> None:
    await world.client_with_key("acme")
    await world.client_with_key("globex")
    users = accounts_of(world).users
    for number in range(21):
        await users.invite(f"person{number:02}@acme.example", "acme", by=COMMAND_LINE)
    await users.invite("eve@globex.example", "globex", by=COMMAND_LINE)
    admin = await signed_in(world, None)

    first, second = await admin.get(f"{CLIENTS}/acme/users"), await admin.get(f"{CLIENTS}/acme/users?page=2")
    found = await admin.get(f"{CLIENTS}/acme/users?q=PERSON07")
    backwards = await admin.get(f"{CLIENTS}/acme/users?sort=-email")
    nobody = await admin.get(f"{CLIENTS}/acme/users?q=globex")

    assert [row[0] for row in rows_of(first.text)] == [f"person{number:02}@acme.example" for number in range(20)]
    assert rows_of(second.text) == [["person20@acme.example", "not yet", "never", "just now"]]
    assert [row[0] for row in rows_of(found.text)] == ["person07@acme.example"]
    assert rows_of(backwards.text)[0][0] == "person20@acme.example"
    assert "0 found" in nobody.text


@pytest.mark.parametrize(
    ("sort", "slugs"),
    [
        ("", ["acme", "beta", "core"]),
        ("-name", ["core", "beta", "acme"]),
        ("plan", ["core", "acme", "beta"]),
        ("-connections", ["beta", "core", "acme"]),
        ("-keys", ["acme", "core", "beta"]),
        ("-users", ["core", "beta", "acme"]),
        ("-calls", ["beta", "core", "acme"]),
        ("-state", ["core", "beta", "acme"]),
        ("drop table", ["acme", "beta", "core"]),
    ],
)
async def test_clients_are_sorted_by_what_the_heads_say(world: World, sort: str, slugs: list[str]) -> None:
    for slug, plan in (("acme", "b"), ("beta", "C"), ("core", "a")):
        await world.services.clients.add(slug=slug, name=slug.title(), plan=plan)
    await world.key("acme")
    await world.services.connections.add("beta", connector_type="shopify", label="Shop", airbyte_id=None)
    called = await world.key("beta")
    await world.http.get("/api/v1/status", headers=bearer(called))
    await world.services.store.usage.flush()
    await world.services.keys.revoke(called.record.id)
    await accounts_of(world).users.invite("ann@core.example", "core", by=COMMAND_LINE)
    await world.services.clients.disable("core")
    admin = await signed_in(world, None)

    page = await admin.get(CLIENTS, params={"sort": sort})

    assert [row[0].split()[-1] for row in rows_of(page.text)] == slugs


async def test_the_head_of_the_order_says_so_and_leads_to_its_opposite(world: World) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    admin = await signed_in(world, None)

    page = await admin.get(f"{CLIENTS}?q=a&sort=-calls")

    assert 'aria-sort="descending"><a href="?q=a&amp;sort=calls">Calls, 24 h</a>' in page.text
    assert '<a href="?q=a&amp;sort=name">Client</a>' in page.text
    assert page.text.count("aria-sort") == 1
    assert '<input type="hidden" name="sort" value="-calls">' in page.text
