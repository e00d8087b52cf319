"""Tokens, and what is open without one."""

import base64
from typing import Any

import httpx2
import orjson
import pytest

from gateway.sandbox import PUBLIC_API, Answer, Sandbox
from tests.sandbox.conftest import CREDENTIALS, Clock, connect

TOKEN = f"{PUBLIC_API}/applications/token"
INTERNAL_TOKEN = "/api/v1/applications/token"
ROOT_TOKEN = "/applications/token"
WRONG = {**CREDENTIALS, "client_secret": "guessed"}


def payload_of(token: str) -> Any:
    part = token.split(".")[1]
    return orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def status_with(client: httpx2.AsyncClient, token: str, scheme: str = "Bearer") -> int:
    answer = await client.get(f"{PUBLIC_API}/jobs", headers={"authorization": f"{scheme} {token}"})
    return answer.status_code


@pytest.mark.parametrize("path", [TOKEN, ROOT_TOKEN])
@pytest.mark.parametrize("grant", [{}, {"grant_type": "client_credentials"}, {"grant-type": "client_credentials"}])
@pytest.mark.parametrize("encoding", ["json", "data"])
async def test_the_public_token_routes_take_json_and_forms_with_any_grant(
    anonymous: httpx2.AsyncClient, path: str, grant: dict[str, str], encoding: str
) -> None:
    fields: dict[str, Any] = {encoding: {**CREDENTIALS, **grant}}
    answer = await anonymous.post(path, **fields)

    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 900)
    assert await status_with(anonymous, answer.json()["access_token"], scheme="bearer") == 200


async def test_the_internal_token_route_answers_the_token_alone(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.post(INTERNAL_TOKEN, json=CREDENTIALS)

    assert list(answer.json()) == ["access_token"]
    assert await status_with(anonymous, answer.json()["access_token"]) == 200


async def test_the_internal_token_route_knows_no_forms(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.post(INTERNAL_TOKEN, data=CREDENTIALS)

    assert answer.status_code == 401
    assert answer.json()["message"] == "Unauthorized"


async def test_a_token_is_a_jwt_that_expires(anonymous: httpx2.AsyncClient, clock: Clock) -> None:
    token = (await anonymous.post(TOKEN, json=CREDENTIALS)).json()["access_token"]
    payload = payload_of(token)

    assert payload["iat"] == clock.now
    assert payload["exp"] == clock.now + 900
    assert payload["sub"]
    clock.advance(899)
    assert await status_with(anonymous, token) == 200
    clock.advance(1)
    assert await status_with(anonymous, token) == 401


async def test_a_forged_or_revoked_token_is_refused(anonymous: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    token = (await anonymous.post(TOKEN, json=CREDENTIALS)).json()["access_token"]

    assert await status_with(anonymous, token[:-2] + "xx") == 401
    assert await status_with(anonymous, "garbage") == 401
    assert await status_with(anonymous, token, scheme="Basic") == 401
    sandbox.revoke_tokens()
    assert await status_with(anonymous, token) == 401


async def test_the_lifetime_can_lie(anonymous: httpx2.AsyncClient, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.faults.token_lifetime_seconds = 180
    sandbox.faults.token_overrides = {"expires_in": 900}
    answer = (await anonymous.post(TOKEN, json=CREDENTIALS)).json()

    assert answer["expires_in"] == 900
    assert payload_of(answer["access_token"])["exp"] == clock.now + 180
    clock.advance(180)
    assert await status_with(anonymous, answer["access_token"]) == 401


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        ({"expires_in": None}, {"access_token", "token_type"}),
        ({"token_type": None, "expires_in": "900"}, {"access_token", "expires_in"}),
    ],
)
async def test_the_token_answer_can_be_bent(
    anonymous: httpx2.AsyncClient, sandbox: Sandbox, overrides: dict[str, int | str | None], keys: set[str]
) -> None:
    sandbox.faults.token_overrides = overrides
    answer = (await anonymous.post(TOKEN, json=CREDENTIALS)).json()

    assert set(answer) == keys
    assert answer.get("expires_in") == overrides["expires_in"]


async def test_wrong_credentials_on_community_are_a_400_in_hal(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.post(TOKEN, json=WRONG)

    assert answer.status_code == 400
    assert answer.json() == {
        "message": "Bad Request",
        "_links": {"self": {"href": TOKEN, "templated": False}},
        "_embedded": {"errors": [{"message": "Invalid client id or token", "_links": {}, "_embedded": {}}]},
    }


@pytest.mark.parametrize("status", [401, 500])
async def test_wrong_credentials_on_keycloak_show_an_error_id_only(
    anonymous: httpx2.AsyncClient, sandbox: Sandbox, status: Any
) -> None:
    sandbox.faults.wrong_credentials = status
    answer = await anonymous.post(TOKEN, data=WRONG)

    assert answer.status_code == status
    assert list(answer.json()) == ["errorId"]


async def test_the_token_endpoint_can_be_down(anonymous: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.token_endpoint_down = True
    answer = await anonymous.post(TOKEN, json=CREDENTIALS)

    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")


async def test_unreadable_json_is_422(anonymous: httpx2.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    assert (await anonymous.post(TOKEN, content=b"{", headers=headers)).status_code == 422
    assert (await anonymous.post(TOKEN, content=b"[]", headers=headers)).status_code == 422


async def test_without_a_token_the_answer_is_micronauts_401(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.get(f"{PUBLIC_API}/jobs?limit=1")

    assert answer.status_code == 401
    assert "www-authenticate" not in answer.headers
    assert answer.json()["_links"]["self"]["href"] == f"{PUBLIC_API}/jobs?limit=1"
    assert answer.json()["message"] == "Unauthorized"


async def test_a_good_token_can_be_refused_for_a_while(client: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.unauthorized = 2

    assert [(await client.get("/jobs")).status_code for _ in range(3)] == [401, 401, 200]


async def test_an_unknown_path_is_401_then_403(anonymous: httpx2.AsyncClient, client: httpx2.AsyncClient) -> None:
    for path in (f"{PUBLIC_API}/nope", "/api/nope", f"{PUBLIC_API}/jobs/1/logs"):
        refused = await anonymous.get(path)
        forbidden = await client.get(f"http://airbyte{path}")

        assert (refused.status_code, refused.json()["message"]) == (401, "Unauthorized")
        assert (forbidden.status_code, forbidden.json()["message"]) == (403, "Forbidden")


async def test_without_authentication_unknown_paths_and_token_routes_are_bare_404s(clock: Clock) -> None:
    async with connect(Sandbox(clock=clock, auth=False)) as client:
        assert (await client.get(f"{PUBLIC_API}/jobs")).status_code == 200
        configuration = (await client.get("/api/v1/instance_configuration")).json()
        assert configuration["auth"]["mode"] == "none"
        answers = [
            await client.get(f"{PUBLIC_API}/nope"),
            await client.post(TOKEN, json=CREDENTIALS),
            await client.post(INTERNAL_TOKEN, json=CREDENTIALS),
            await client.post(ROOT_TOKEN, json=CREDENTIALS),
        ]

    for answer in answers:
        assert (answer.status_code, answer.text) == (404, "Object not found.")
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/", "/v1/jobs", "/health", "/workspaces/1/connections"])
async def test_a_path_outside_the_api_shows_the_web_application(anonymous: httpx2.AsyncClient, path: str) -> None:
    answer = await anonymous.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "<html" in answer.text


async def test_a_missing_asset_is_not_the_web_application(anonymous: httpx2.AsyncClient) -> None:
    assert (await anonymous.get("/assets/none.js")).status_code == 404


async def test_health_is_bare_text_labelled_json(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.get(f"{PUBLIC_API}/health")

    assert (answer.status_code, answer.text) == (200, "Successful operation")
    assert answer.headers["content-type"] == "application/json"
    assert (await anonymous.get("/api/v1/health")).json() == {"available": True}
    assert (await anonymous.get("/api/v1/instance_configuration")).json()["edition"] == "community"


async def test_every_answer_is_dated_by_the_sandboxs_clock(anonymous: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.answer_with(Answer.html(504), when=lambda method, path: path.endswith("/sources"))
    for path in ("/", f"{PUBLIC_API}/health", f"{PUBLIC_API}/jobs", f"{PUBLIC_API}/sources"):
        answer = await anonymous.get(path)

        assert answer.headers.get_list("date") == ["Wed, 01 Apr 2026 12:00:00 GMT"]


async def test_requests_are_kept_in_order(anonymous: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    await anonymous.get(f"{PUBLIC_API}/health?deep=1", headers={"X-Probe": "yes"})
    await anonymous.post(TOKEN, content=b"hello")

    first, second = sandbox.requests
    assert (first.method, first.path, first.query) == ("GET", f"{PUBLIC_API}/health", "deep=1")
    assert first.headers["x-probe"] == "yes"
    assert (second.method, second.body) == ("POST", b"hello")
