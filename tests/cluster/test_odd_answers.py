"""Whatever a server answers that is none or not well: each call is decided by the gateway's own share."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest

from gateway.airbyte import Deadlines
from gateway.background import Background
from gateway.cluster.scripts import (
    ACQUIRE_PERMIT,
    RELEASE_PERMIT,
    RENEW_PERMITS,
    TAKE_TOKENS,
    BackendUnavailable,
)
from gateway.cluster.shared_bulkhead import SharedBulkhead
from gateway.cluster.shared_limiter import SharedLimiter
from gateway.cluster.timings import ValkeyTimings
from gateway.cluster.valkey import Valkey
from gateway.models import RatePolicy
from gateway.telemetry.log import log_task_failure
from tests.cluster.resp_server import RespServer, resp_server
from tests.support import BOUND_SECONDS, HandClock, a_caller, bearer, running_gateway

POLICY = RatePolicy(100, 60)
OF_CLIENT = b":1\r\n:1999\r\n:1\r\n:1999000000\r\n"
"""What is told of a client's bucket, after what is told of its key's."""
TAKEN = b"*8\r\n:1\r\n:99\r\n:1\r\n:99000000\r\n" + OF_CLIENT
ANYTHING = {
    "ok": b"+OK\r\n",
    "null": b"$-1\r\n",
    "null array": b"*-1\r\n",
    "text": b"$4\r\ntext\r\n",
    "bad utf-8": b"$2\r\n\xff\xfe\r\n",
    "bad utf-8 error": b"-\xff\xfe\r\n",
    "number": b":7\r\n",
    "no number": b":abc\r\n",
    "nothing": b"*0\r\n",
    "nested": b"*1\r\n" * 5000 + b":1\r\n",
    "nan of a later protocol": b",nan\r\n",
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "moved": b"-MOVED 3999 127.0.0.1:6381\r\n",
    "misconf": b"-MISCONF Redis is configured to save RDB snapshots\r\n",
    "oom": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "noauth": b"-NOAUTH Authentication required.\r\n",
    "readonly": b"-READONLY You can't write against a read only replica.\r\n",
    "unknown for ever": b"-NOSCRIPT No matching script.\r\n",
    "closed": b"",
}
DECISIONS = {
    "too short": b"*7\r\n:1\r\n:99\r\n:1\r\n" + OF_CLIENT,
    "too long": b"*9\r\n:1\r\n:99\r\n:1\r\n:99000000\r\n:1\r\n" + OF_CLIENT,
    "texts": b"*8\r\n" + 4 * b"$1\r\n1\r\n" + OF_CLIENT,
    "nan": b"*8\r\n:1\r\n$3\r\nnan\r\n:1\r\n:1\r\n" + OF_CLIENT,
    "nulls": b"*8\r\n" + 4 * b"$-1\r\n" + OF_CLIENT,
    "allowed twice": b"*8\r\n:2\r\n:99\r\n:1\r\n:99000000\r\n" + OF_CLIENT,
    "negative remaining": b"*8\r\n:1\r\n:-1\r\n:1\r\n:99000000\r\n" + OF_CLIENT,
    "more remaining than the limit": b"*8\r\n:1\r\n:101\r\n:1\r\n:99000000\r\n" + OF_CLIENT,
    "negative seconds": b"*8\r\n:1\r\n:99\r\n:-1\r\n:99000000\r\n" + OF_CLIENT,
    "refused for no time": b"*8\r\n:0\r\n:0\r\n:0\r\n:0\r\n" + OF_CLIENT,
    "longer than the limit's time": b"*8\r\n:0\r\n:0\r\n:61\r\n:0\r\n" + OF_CLIENT,
    "negative tokens": b"*8\r\n:1\r\n:0\r\n:1\r\n:-1\r\n" + OF_CLIENT,
    "more tokens than the limit": b"*8\r\n:1\r\n:99\r\n:1\r\n:100000001\r\n" + OF_CLIENT,
    "of one bucket": b"*4\r\n:1\r\n:99\r\n:1\r\n:99000000\r\n",
    "more tokens than the client's limit": b"*8\r\n:1\r\n:99\r\n:1\r\n:99000000\r\n:1\r\n:1\r\n:1\r\n:2000000001\r\n",
}
PATIENT = ValkeyTimings(patience=BOUND_SECONDS, probe=BOUND_SECONDS, first_probe_pause=0.05)
"""Every answer comes at once, and is whole or ends with its connection: none is waited for in vain."""


def cases(*tables: dict[str, bytes]) -> pytest.MarkDecorator:
    every = {name: answer for table in tables for name, answer in table.items()}
    return pytest.mark.parametrize("answer", every.values(), ids=every.keys())


@pytest.fixture
async def odd_server() -> AsyncIterator[RespServer]:
    async with resp_server() as server:
        yield server


@pytest.fixture
async def valkey(odd_server: RespServer) -> AsyncIterator[Valkey]:
    valkey = Valkey(odd_server.secret, background=Background(log_task_failure), timings=PATIENT)
    await valkey.open()
    assert not valkey.is_unavailable
    yield valkey
    await valkey.close()


def limiter_on(valkey: Valkey) -> SharedLimiter:
    return SharedLimiter(POLICY, valkey, most_active=20, peers=lambda: 2, monotonic=HandClock().monotonic)


@cases(ANYTHING, DECISIONS)
async def test_an_odd_decision_is_made_by_the_share_and_the_server_counts_as_unavailable(
    odd_server: RespServer, valkey: Valkey, answer: bytes
) -> None:
    odd_server.to_scripts = answer
    limiter = limiter_on(valkey)

    decisions = await asyncio.gather(*(limiter.take(a_caller("key_1")) for _ in range(60)))

    assert odd_server.scripts > 0
    assert sum(decision.allowed for decision in decisions) == 50
    assert valkey.is_unavailable


async def test_a_well_formed_decision_is_believed(odd_server: RespServer, valkey: Valkey) -> None:
    odd_server.to_scripts = TAKEN

    decision = await limiter_on(valkey).take(a_caller("key_1"))

    assert (decision.allowed, decision.remaining, decision.next_token_seconds) == (True, 99, 1)
    assert not valkey.is_unavailable


@cases(ANYTHING, {"two": b":2\r\n", "negative": b":-1\r\n"})
async def test_an_odd_answer_to_who_asks_for_a_permit_leaves_the_share(
    odd_server: RespServer, valkey: Valkey, answer: bytes
) -> None:
    odd_server.to_scripts = answer
    bulkhead = SharedBulkhead(
        4,
        valkey,
        share=lambda permits: permits // 2,
        may_trigger=lambda: True,
        monotonic=monotonic,
        wait_seconds=Deadlines().permit,
        background=Background(log_task_failure),
    )
    bulkhead.open()

    async with bulkhead.permit("read", 1), bulkhead.permit("trigger", 2):
        assert bulkhead.in_flight == 2
        assert valkey.is_unavailable
    await bulkhead.close()


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        (TAKE_TOKENS, (100, 60, 100)),
        (ACQUIRE_PERMIT, (4, 3, 2, 2, 1, 6.0, "permit")),
        (RENEW_PERMITS, (6.0, "permit")),
        (RELEASE_PERMIT, ("permit",)),
    ],
    ids=["token", "permit", "renewal", "release"],
)
@cases({"nested": b"*1\r\n*1\r\n:1\r\n", "negative": b":-1\r\n", "array": b"*2\r\n$-1\r\n$-1\r\n"})
async def test_every_script_is_checked(
    odd_server: RespServer, valkey: Valkey, script: object, arguments: tuple[str | int | float, ...], answer: bytes
) -> None:
    odd_server.to_scripts = answer

    with pytest.raises(BackendUnavailable, match="odd answer"):
        await valkey.run(script, ["key"], arguments)  # type: ignore[arg-type]  # of several kinds


@cases({name: answer for name, answer in ANYTHING.items() if answer}, {"old text": b"$3\r\nold\r\n"})
async def test_a_server_is_back_only_when_a_script_has_written(
    odd_server: RespServer, valkey: Valkey, answer: bytes
) -> None:
    odd_server.to_scripts = odd_server.to_probes = answer
    limiter = limiter_on(valkey)
    await limiter.take(a_caller("key_1"))
    with pytest.raises(BackendUnavailable):
        await valkey.facts()
    assert valkey.is_unavailable

    odd_server.to_scripts, odd_server.to_probes = TAKEN, b""

    async with asyncio.timeout(BOUND_SECONDS):
        while valkey.is_unavailable:
            await asyncio.sleep(0.01)
    assert (await limiter.take(a_caller("key_2"))).remaining == 99


@cases(ANYTHING)
async def test_a_caller_notices_nothing_of_odd_answers(odd_server: RespServer, tmp_path: Path, answer: bytes) -> None:
    async with running_gateway(tmp_path, rate_limit={"backend": odd_server.secret}) as world:
        key = await world.client_with_key()
        odd_server.to_scripts = answer

        answers = await asyncio.gather(
            *(world.http.get("/api/v1/connections", headers=bearer(key)) for _ in range(5)),
        )
        state = json.loads((await world.http.get("/readyz")).content)

    assert {each.status_code for each in answers} == {200}
    assert state["rate_limit"] == "local"
