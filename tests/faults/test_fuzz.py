"""Requests nobody should send, to the real server: JSON always, 500 never, documented statuses, one answer each.

FUZZ_CASES sets how many, of another kind each time; without it there are four thousand, always the same. One in
twenty-five is made from the API's document, the rest from bytes.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from gateway.api.openapi import build_openapi, documented_statuses
from gateway.auth import keys
from gateway.errors import StorageUnavailable
from gateway.models import RatePolicy
from tests.faults.fuzz import (
    PARSER_STATUSES,
    ROUTER_STATUSES,
    Goods,
    Mutator,
    complaint,
    replies_in,
    shapes_of,
    too_many,
)
from tests.faults.installation import Installation, Served, install, key_header, sandbox_airbyte
from tests.support import BOUND_SECONDS, NEVER_OURS

CASES = os.environ.get("FUZZ_CASES")
API_CASES = int(CASES or "4000") // 25
RAW_CASES = int(CASES or "4000") - API_CASES
CASES_OF_A_CONNECTION = 8
CONNECTIONS = 100
REVOKE = "/api/v1/keys/revoke"
REVOCATIONS = 10
PAUSE_SECONDS = 0.03
"""For an answer that may never come: what is no whole request has none. No outcome depends on it."""
Case = schemathesis.Case[Any]
CHECKS: list[CheckFunction] = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with sandbox_airbyte() as airbyte:
        yield install(tmp_path, airbyte)


LONGEST_CALL_SECONDS = 90
"""A pending job is waited for up to 80 s before it is cancelled."""


def goods_of(installation: Installation) -> Goods:
    """Most keys are good: what lies behind a key is to be tried."""
    key = installation.key()
    read = installation.ok("key", "create", "--client", "acme", "--name", "read", "--scope", "read")
    ids = [ours for ours, _ in installation.connections(3)]
    return Goods((key, key, key, read, keys.mint(Random(1).choice)), (*ids, NEVER_OURS), doomed=installation.key())


def cases_of(schema: schemathesis.BaseSchema, ids: tuple[str, ...], path: str = "") -> st.SearchStrategy[Case]:
    """Calls as the document has them and calls that break it, of every operation, or of those of a path."""
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    operations = [operation for operation in found if operation.path == path or not path]
    strategies: list[st.SearchStrategy[Case]] = [
        operation.as_strategy(mode, path_parameters=parameters)
        for operation in operations
        for mode in schemathesis.GenerationMode
        for parameters in (None, *({"id": identifier} for identifier in ids if "{id}" in operation.path))
    ]
    return st.one_of(strategies)


def test_every_answer_of_the_api_is_a_documented_one(installation: Installation) -> None:
    """Calls made from the document that is served, by a program that takes it at its word."""
    goods = goods_of(installation)
    statuses: Counter[int] = Counter()
    revocations: Counter[int] = Counter()
    with installation.serve() as served, requests.Session() as session:
        schema = schemathesis.openapi.from_url(f"{served.address}/openapi.json")

        def check(case: Case, key: str) -> None:
            sent = goods.doomed if case.path == REVOKE else key
            answer = case.call(
                served.address, session, key_header(sent), allow_redirects=False, timeout=LONGEST_CALL_SECONDS
            )
            revocations.update([answer.status_code] if case.path == REVOKE else ())
            statuses[answer.status_code] += 1
            case.validate_response(answer, CHECKS)
            # Not any server error: a sync that ends between two looks at Airbyte is a documented 503.
            assert answer.status_code != 500
            # What closes the connection was refused before the key was looked at.
            if answer.status_code != 401 and "connection" not in answer.headers:
                assert {"ratelimit", "ratelimit-policy"} <= answer.headers.keys()

        for path, most in (("", API_CASES), (REVOKE, REVOCATIONS)):
            some = settings(
                max_examples=most,
                derandomize=CASES is None,
                database=None,
                deadline=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            )
            some(given(cases_of(schema, goods.ids, path), st.sampled_from(goods.keys))(check))()
        assert served.process.poll() is None

    assert {200, 400, 401, 403, 404} <= statuses.keys()
    assert revocations.total() > 0
    assert revocations[200] <= 1


class Conversation(asyncio.Protocol):
    """Everything sent over one connection and everything that came back."""

    def __init__(self) -> None:
        self.sent = b""
        self.received = b""
        self.was_reset = False
        self.news = asyncio.Event()
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.was_reset = exc is not None
        self.news.set()
        self.end.set_result(None)


@dataclass
class Findings:
    """What is to be complained about, with the bytes that led to it; and how often each status came."""

    statuses: Counter[int] = field(default_factory=Counter)
    complaints: list[tuple[str, bytes]] = field(default_factory=list)

    def judge(self, conversation: Conversation, statuses: frozenset[int], shapes: frozenset[tuple[str, ...]]) -> None:
        try:
            replies, rest = replies_in(conversation.received)
        except ValueError as error:
            self.complaints.append((str(error), conversation.sent))
            return
        self.statuses.update(reply.status for reply in replies)
        found = {complaint(reply, statuses, shapes) for reply in replies} | {too_many(conversation.sent, replies)}
        if rest and not conversation.was_reset:
            found.add(f"half an answer: {rest[:200]!r}")
        self.complaints += [(text, conversation.sent) for text in found if text]


def test_no_bytes_make_the_server_say_what_it_should_not(installation: Installation) -> None:
    """Spoilt requests over connections that are used again and again; the process and its answers stay sound."""
    goods = goods_of(installation)
    seed = 1 if CASES is None else SystemRandom().randrange(1 << 32)
    with installation.serve() as served:
        findings = asyncio.run(fuzz(served, Mutator(goods, seed)))
        after = [served.get(path, goods.keys[0]) for path in ("/status", f"/connections/{goods.ids[0]}/jobs")]
        assert served.process.poll() is None

    assert findings.complaints == [], f"seed {seed}"
    assert [answer.status_code for answer in after] == [200, 200]
    lines = [line for line in served.log.read_text().splitlines() if '"level":"error"' in line]
    # That a machine stood still while something was read or written is not what the bytes did.
    assert [line for line in lines if StorageUnavailable.message not in line] == []
    # The cases are of use: some are answered as good requests, and many are refused.
    assert {200, 400, 401, 404, 405} <= findings.statuses.keys()


async def fuzz(served: Served, mutator: Mutator) -> Findings:
    findings = Findings()
    document = build_openapi(server_url="/", rate=RatePolicy(100, 60))
    statuses = frozenset[int]().union(*documented_statuses(document).values()) | PARSER_STATUSES | ROUTER_STATUSES
    shapes = shapes_of(document)
    numbers = iter(range(RAW_CASES))

    async def work() -> None:
        while batch := [number for _, number in zip(range(CASES_OF_A_CONNECTION), numbers, strict=False)]:
            conversation = await converse(served, [mutator.case(number) for number in batch], Random(batch[0]))
            findings.judge(conversation, statuses, shapes)

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return findings


async def converse(served: Served, cases: list[bytes], chance: Random) -> Conversation:
    """Send case after case while the server listens; then say that nothing more comes and wait for the end."""
    port = int(served.address.rpartition(":")[2])
    loop = asyncio.get_running_loop()
    transport, conversation = await loop.create_connection(Conversation, "127.0.0.1", port)
    try:
        for case in cases:
            cut = chance.choice([0, 0, chance.randrange(len(case) + 1)])
            for piece in (case[:cut], case[cut:]):
                if transport.is_closing() or conversation.end.done():
                    return conversation
                conversation.news.clear()
                conversation.sent += piece
                transport.write(piece)
                await asyncio.sleep(0)
            await quiet(conversation)
        if not transport.is_closing():
            # The server's reset may be known to the kernel and not to us.
            with suppress(OSError):
                transport.write_eof()
        async with asyncio.timeout(BOUND_SECONDS):
            await asyncio.shield(conversation.end)
    finally:
        transport.abort()
    return conversation


async def quiet(conversation: Conversation) -> None:
    """Wait for an answer, if one comes soon."""
    try:
        async with asyncio.timeout(PAUSE_SECONDS):
            await conversation.news.wait()
    except TimeoutError:
        return
