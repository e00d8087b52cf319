"""Calls that no program makes: each is answered in Airbyte's shape, and none is a bug of ours."""

import json
from urllib.parse import quote

import pytest

from gateway.airbyte_compat.config_jobs import TOO_MANY_LISTS
from gateway.errors import ConnectionNotFound, JobNotFound, MethodNotAllowed, Unauthorized
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import PROBLEM_KEYS, Tenant, assert_problem, basic
from tests.support import World, bearer

HUGE = 10**40
ODD_NUMBERS = ("-1", "1e3", "0x1", "٣", "1.0", " 1", "+1", "00", "9" * 400, "NaN")
ODD_TEXTS = ("", "\0", "é", "漢", "a" * 3000, "../..", "%2e", "{id}", "null", "' OR 1=1 --", "<b>")
ODD_VALUES: tuple[object, ...] = (None, True, 1.5, -1, HUGE, 1e300, [], {}, [1], {"a": 1}, "", "漢")


def assert_refused(status: int, content: dict[str, object], *allowed: int) -> None:
    assert status in allowed, content
    assert list(content) == PROBLEM_KEYS
    assert content["status"] == status


@pytest.mark.parametrize("noun", ["jobs", "connections", "sources", "destinations", "workspaces"])
async def test_odd_ids_are_unknown_ones(acme: Tenant, noun: str) -> None:
    for text in (*ODD_NUMBERS, *ODD_TEXTS[1:]):
        answer = await acme.get(f"/{noun}/{quote(text, safe='')}")
        assert_refused(answer.status_code, answer.json(), 403, 404)


@pytest.mark.parametrize("path", ["/jobs", "/connections", "/workspaces", "/sources", "/destinations"])
async def test_odd_pages_are_refused(acme: Tenant, path: str) -> None:
    for text in ODD_NUMBERS:
        for name in ("limit", "offset"):
            answer = await acme.get(path, params={name: text})
            if (name, text) != ("offset", "00"):
                assert_refused(answer.status_code, answer.json(), 400)
    far = await acme.get(path, params={"offset": "9" * 9})
    assert (far.status_code, far.json()["data"], far.json()["next"]) == (200, [], "")


async def test_odd_filters_are_refused_or_empty(acme: Tenant) -> None:
    for name in ("status", "jobType", "orderBy", "createdAtStart", "updatedAtEnd", "cursor", "connectionId"):
        for text in ODD_TEXTS[1:]:
            answer = await acme.get("/jobs", params={name: text})
            assert_refused(answer.status_code, answer.json(), 400, 404)
    for time in ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-04-01T03:00:00Z\0x", "2026-W14-3"):
        answer = await acme.get("/jobs", params={"createdAtStart": time})
        assert_refused(answer.status_code, answer.json(), 400)
    workspaces = [("workspaceIds", text) for text in ODD_TEXTS] * 20
    assert (await acme.get("/connections", params=workspaces)).json()["data"] == []


async def test_of_a_key_that_is_given_twice_the_last_counts_or_none(acme: Tenant, globex: Tenant) -> None:
    await globex.new_job()
    twice = f"/jobs?connectionId={globex.airbyte_id}&connectionId={acme.airbyte_id}"

    assert (await acme.get(twice)).json()["data"] == []
    assert_problem(
        await acme.get(f"/jobs?connectionId={acme.airbyte_id}&connectionId={globex.airbyte_id}"),
        404,
        ConnectionNotFound.message,
    )
    assert (await acme.get("/connections?limit=1&limit=0")).status_code == 400
    body = f'{{"connectionId": "{acme.airbyte_id}", "connectionId": "{globex.airbyte_id}"}}'
    assert_problem(await acme.call("POST", "/jobs", content=body), 404, ConnectionNotFound.message)


async def test_bodies_of_other_types_are_refused(acme: Tenant) -> None:
    calls = [
        ("/connections/get", "connectionId"),
        ("/connections/list", "workspaceId"),
        ("/connections/status", "connectionIds"),
        ("/connections/sync", "connectionId"),
        ("/jobs/get", "id"),
        ("/jobs/cancel", "id"),
        ("/jobs/list", "configId"),
    ]
    for path, name in calls:
        for value in ODD_VALUES:
            answer = await acme.config(path, **{name: value})
            if (name, value) != ("connectionIds", []):
                assert_refused(answer.status_code, answer.json(), 400, 404)
    of_one = {"configId": acme.airbyte_id}
    for name in ("configTypes", "statuses", "pagination"):
        for value in (1, "x", [1], [None], {"pageSize": "1"}, {"rowOffset": HUGE}, {"pageSize": -1}):
            if (name, value) not in (("pagination", [1]), ("pagination", [None])):
                answer = await acme.config("/jobs/list", **of_one, **{name: value})
                assert_refused(answer.status_code, answer.json(), 400)


async def test_few_lists_of_airbytes_are_read_for_one(acme: Tenant) -> None:
    types, statuses = ["sync", "refresh", "clear"], ["failed", "succeeded", "cancelled"]

    answer = await acme.config("/jobs/list", configId=acme.airbyte_id, configTypes=types, statuses=statuses)

    assert_problem(answer, 400, TOO_MANY_LISTS)


@pytest.mark.parametrize("body", [b'{"id":' * 5000, b'{"id":' + b"[" * 60_000, b'{"id": "\\ud800"}', b"\xfe\xff\0{"])
async def test_deep_or_broken_json_is_refused(acme: Tenant, body: bytes) -> None:
    for path in ("/api/v1/jobs/get", f"{PUBLIC_API}/jobs", f"{PUBLIC_API}/applications/token"):
        answer = await acme.world.http.post(path, content=body, headers=bearer(acme.key))
        assert_refused(answer.status_code, answer.json(), 400, 404)


async def test_credentials_of_any_text_are_wrong_ones(acme: Tenant) -> None:
    path = f"{PUBLIC_API}/applications/token"
    for text in ODD_TEXTS[1:]:
        for body in ({"client_id": text, "client_secret": text}, {"client_id": text, "client_secret": acme.key.text}):
            for sent in ({"content": json.dumps(body)}, {"data": body}):
                answer = await acme.world.http.post(path, **sent)
                assert_problem(answer, 401, Unauthorized.message)
    for value in ODD_VALUES[1:-2]:
        answer = await acme.world.http.post(path, json={"client_id": value, "client_secret": value})
        assert_refused(answer.status_code, answer.json(), 400, 401)
    for user in ("a:b", "漢", "\0"):
        answer = await acme.world.http.get(f"{PUBLIC_API}/workspaces", headers=basic(user, acme.key.text))
        assert_problem(answer, 401, Unauthorized.message)


async def test_ids_in_large_letters_are_the_same_and_in_other_forms_unknown(acme: Tenant, globex: Tenant) -> None:
    own = acme.airbyte_id
    assert (await acme.get(f"/connections/{own.upper()}")).json()["connectionId"] == own
    answer = await acme.call("POST", "/jobs", json={"connectionId": own.upper(), "jobType": "SYNC"})
    assert answer.json()["connectionId"] == own
    for text in (globex.airbyte_id.upper(), own.replace("-", ""), f"{{{own}}}", f"urn:uuid:{own}", f" {own}"):
        assert_problem(await acme.get(f"/connections/{text}"), 404, ConnectionNotFound.message)
        assert_problem(await acme.config("/connections/sync", connectionId=text), 404, ConnectionNotFound.message)


async def test_content_where_none_belongs_changes_nothing(acme: Tenant) -> None:
    for path in ("/connections", "/jobs", "/workspaces"):
        assert (await acme.get(path, content=b"[" * 1000)).status_code == 200
    assert_problem(await acme.call("DELETE", "/jobs/1", content=b"{"), 404, JobNotFound.message)


async def test_other_methods_are_told_which_there_are(acme: Tenant) -> None:
    calls = [
        ("OPTIONS", "/jobs", "GET, HEAD, POST"),
        ("PUT", "/jobs/1", "DELETE, GET, HEAD"),
        ("PATCH", "/workspaces", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ]
    for method, path, allowed in calls:
        answer = await acme.call(method, path)
        assert_problem(answer, 405, MethodNotAllowed.message)
        assert answer.headers["allow"] == allowed
    for path in ("/connections", "/jobs", "/health"):
        answer = await acme.call("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) > 0


async def test_keys_that_ended_are_refused_everywhere(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    revoked, expired = await world.key(), await world.key(expires="1h")
    for key in (revoked, expired):
        assert (await world.http.get(f"{PUBLIC_API}/jobs/{job_id}", headers=bearer(key))).status_code == 200
    await world.http.post("/api/v1/keys/revoke", headers=bearer(revoked))
    world.clock.advance(3601)

    for key in (revoked, expired):
        for headers in (bearer(key), basic(key.record.id, key.text)):
            calls = [
                ("GET", f"{PUBLIC_API}/jobs/{job_id}", None),
                ("DELETE", f"{PUBLIC_API}/jobs/{job_id}", None),
                ("GET", f"{PUBLIC_API}/tags", None),
                ("POST", f"{PUBLIC_API}/jobs", {"connectionId": acme.airbyte_id}),
                ("POST", "/api/v1/jobs/get", {"id": job_id}),
                ("POST", "/api/v1/state/get", {}),
                ("POST", "/applications/token", {"client_id": key.record.id, "client_secret": key.text}),
            ]
            for method, path, content in calls:
                answer = await world.http.request(method, path, headers=headers, json=content)
                assert_problem(answer, 401, Unauthorized.message)
