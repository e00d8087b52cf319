"""Guessing keys through the whole application: one answer for all, and good keys do not feel it."""

import asyncio
from base64 import b64encode

import pytest
from starlette.types import Message

from gateway.auth import keys
from gateway.auth.guess_throttle import FREE_FAILURES, LOOKUPS_PER_SECOND, AuthThrottle
from gateway.errors import Unauthorized
from gateway.models import Principal
from gateway.web.compatible_paths import PUBLIC_API
from gateway.web.key_check import KeyCheck
from gateway.web.middleware.authentication import AuthenticationMiddleware
from tests.support import HandClock, World, a_caller, bearer

KEY = "smrt_abcdefghijklmnopqrstuvwxyzABCD1RmoFN"


def guess(number: int) -> dict[str, str]:
    """A well-formed key that nobody has."""
    digits = iter(f"{number:030d}")
    return {"Authorization": f"Bearer {keys.mint(lambda _: next(digits))}"}


async def test_guesses_beyond_the_throttle_are_answered_like_any_other(world: World) -> None:
    answers = [await world.http.get("/api/v1/status", headers=guess(number)) for number in range(FREE_FAILURES + 1)]
    answers += await asyncio.gather(
        *(world.http.get("/api/v1/status", headers=guess(1000 + number)) for number in range(40))
    )

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(name for name in answer.headers if name != "date") for answer in answers}) == 1


async def test_keys_work_at_an_address_that_guesses(world: World) -> None:
    used, unused = await world.client_with_key(), await world.key()
    assert (await world.http.get("/api/v1/status", headers=bearer(used))).status_code == 200
    for number in range(FREE_FAILURES):
        await world.http.get("/api/v1/status", headers=guess(number))
    flood = asyncio.gather(*(world.http.get("/api/v1/status", headers=guess(1000 + number)) for number in range(40)))
    for _ in range(20):
        await asyncio.sleep(0)

    assert (await world.http.get("/api/v1/status", headers=bearer(used))).status_code == 200
    tries = [(await world.http.get("/api/v1/status", headers=bearer(unused))).status_code for _ in range(2)]
    assert tries[-1] == 200
    await flood


class CountingDirectory:
    """Knows nobody."""

    def __init__(self) -> None:
        self.reads = 0

    def remembered(self, digest: bytes) -> Principal | None:
        return None

    async def principal(self, digest: bytes) -> Principal | None:
        self.reads += 1
        return None

    def count_again(self, key_id: str, moment: float) -> bool:
        raise AssertionError("nobody is known")

    def count_first(self, key_id: str, moment: float, *, address: str | None, agent: str | None) -> None:
        raise AssertionError("nobody is known")

    def is_noted(self, key_id: str, origin: tuple[str, bytes], moment: float) -> bool:
        raise AssertionError("nobody is known")

    def note(self, key_id: str, origin: tuple[str, bytes], moment: float, *, agent: str | None) -> None:
        raise AssertionError("nobody is known")


async def test_reads_for_guesses_are_few(clock: HandClock) -> None:
    directory = CountingDirectory()
    check = KeyCheck(
        directory=directory,
        calls=directory,
        callers=directory,
        clock=clock,
        throttle=AuthThrottle(longest_wait=0.8),
    )
    middleware = AuthenticationMiddleware(_unreachable, check=check)

    async def one(number: int) -> None:
        scope = {
            "type": "http",
            "client": ("203.0.113.9", 1),
            "headers": [(b"authorization", guess(number)["Authorization"].encode())],
        }
        with pytest.raises(Unauthorized):
            await middleware(scope, _receive, _send)

    for number in range(FREE_FAILURES):
        await one(number)
    await asyncio.gather(*(one(1000 + number) for number in range(2000)))

    assert directory.reads <= FREE_FAILURES + LOOKUPS_PER_SECOND


class KeeperOfOneKey(CountingDirectory):
    """Knows whose one key is."""

    async def principal(self, digest: bytes) -> Principal | None:
        self.reads += 1
        return a_caller("key_1") if digest == keys.digest(KEY) else None


async def test_an_id_that_is_not_the_keys_counts_as_a_guess(clock: HandClock) -> None:
    directory = KeeperOfOneKey()
    check = KeyCheck(
        directory=directory,
        calls=directory,
        callers=directory,
        clock=clock,
        throttle=AuthThrottle(longest_wait=0.8),
    )
    middleware = AuthenticationMiddleware(_unreachable, check=check)

    async def one(user: str, key: str) -> None:
        credentials = b64encode(f"{user}:{key}".encode())
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"{PUBLIC_API}/workspaces",
            "client": ("203.0.113.9", 1),
            "headers": [(b"authorization", b"Basic " + credentials)],
        }
        with pytest.raises(Unauthorized):
            await middleware(scope, _receive, _send)

    for _ in range(FREE_FAILURES):
        await one("key_2", KEY)
    directory.reads = 0
    guesses = (guess(number)["Authorization"].removeprefix("Bearer ") for number in range(2000))
    await asyncio.gather(*(one("key_1", key) for key in guesses))

    assert directory.reads <= LOOKUPS_PER_SECOND


async def _unreachable(*_: object) -> None:
    raise AssertionError("nobody gets this far")


async def _receive() -> Message:
    raise AssertionError("nothing is read")


async def _send(message: Message) -> None:
    raise AssertionError("nothing is sent")
