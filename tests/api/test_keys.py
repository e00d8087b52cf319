"""POST /api/v1/keys/revoke."""

import pytest
from starlette.requests import Request
from starlette.types import Message

from gateway.api.keys import revoke_key
from gateway.auth.keys import digest
from gateway.errors import Unauthorized
from gateway.models import Scope
from gateway.web.key_check import PRINCIPAL_KEY
from gateway.web.request_context import SCOPE_KEY, RequestContext
from tests.support import World, bearer

REVOKE = "/api/v1/keys/revoke"
REFUSAL = {"error": "Unauthorized — invalid or missing API key"}


async def an_empty_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.mark.parametrize("scope", ["full", "read"])
async def test_a_key_of_either_scope_ends_itself_and_the_next_request_is_refused(world: World, scope: Scope) -> None:
    key = await world.client_with_key(scope=scope)

    answer = await world.http.post(REVOKE, headers=bearer(key))
    after = [
        await world.http.get("/api/v1/status", headers=bearer(key)),
        await world.http.post(REVOKE, headers=bearer(key)),
    ]

    assert answer.status_code == 200
    assert answer.text == f'{{"key":{{"id":"{key.record.id}","revoked_at":"2026-04-01T03:00:00.000Z"}}}}'
    assert {"ratelimit", "ratelimit-policy", "x-request-id"} <= answer.headers.keys()
    assert answer.headers["cache-control"] == "private, no-store"
    assert [(each.status_code, each.json()) for each in after] == [(401, REFUSAL)] * 2


async def test_only_this_key_ends_and_its_successor_lives_on(world: World) -> None:
    key = await world.client_with_key()
    other = await world.key()
    successor = await world.services.keys.rotate(key.record.id, overlap="24h")

    await world.http.post(REVOKE, headers=bearer(key))

    for each in (other, successor):
        assert (await world.http.get("/api/v1/status", headers=bearer(each))).status_code == 200
    assert (await world.http.get("/api/v1/status", headers=bearer(key))).status_code == 401


async def test_the_activity_log_says_that_it_was_the_key_itself_and_from_where(world: World) -> None:
    key = await world.client_with_key()

    answer = await world.http.post(REVOKE, headers=bearer(key))
    (entry, *_) = await world.services.store.activity.of_client(key.record.client_id, limit=10)

    assert (entry.actor, entry.action, entry.by_operator) == ("the key itself", "key.revoke", False)
    assert entry.subject == f"{key.record.start} (test)"
    assert entry.address == "127.0.0.1"
    assert entry.request_id == answer.headers["x-request-id"]
    assert key.text not in repr(entry)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
async def test_any_other_method_is_told_the_right_one_and_ends_nothing(world: World, method: str) -> None:
    key = await world.client_with_key()

    answer = await world.http.request(method, REVOKE, headers=bearer(key))

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (await world.http.get("/api/v1/status", headers=bearer(key))).status_code == 200


@pytest.mark.parametrize("body", [b'{"key":"smrt_x"}', b"[]", b"id=key_x", b"\xff", b'"\xff"'])
async def test_a_body_is_refused_before_anything_ends(world: World, body: bytes) -> None:
    key = await world.client_with_key()

    answer = await world.http.post(REVOKE, headers=bearer(key), content=body)

    assert answer.status_code == 400
    assert (await world.http.get("/api/v1/status", headers=bearer(key))).status_code == 200


@pytest.mark.parametrize("total", [None, "1/60"], ids=["the key's rate", "the client's rate"])
async def test_it_takes_no_token_and_is_never_refused_for_the_rate(world: World, total: str | None) -> None:
    key = await world.client_with_key(rate=None if total else "1/60")
    other = await world.key(rate="1/60")
    await world.services.clients.update("acme", name="Acme", plan="free", rate=None, rate_total=total, most_keys=None)
    used = await world.http.get("/api/v1/status", headers=bearer(key))
    refused = await world.http.get("/api/v1/status", headers=bearer(key))

    answers = [await world.http.post(REVOKE, headers=bearer(each)) for each in (key, other)]

    assert (used.status_code, refused.status_code) == (200, 429)
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].headers["ratelimit"] == refused.headers["ratelimit"].partition(",")[0]
    assert answers[1].headers["ratelimit"] == '"default";r=1;t=0'


async def test_by_another_method_or_below_it_there_is_nothing_free(world: World) -> None:
    key = await world.client_with_key(rate="2/60")

    answers = [
        await world.http.get(REVOKE, headers=bearer(key)),
        await world.http.post(f"{REVOKE}/", headers=bearer(key)),
    ]

    assert [each.status_code for each in answers] == [405, 404]
    assert (await world.http.get("/api/v1/status", headers=bearer(key))).status_code == 429


async def test_many_at_once_end_it_once_and_are_told_the_same(world: World) -> None:
    key = await world.client_with_key()
    await world.http.get("/api/v1/status", headers=bearer(key))

    answers = await world.simultaneously("POST", REVOKE, [key] * 5)
    entries = await world.services.store.activity.of_client(key.record.client_id, limit=10)

    assert len({answer.text for answer in answers if answer.status_code == 200}) == 1
    assert {answer.status_code for answer in answers} <= {200, 401}
    assert [entry.action for entry in entries].count("key.revoke") == 1


async def test_a_key_that_was_removed_meanwhile_is_unknown(world: World) -> None:
    key = await world.client_with_key()
    principal = await world.services.store.api_keys.principal(digest(key.text))
    await world.services.clients.remove("acme")
    scope = {"type": "http", "headers": [], "app": world.app, "client": ("127.0.0.1", 1)}
    scope |= {PRINCIPAL_KEY: principal, SCOPE_KEY: RequestContext("0" * 16)}

    with pytest.raises(Unauthorized):
        await revoke_key(Request(scope, an_empty_body))
