"""The application as a whole: who gets in, what unauthenticated clients see, what every answer has."""

from datetime import timedelta

import pytest

from gateway.api.openapi import build_openapi
from tests.support import World, bearer

MALFORMED_IDS = [
    "conn_0000000000000000",
    "x",
    "%2e%2e",
    "..%2f..%2fadmin",
    "%00",
    "%0d%0aX-Injected:1",
    "%F0%9F%92%A9",
    "a" * 2000,
    "'; DROP TABLE clients; --",
    "9924bcd0-99be-453d-ba47-c2c9766f7da5",
]


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (None, 'Bearer realm="gateway"'),
        ("Bearer smrt_wrong", 'Bearer realm="gateway", error="invalid_token"'),
        ("Basic YTpi", 'Bearer realm="gateway", error="invalid_token"'),
    ],
)
async def test_nobody_gets_in_without_a_key(world: World, header: str | None, challenge: str) -> None:
    for method, path in (
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/connections"),
        ("POST", "/api/v1/connections/x/sync"),
        ("GET", "/api/v1/connections/x/jobs"),
        ("GET", "/api/v1/nothing"),
        ("DELETE", "/api/v1/status"),
    ):
        answer = await world.http.request(method, path, headers={} if header is None else {"Authorization": header})

        assert answer.status_code == 401, path
        assert answer.json() == {"error": "Unauthorized — invalid or missing API key"}
        assert answer.headers["www-authenticate"] == challenge, path
        assert answer.headers["content-type"] == "application/json"
        assert "ratelimit" not in answer.headers, path


@pytest.mark.parametrize(("method", "call"), [("GET", "jobs"), ("POST", "sync")])
async def test_foreign_unknown_and_malformed_ids_are_the_same_bytes_and_ask_airbyte_nothing(
    world: World, method: str, call: str
) -> None:
    key = await world.client_with_key("acme")
    await world.client_with_key("globex")
    foreign, _ = await world.mapped_connection("globex")
    world.sandbox.requests.clear()

    answers = [
        await world.http.request(method, f"/api/v1/connections/{each}/{call}", headers=bearer(key))
        for each in (foreign, *MALFORMED_IDS)
    ]

    for answer in answers:
        del answer.headers["x-request-id"], answer.headers["ratelimit"]
        assert (answer.status_code, answer.content) == (404, b'{"error":"Connection not found"}'), answer.url
        assert answer.headers == answers[0].headers, answer.url
    assert not world.sandbox.requests


NO_ROUTES = [
    ("GET", "/api/v1/nothing", 404, "Not found", None),
    ("GET", "/api/v1/status/", 404, "Not found", None),
    ("GET", "/api/v1//status", 404, "Not found", None),
    ("GET", "/api/v2/status", 404, "Not found", None),
    ("GET", "/nothing", 404, "Not found", None),
    ("POST", "/api/v1/status", 405, "Method not allowed", "GET, HEAD"),
    ("PUT", "/api/v1/connections", 405, "Method not allowed", "GET, HEAD"),
    ("GET", "/api/v1/connections/x/sync", 405, "Method not allowed", "POST"),
    ("DELETE", "/api/v1/connections/x/jobs", 405, "Method not allowed", "GET, HEAD"),
    ("POST", "/healthz", 405, "Method not allowed", "GET, HEAD, OPTIONS"),
]


async def test_unknown_routes_and_wrong_methods_are_json_errors(world: World) -> None:
    headers = bearer(await world.client_with_key())
    for method, path, status, error, allow in NO_ROUTES:
        answer = await world.http.request(method, path, headers=headers)

        assert (answer.status_code, answer.json(), answer.headers.get("allow")) == (status, {"error": error}, allow)
        assert "location" not in answer.headers, path


async def test_every_authenticated_answer_tells_the_rate_limit(world: World) -> None:
    key = await world.client_with_key()
    seen = []
    for path in ("/api/v1/status", "/api/v1/nothing", "/api/v1/connections/x/jobs"):
        answer = await world.http.get(path, headers=bearer(key))
        assert answer.headers["ratelimit-policy"] == '"default";q=100;w=60'
        seen.append(answer.headers["ratelimit"])

    assert seen == ['"default";r=99;t=1', '"default";r=98;t=1', '"default";r=97;t=1']


async def test_the_101st_call_at_once_is_refused_until_the_time_it_was_told(world: World) -> None:
    key = await world.client_with_key()
    other = await world.key()
    statuses = [(await world.http.get("/api/v1/status", headers=bearer(key))).status_code for _ in range(100)]
    refused = await world.http.get("/api/v1/status", headers=bearer(key))
    unaffected = await world.http.get("/api/v1/status", headers=bearer(other))
    world.clock.advance(int(refused.headers["retry-after"]))
    again = await world.http.get("/api/v1/status", headers=bearer(key))

    assert set(statuses) == {200}
    assert refused.status_code == 429
    assert refused.json() == {"error": "Rate limit exceeded — 100 requests per minute per API key"}
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit"] == '"default";r=0;t=1'
    assert unaffected.status_code == 200
    assert again.status_code == 200


async def test_a_key_s_own_rate_replaces_the_default(world: World) -> None:
    key = await world.client_with_key(rate="2/30")
    statuses = [(await world.http.get("/api/v1/status", headers=bearer(key))).status_code for _ in range(3)]
    refused = await world.http.get("/api/v1/status", headers=bearer(key))

    assert statuses == [200, 200, 429]
    assert refused.json() == {"error": "Rate limit exceeded — 2 requests per 30 seconds per API key"}
    assert refused.headers["retry-after"] == "15"


async def test_a_revoked_key_is_refused_on_the_next_request(world: World) -> None:
    key = await world.client_with_key()
    before = await world.http.get("/api/v1/status", headers=bearer(key))
    await world.services.keys.revoke(key.record.id)
    after = await world.http.get("/api/v1/status", headers=bearer(key))

    assert (before.status_code, after.status_code) == (200, 401)


async def test_a_key_works_until_it_expires(world: World) -> None:
    key = await world.client_with_key(expires="1h")
    statuses = []
    for seconds in (0, 3599, 1):
        world.clock.advance(seconds)
        statuses.append((await world.http.get("/api/v1/status", headers=bearer(key))).status_code)

    assert statuses == [200, 200, 401]


async def test_both_keys_of_a_rotation_work_while_they_overlap(world: World) -> None:
    old = await world.client_with_key()
    new = await world.services.keys.rotate(old.record.id, overlap="24h")
    statuses = []
    for pause in (timedelta(0), timedelta(hours=24)):
        world.clock.advance(pause.total_seconds())
        statuses.append(
            [(await world.http.get("/api/v1/status", headers=bearer(key))).status_code for key in (old, new)]
        )

    assert statuses == [[200, 200], [401, 200]]


async def test_a_body_over_64_kilobytes_is_refused(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key), content=b" " * 65_537)

    assert (answer.status_code, answer.json()) == (413, {"error": "Request body is too large"})
    assert not world.jobs_of(theirs)


async def test_a_request_id_is_always_given_and_a_safe_one_taken_over(world: World) -> None:
    key = await world.client_with_key()
    given = await world.http.get("/api/v1/status", headers=bearer(key))
    taken = await world.http.get("/api/v1/status", headers={**bearer(key), "X-Request-Id": "trace-7.a_B"})
    refused = await world.http.get("/api/v1/status", headers={**bearer(key), "X-Request-Id": "a b"})

    assert len(given.headers["x-request-id"]) == 16
    assert taken.headers["x-request-id"] == "trace-7.a_B"
    assert refused.headers["x-request-id"] not in {"a b", given.headers["x-request-id"]}


async def test_the_api_s_routes_are_exactly_the_documented_ones(world: World) -> None:
    document = build_openapi(server_url="/", rate=world.services.limiter.default)
    await world.client_with_key()
    await world.allow_keys(100)
    for path, operations in document["paths"].items():
        for method in ("get", "put", "post", "delete", "patch"):
            url = path.replace("{id}", "x") if path.startswith("/api/v1") else f"/api/v1{path.replace('{id}', 'x')}"
            # A new key for each: one of the calls ends its own.
            answer = await world.http.request(method, url, headers=bearer(await world.key()))
            assert (answer.status_code == 405) == (method not in operations), (method, path)
