"""Scripts in batches, and what happens while the server is down, slow, paused or restarted."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Event

import pytest
from redis import Redis

from gateway.background import Background
from gateway.cluster.answers import Argument
from gateway.cluster.script_server import SOCKET_CONNECTIONS
from gateway.cluster.scripts import BackendReadOnly, BackendUnavailable, Script
from gateway.cluster.timings import ValkeyTimings
from gateway.cluster.valkey import Valkey
from gateway.settings.secret import SecretUrl
from gateway.telemetry.log import configure_log, log_task_failure
from tests.cluster.conftest import PATIENCE_SECONDS, PATIENT, reached
from tests.faults.conftest import SLACK_SECONDS
from tests.support import BOUND_SECONDS
from tests.valkey import PASSWORD, ValkeyServer, operator, running_valkey


def as_it_is(answer: object, _arguments: Sequence[Argument]) -> object:
    return answer


COUNT = Script("return redis.call('INCR', KEYS[1])", as_it_is)
ECHO = Script("return ARGV[1]", as_it_is)


@pytest.fixture
def log_stream() -> io.StringIO:
    stream = io.StringIO()
    configure_log(level="info", style="json", stream=stream)
    return stream


def events(stream: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


async def until_back(valkey: Valkey) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while valkey.is_unavailable:
            await asyncio.sleep(0.01)


async def until_probed(server: ValkeyServer, times: int) -> None:
    """Wait until so many probes have come and were judged. They come one after the other: the next has begun then."""
    with operator(server) as redis:
        wanted = pings(redis) + (times + 1) * SOCKET_CONNECTIONS
        async with asyncio.timeout(BOUND_SECONDS):
            while pings(redis) < wanted:
                await asyncio.sleep(0.01)


def pings(redis: Redis) -> int:
    """Return how often the server was asked whether it is there: by each probe once on each socket connection."""
    return int(redis.info("commandstats").get("cmdstat_ping", {}).get("calls", 0))


async def refused_soon(valkey: Valkey) -> None:
    """BackendUnavailable, within the patience."""
    async with asyncio.timeout(PATIENCE_SECONDS + SLACK_SECONDS):
        with pytest.raises(BackendUnavailable):
            await valkey.run(COUNT, ["n"], [])


def test_a_decision_falls_within_100_milliseconds() -> None:
    timings = ValkeyTimings()

    assert timings.patience + timings.late <= 0.1


async def test_each_of_many_askers_has_his_own_answer(valkey: Valkey) -> None:
    answers = await asyncio.gather(*(valkey.run(ECHO, [], [number]) for number in range(1000)))

    assert answers == [str(number).encode() for number in range(1000)]


async def test_nothing_is_run_twice_when_the_script_is_not_known_yet(valkey: Valkey) -> None:
    counts = await asyncio.gather(*(valkey.run(COUNT, ["n"], []) for _ in range(500)))

    assert set(counts) == set(range(1, 501))


async def test_all_connections_are_made_before_they_are_needed(server: ValkeyServer) -> None:
    """Making one may take longer than a decision may."""
    async with reached(server):
        with operator(server) as redis:
            assert len(redis.client_list()) == SOCKET_CONNECTIONS + 1


async def test_an_asker_who_is_gone_hurts_nobody(valkey: Valkey) -> None:
    askers = [asyncio.create_task(valkey.run(ECHO, [], [number])) for number in range(100)]
    await asyncio.sleep(0)
    for asker in askers[::2]:
        asker.cancel()

    answers = await asyncio.gather(*askers, return_exceptions=True)

    assert answers[1::2] == [str(number).encode() for number in range(1, 100, 2)]
    assert await valkey.run(ECHO, [], ["last"]) == b"last"


async def test_the_password_is_used_and_never_told(tmp_path: Path, log_stream: io.StringIO) -> None:
    with running_valkey(tmp_path, password=PASSWORD) as server:
        async with reached(server) as valkey:
            assert await valkey.run(ECHO, [], ["in"]) == b"in"
        async with reached(ValkeyServer(server.folder, server.port, "wrong-password")) as valkey:
            assert valkey.is_unavailable
    assert events(log_stream) == ["shared_backend_unavailable"]
    assert "password@" not in log_stream.getvalue()
    assert "wrong-password" not in log_stream.getvalue()


async def test_a_server_that_is_not_there_at_the_start_is_found_later(
    server: ValkeyServer, log_stream: io.StringIO
) -> None:
    server.kill()
    async with reached(server) as valkey:
        assert valkey.is_unavailable
        await refused_soon(valkey)
        server.start()
        await until_back(valkey)
        assert await valkey.run(COUNT, ["n"], []) == 1
    assert events(log_stream) == ["shared_backend_unavailable", "shared_backend_back"]


async def test_a_restarted_server_knows_no_script(server: ValkeyServer, valkey: Valkey) -> None:
    assert await valkey.run(COUNT, ["n"], []) == 1
    server.kill()
    await refused_soon(valkey)
    server.start()
    await until_back(valkey)

    assert await valkey.run(COUNT, ["n"], []) == 1


async def test_a_paused_server_costs_each_asker_the_patience_once(
    server: ValkeyServer, valkey: Valkey, log_stream: io.StringIO
) -> None:
    assert await valkey.run(COUNT, ["n"], []) == 1
    server.pause()
    try:
        await asyncio.gather(*(refused_soon(valkey) for _ in range(200)))
        assert valkey.is_unavailable
        before = asyncio.get_running_loop().time()
        for _ in range(1000):
            await refused_soon(valkey)
        # Nobody waits any more: a thousand times the patience would be far beyond the bound.
        assert asyncio.get_running_loop().time() - before < BOUND_SECONDS
        assert len(asyncio.all_tasks()) < 10
    finally:
        server.resume()
    await until_back(valkey)

    assert await valkey.run(COUNT, ["m"], []) == 1
    assert events(log_stream) == ["shared_backend_unavailable", "shared_backend_back"]


@pytest.mark.parametrize(
    ("hurt", "heal", "reason"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "maxmemory"),
        ("REPLICAOF 127.0.0.1 9", "REPLICAOF NO ONE", "READONLY|read only"),
    ],
    ids=["full", "replica"],
)
async def test_a_server_that_takes_nothing_is_unavailable_until_it_does(
    server: ValkeyServer,
    valkey: Valkey,
    log_stream: io.StringIO,
    hurt: str,
    heal: str,
    reason: str,
) -> None:
    with operator(server) as redis:
        redis.execute_command(*hurt.split())  # type: ignore[no-untyped-call]  # redis-py's own
        with pytest.raises(BackendUnavailable, match=reason):
            await valkey.run(COUNT, ["n"], [])
        assert valkey.is_unavailable
        # It answers, but that is not enough: two probes later it still counts as unavailable.
        await until_probed(server, 2)
        assert valkey.is_unavailable
        redis.execute_command(*heal.split())  # type: ignore[no-untyped-call]  # redis-py's own
    await until_back(valkey)

    assert await valkey.run(COUNT, ["n"], []) == 1
    assert events(log_stream) == ["shared_backend_unavailable", "shared_backend_back"]


async def test_a_slow_server_counts_as_unavailable_while_it_is_slow(server: ValkeyServer) -> None:
    """Each answer comes, but later than a decision may."""
    delay = [0.0]
    timings = ValkeyTimings(patience=0.4)
    async with (
        way_to(lambda: server.port, delay) as port,
        reached(ValkeyServer(server.folder, port), timings) as valkey,
    ):
        assert await valkey.run(COUNT, ["n"], []) == 1
        delay[0] = 0.8
        await refused_soon(valkey)
        await until_probed(server, 1)
        assert valkey.is_unavailable
        delay[0] = 0.0
        await until_back(valkey)


@asynccontextmanager
async def way_to(port: Callable[[], int], delay: list[float]) -> AsyncIterator[int]:
    """Lead each new connection to the port of that moment, as a name does; every chunk takes the delay longer."""
    accepted: set[asyncio.Task[None] | None] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65536):
                    await asyncio.sleep(delay[0])
                    writer.write(data)
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", port())
        with suppress(asyncio.CancelledError):
            await asyncio.gather(forward(reader, back), forward(there, writer))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        under_way = [task for task in accepted if task is not None and not task.done()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way)


async def test_after_a_failover_the_name_is_asked_again(
    server: ValkeyServer, tmp_path: Path, log_stream: io.StringIO
) -> None:
    """The old primary lives on as a replica of the new one, with every connection to it."""
    folder = tmp_path / "other"
    folder.mkdir()
    with running_valkey(folder, primary_port=server.port) as other:
        ports = [server.port]
        async with (
            way_to(lambda: ports[-1], [0.0]) as port,
            reached(ValkeyServer(server.folder, port)) as valkey,
        ):
            assert await valkey.run(COUNT, ["n"], []) == 1
            with operator(other) as redis:
                redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]  # redis-py's own
            with operator(server) as redis:
                redis.execute_command("REPLICAOF", "127.0.0.1", other.port)  # type: ignore[no-untyped-call]
            ports.append(other.port)
            with pytest.raises(BackendReadOnly):
                await valkey.run(COUNT, ["n"], [])
            await until_back(valkey)

            await valkey.run(COUNT, ["only on the new primary"], [])
            with operator(other) as redis:
                assert redis.exists("only on the new primary")
    assert events(log_stream) == ["shared_backend_unavailable", "shared_backend_back"]


async def test_a_replica_is_known_for_one(server: ValkeyServer, tmp_path: Path) -> None:
    folder = tmp_path / "replica"
    folder.mkdir()
    with running_valkey(folder, primary_port=server.port) as replica:
        async with reached(replica) as valkey:
            assert valkey.is_unavailable
            with pytest.raises(BackendReadOnly):
                await valkey.facts()


async def test_a_stand_still_of_ours_is_not_held_against_the_server(valkey: Valkey) -> None:
    asker = asyncio.create_task(valkey.run(ECHO, [], ["here"]))
    for _ in range(3):
        await asyncio.sleep(0)
    stand_still(2 * PATIENCE_SECONDS)

    assert await asker == b"here"
    assert not valkey.is_unavailable


def stand_still(seconds: float) -> None:
    """As a machine does that is too busy: the whole event loop."""
    Event().wait(seconds)


async def test_closing_while_somebody_asks_leaves_nobody_waiting(server: ValkeyServer) -> None:
    valkey = Valkey(server.secret, background=Background(log_task_failure), timings=PATIENT)
    await valkey.open()
    server.pause()
    try:
        askers = [asyncio.create_task(valkey.run(COUNT, ["n"], [])) for _ in range(10)]
        await asyncio.sleep(0)
        await valkey.close()
        answers = await asyncio.gather(*askers, return_exceptions=True)
    finally:
        server.resume()

    assert {type(answer) for answer in answers} == {BackendUnavailable}


async def test_an_address_that_leads_nowhere_is_unavailable() -> None:
    valkey = Valkey(SecretUrl("redis://127.0.0.1:9/0"), background=Background(log_task_failure))
    await valkey.open()
    assert valkey.is_unavailable
    await valkey.close()
