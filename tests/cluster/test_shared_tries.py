"""Tries of passwords over several gateways: counted once for all, by each for itself while Valkey is unavailable."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.auth.accounts import Accounts
from gateway.auth.sign_in_throttle import TRIES
from gateway.cluster.shared_tries import TRIES_PREFIX, SharedTries
from gateway.cluster.valkey import Valkey
from tests.auth.support import ANN, HERE, PASSWORD, accepted, accounts_of, tries_left
from tests.cluster.conftest import reached
from tests.dashboard.support import browser
from tests.support import HandClock, World, running_gateway
from tests.valkey import ValkeyServer, operator

GATEWAYS = 2


def tries_of(valkey: Valkey, clock: HandClock) -> SharedTries:
    return SharedTries(valkey, peers=lambda: GATEWAYS, monotonic=clock.monotonic)


async def allowed(tries: SharedTries, calls: int = 1, name: str = "name") -> int:
    reservations = await asyncio.gather(*(tries.reserve(name, TRIES) for _ in range(calls)))
    return sum(reservation.decision.allowed for reservation in reservations)


@pytest.fixture
async def gateways(world: World, server: ValkeyServer) -> AsyncIterator[list[Accounts]]:
    """Two of one database and one Valkey, with the client acme."""
    await world.client_with_key()
    async with reached(server) as one, reached(server) as two:
        yield [accounts_of(world, tries_of(valkey, world.clock)) for valkey in (one, two)]


async def test_two_gateways_allow_five_tries_in_all(gateways: list[Accounts]) -> None:
    await accepted(gateways[0])

    left = await asyncio.gather(*(tries_left(accounts, ANN, HERE) for accounts in gateways))

    assert sum(left) == TRIES.requests == 5


async def test_a_right_password_at_one_gateway_forgives_at_all(gateways: list[Accounts], server: ValkeyServer) -> None:
    one, two = gateways
    await accepted(one)
    for _ in range(3):
        assert await tries_left(one, ANN, HERE, at_most=4) == 4
        assert (await two.sign_in.by_password(ANN, PASSWORD, HERE)).secret

    with operator(server) as redis:
        assert redis.keys(f"{TRIES_PREFIX}*") == []


async def test_what_valkey_keeps_tells_neither_account_nor_address(
    gateways: list[Accounts], server: ValkeyServer
) -> None:
    await tries_left(gateways[0], ANN, HERE, at_most=1)

    with operator(server) as redis:
        (name,) = redis.keys(f"{TRIES_PREFIX}*")
    assert ANN not in name
    assert HERE.address not in name


async def test_while_valkey_is_unavailable_each_gateway_allows_its_share(valkey: Valkey, server: ValkeyServer) -> None:
    clock = HandClock()
    tries = tries_of(valkey, clock)
    server.kill()

    assert await allowed(tries, TRIES.requests) == 2
    refused = await tries.reserve("name", TRIES)
    assert not refused.decision.allowed
    clock.advance(refused.decision.next_token_seconds)
    assert await allowed(tries) == 1


async def test_a_right_password_is_forgiven_also_while_valkey_is_unavailable(
    valkey: Valkey, server: ValkeyServer
) -> None:
    tries = tries_of(valkey, HandClock())
    server.kill()

    for _ in range(TRIES.requests * 2):
        reservation = await tries.reserve("name", TRIES)
        assert reservation.decision.allowed
        await reservation.forgive()


async def test_a_try_is_given_back_alone(valkey: Valkey, server: ValkeyServer) -> None:
    tries = tries_of(valkey, HandClock())
    assert await allowed(tries, 2) == 2
    for _ in range(TRIES.requests * 2):
        reservation = await tries.reserve("name", TRIES)
        assert reservation.decision.allowed
        await reservation.give_back()
    assert await allowed(tries, TRIES.requests) == TRIES.requests - 2

    server.kill()
    assert await allowed(tries) == 1
    for _ in range(TRIES.requests * 2):
        reservation = await tries.reserve("name", TRIES)
        assert reservation.decision.allowed
        await reservation.give_back()
    assert await allowed(tries, TRIES.requests) == 1


async def test_the_pages_of_gateways_with_one_valkey_count_together(server: ValkeyServer, tmp_path: Path) -> None:
    statuses = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        async with running_gateway(folder, rate_limit={"backend": server.secret}) as world:
            for _ in range(3):
                form = {"email": ANN, "password": "wrong"}
                statuses.append((await browser(world).post("/dashboard/sign-in", data=form)).status_code)

    assert statuses == [400] * 5 + [429]
