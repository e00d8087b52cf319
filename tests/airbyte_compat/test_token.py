"""A key's id and the key, changed for a token; and other ways to come in."""

from urllib.parse import urlencode

import httpx2
import pytest

from gateway.airbyte_compat.token import NO_CREDENTIALS, Credentials
from gateway.errors import MethodNotAllowed, Unauthorized
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import Tenant, assert_problem, basic
from tests.support import World, bearer

PATHS = [f"{base}/applications/token{slash}" for base in (PUBLIC_API, "/api/v1", "/v1", "") for slash in ("", "/")]
PATH = PATHS[0]
UNKNOWN_KEY = "smrt_0000000000000000000000000000003cjI35"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def credentials(tenant: Tenant, **others: str) -> dict[str, str]:
    return {"client_id": tenant.key.record.id, "client_secret": tenant.key.text, **others}


async def ask(tenant: Tenant, body: dict[str, str], *, is_form: bool = False) -> httpx2.Response:
    if is_form:
        return await tenant.world.http.post(PATH, content=urlencode(body), headers=FORM)
    return await tenant.world.http.post(PATH, json=body)


@pytest.mark.parametrize("path", PATHS)
async def test_the_token_is_the_key_wherever_it_is_asked_for(acme: Tenant, path: str) -> None:
    as_json = await acme.world.http.post(path, json=credentials(acme, **{"grant-type": "client_credentials"}))
    form = urlencode(credentials(acme, grant_type="client_credentials"))
    as_form = await acme.world.http.post(
        path, content=form, headers={"Content-Type": f"{FORM['Content-Type']};charset=utf-8"}
    )

    assert as_json.status_code == as_form.status_code == 200
    assert as_json.json() == as_form.json()
    assert as_json.json() == {"access_token": acme.key.text, "token_type": "Bearer", "expires_in": 3600}
    assert "no-store" in as_json.headers["cache-control"]
    assert "location" not in as_json.headers


async def test_a_key_that_ends_soon_is_a_token_for_as_long(world: World, acme: Tenant) -> None:
    key = await world.key(expires="30m")
    world.clock.advance(60.5)

    answer = await world.http.post(PATH, json={"client_id": key.record.id, "client_secret": key.text})

    assert answer.json()["expires_in"] == 30 * 60 - 61


async def test_whoever_is_wrong_about_anything_gets_the_same_401(acme: Tenant, globex: Tenant) -> None:
    wrong = [
        {"client_id": acme.key.record.id, "client_secret": globex.key.text},
        {"client_id": acme.key.record.id, "client_secret": UNKNOWN_KEY},
        {"client_id": "", "client_secret": acme.key.text},
        {"client_id": acme.key.record.id, "client_secret": "typo"},
    ]
    answers = [await ask(acme, body, is_form=is_form) for body in wrong for is_form in (False, True)]

    for answer in answers:
        assert_problem(answer, 401, Unauthorized.message)
        assert "no-store" in answer.headers["cache-control"]
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b'{"client_id": "x"}'])
async def test_without_a_secret_it_is_as_without_a_key(acme: Tenant, body: bytes) -> None:
    answer = await acme.world.http.post(PATH, content=body)

    assert_problem(answer, 401, Unauthorized.message)
    assert answer.headers["www-authenticate"] == 'Bearer realm="gateway"'


async def test_a_key_that_comes_as_bearer_token_needs_its_id_too(acme: Tenant, globex: Tenant) -> None:
    for key_id, status in ((acme.key.record.id, 200), (globex.key.record.id, 401), ("", 401)):
        answer = await acme.world.http.post(PATH, json={"client_id": key_id}, headers=bearer(acme.key))
        assert answer.status_code == status


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"client_secret": 1}', b"\xff", b"[" * 2000])
async def test_a_body_that_nobody_can_read_is_refused(acme: Tenant, body: bytes) -> None:
    assert_problem(await acme.world.http.post(PATH, content=body), 400, NO_CREDENTIALS)


async def test_a_form_of_too_many_fields_is_refused(acme: Tenant) -> None:
    answer = await acme.world.http.post(PATH, content="a=1&" * 100, headers=FORM)

    assert_problem(answer, 400, NO_CREDENTIALS)


async def test_a_revoked_key_is_no_token_from_the_next_request_on(world: World, acme: Tenant) -> None:
    token = (await ask(acme, credentials(acme))).json()["access_token"]
    assert (await world.http.get(f"{PUBLIC_API}/workspaces", headers={"Authorization": f"bearer {token}"})).is_success

    await world.http.post("/api/v1/keys/revoke", headers=bearer(acme.key))

    assert_problem(await acme.get("/workspaces"), 401, Unauthorized.message)
    assert_problem(await ask(acme, credentials(acme)), 401, Unauthorized.message)


async def test_a_token_costs_none_of_the_rate(world: World, acme: Tenant) -> None:
    """Some programs ask for one before each look at a job, and the looks cost none."""
    key = await world.key(rate="1/60")
    body = {"client_id": key.record.id, "client_secret": key.text}
    assert (await world.http.get(f"{PUBLIC_API}/workspaces", headers=bearer(key))).is_success
    refused = await world.http.get(f"{PUBLIC_API}/workspaces", headers=bearer(key))
    assert_problem(refused, 429, "Rate limit exceeded — 1 request per minute per API key")
    assert int(refused.headers["retry-after"]) >= 1

    for _ in range(3):
        assert (await world.http.post(PATH, json=body)).is_success


async def test_only_posts_get_tokens(acme: Tenant) -> None:
    answer = await acme.world.http.get("/applications/token", headers=bearer(acme.key))

    assert_problem(answer, 405, MethodNotAllowed.message)
    assert answer.headers["allow"] == "POST"


async def test_id_and_key_may_come_as_user_and_password_on_compatible_paths_only(acme: Tenant) -> None:
    http = acme.world.http
    right = basic(acme.key.record.id, acme.key.text)

    assert (await http.get(f"{PUBLIC_API}/workspaces", headers=right)).is_success
    assert (await http.post(PATH, headers=right)).json()["access_token"] == acme.key.text
    own = await http.get("/api/v1/status", headers=right)
    assert (own.status_code, own.json()) == (401, {"error": Unauthorized.message})


async def test_user_and_password_must_belong_together(acme: Tenant, globex: Tenant) -> None:
    for user, password in [
        (globex.key.record.id, acme.key.text),
        ("", acme.key.text),
        (acme.key.text, acme.key.text),
        (acme.key.record.id, ""),
    ]:
        answer = await acme.world.http.get(f"{PUBLIC_API}/workspaces", headers=basic(user, password))
        assert_problem(answer, 401, Unauthorized.message)
    for header in ("Basic", "Basic !!!", "Basic Zm9v", "Digest x"):
        answer = await acme.world.http.get(f"{PUBLIC_API}/workspaces", headers={"Authorization": header})
        assert_problem(answer, 401, Unauthorized.message)


def test_credentials_do_not_show_the_secret() -> None:
    assert "secret" not in repr(Credentials("key_1", "secret"))
