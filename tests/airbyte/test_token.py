"""Where the Authorization header of a call comes from."""

import asyncio
import base64
import json

import pytest

from gateway.airbyte.schema import TokenRecord
from gateway.airbyte.timings import TokenTimings
from gateway.airbyte.token import ClientCredentials, Credential, FixedAuthorization
from gateway.airbyte.token_life import token_life
from gateway.errors import UpstreamBusy, UpstreamUnreachable
from gateway.settings.secret import Secret
from tests.support import HandClock


def jwt(**claims: object) -> str:
    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256'})}.{part(claims)}.c2lnbmF0dXJl"


class TokenRoute:
    """Hands out numbered tokens; `answers` queues what it says instead."""

    def __init__(self) -> None:
        self.calls = 0
        self.answers: list[TokenRecord | Exception] = []

    async def fetch(self) -> TokenRecord:
        self.calls += 1
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else TokenRecord(f"token-{self.calls}", 900)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        (TokenRecord("opaque", 900), 900),
        (TokenRecord(jwt(iat=1000, exp=1180), 900), 180),
        (TokenRecord(jwt(iat=1000, exp=4600), 900), 900),
        (TokenRecord(jwt(iat=1000, exp=1900)), 900),
        (TokenRecord("opaque"), 180),
        (TokenRecord("opaque", "900"), 180),
        (TokenRecord("opaque", True), 180),
        (TokenRecord("opaque", -5), 30),
        (TokenRecord("opaque", 10**9), 86_400),
        (TokenRecord("a.b.c", 900), 900),
        (TokenRecord("a.W10.c", 900), 900),
        (TokenRecord(jwt(iat="x", exp=None), 900), 900),
    ],
)
def test_a_token_lives_as_long_as_the_more_careful_of_its_two_claims(record: TokenRecord, seconds: float) -> None:
    assert token_life(record, TokenTimings()) == seconds


async def test_two_hundred_askers_without_a_token_cause_one_token_call(clock: HandClock) -> None:
    route = TokenRoute()
    credentials = ClientCredentials(route.fetch, clock, TokenTimings())

    headers = await asyncio.gather(*(credentials.header() for _ in range(200)))

    assert set(headers) == {"Bearer token-1"}
    assert route.calls == 1


async def test_a_token_is_renewed_at_80_percent_of_its_life_while_the_old_one_still_serves(clock: HandClock) -> None:
    route = TokenRoute()
    credentials = ClientCredentials(route.fetch, clock, TokenTimings())
    await credentials.header()

    clock.advance(719)
    assert await credentials.header() == "Bearer token-1"
    assert route.calls == 1
    clock.advance(1)
    assert await credentials.header() == "Bearer token-1"
    for _ in range(4):
        await asyncio.sleep(0)

    assert await credentials.header() == "Bearer token-2"
    assert route.calls == 2


async def test_a_token_route_that_is_down_goes_unnoticed_while_the_token_lives(clock: HandClock) -> None:
    route = TokenRoute()
    credentials = ClientCredentials(route.fetch, clock, TokenTimings())
    await credentials.header()
    route.answers = [UpstreamBusy() for _ in range(100)]

    clock.advance(720)
    for _ in range(170):
        clock.advance(1)
        assert await credentials.header() == "Bearer token-1"
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert route.calls <= 1 + 170 / 5 + 1


async def test_after_a_failure_nobody_asks_for_five_seconds(clock: HandClock) -> None:
    route = TokenRoute()
    route.answers = [UpstreamBusy()]
    credentials = ClientCredentials(route.fetch, clock, TokenTimings())
    for _ in range(10):
        with pytest.raises(UpstreamUnreachable):
            await credentials.header()
    assert route.calls == 1

    clock.advance(5)

    assert await credentials.header() == "Bearer token-2"


async def test_a_rejected_token_is_replaced_once_and_then_left_alone(clock: HandClock) -> None:
    route = TokenRoute()
    credentials = ClientCredentials(route.fetch, clock, TokenTimings())
    first = await credentials.header()

    assert credentials.reject(first, renewed=False)
    second = await credentials.header()
    assert second == "Bearer token-2"
    assert credentials.reject(first, renewed=False)
    assert await credentials.header() == second
    assert not credentials.reject(second, renewed=True)

    with pytest.raises(UpstreamUnreachable):
        await credentials.header()
    assert route.calls == 2


@pytest.mark.parametrize("token", ["", "two words", "line\r\nX-Injected: 1", "Ünicode", "nul\0", "=only"])
async def test_a_token_that_could_forge_a_header_is_refused(clock: HandClock, token: str) -> None:
    route = TokenRoute()
    route.answers = [TokenRecord(token, 900)]

    with pytest.raises(UpstreamUnreachable):
        await ClientCredentials(route.fetch, clock, TokenTimings()).header()


async def test_basic_and_none() -> None:
    assert (
        await FixedAuthorization(Credential("airbyte", Secret("password"))).header() == "Basic YWlyYnl0ZTpwYXNzd29yZA=="
    )
    assert await FixedAuthorization().header() is None
    assert not FixedAuthorization().reject(None, renewed=False)


async def test_a_changed_credential_forgets_token_and_refusal(clock: HandClock) -> None:
    route = TokenRoute()
    credentials = ClientCredentials(route.fetch, clock, TokenTimings())
    route.answers = [UpstreamUnreachable(detail="500 from Airbyte")]
    with pytest.raises(UpstreamUnreachable):
        await credentials.header()

    credentials.forget()
    second = await credentials.header()
    credentials.forget()

    assert [second, await credentials.header()] == ["Bearer token-2", "Bearer token-3"]
    assert route.calls == 3


async def test_who_waits_for_a_token_while_the_credential_changes_gets_one_and_others_the_new(clock: HandClock) -> None:
    route = TokenRoute()
    credentials = ClientCredentials(route.fetch, clock, TokenTimings())
    waiting = asyncio.create_task(credentials.header())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    credentials.forget()

    later = await asyncio.gather(*(credentials.header() for _ in range(20)))

    assert await waiting == "Bearer token-1"
    assert set(later) == {"Bearer token-2"}
    assert await credentials.header() == "Bearer token-2"
    assert route.calls == 2


async def test_the_old_credential_s_failure_is_not_the_new_one_s(clock: HandClock) -> None:
    route = TokenRoute()
    route.answers = [UpstreamUnreachable(detail="401 from Airbyte")]
    credentials = ClientCredentials(route.fetch, clock, TokenTimings())
    waiting = asyncio.create_task(credentials.header())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    credentials.forget()

    assert await waiting == "Bearer token-2"


async def test_a_refused_old_token_says_nothing_about_the_new_one(clock: HandClock) -> None:
    route = TokenRoute()
    credentials = ClientCredentials(route.fetch, clock, TokenTimings())
    old = await credentials.header()
    credentials.forget()
    new = await credentials.header()

    assert credentials.reject(old, renewed=False)
    assert not credentials.reject(old, renewed=True)
    assert await credentials.header() == new
    assert route.calls == 2
