"""What the doctor says of the server that counts for several gateways."""

import asyncio
from pathlib import Path

import pytest

from gateway.doctor.finding import Finding
from gateway.doctor.shared_backend import check_shared_limit
from gateway.settings.secret import SecretUrl
from tests.doctor.canned import PATIENT
from tests.support import running_gateway
from tests.valkey import PASSWORD, ValkeyServer, operator, running_valkey

NOTHING_LISTENS = 9


async def finding(folder: Path, backend: str, *, port: int = NOTHING_LISTENS) -> Finding | None:
    rate_limit = {"backend": SecretUrl(backend)}
    async with running_gateway(folder, rate_limit=rate_limit, server={"port": port}) as world:
        found = [each async for each in check_shared_limit(PATIENT, world.services)]
    return found[0] if found else None


@pytest.fixture
def gateway_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "gateway"
    folder.mkdir()
    return folder


async def test_of_a_gateway_alone_there_is_nothing_to_say(gateway_folder: Path) -> None:
    assert await finding(gateway_folder, "memory") is None


async def test_a_server_that_answers_is_named_without_its_password(tmp_path: Path, gateway_folder: Path) -> None:
    with running_valkey(tmp_path, password=PASSWORD) as server:
        found = await finding(gateway_folder, server.url)

    assert found
    assert found.level == "ok"
    assert f"redis://:********@127.0.0.1:{server.port}/0; " in found.text
    assert PASSWORD not in found.text


async def test_a_server_that_forgets_is_remarked_on(tmp_path: Path, gateway_folder: Path) -> None:
    with running_valkey(tmp_path) as server:
        with operator(server) as redis:
            redis.config_set("maxmemory", "100mb")
            redis.config_set("maxmemory-policy", "allkeys-lru")
        found = await finding(gateway_folder, server.url)

    assert found
    assert (found.level, "allkeys-lru" in found.text, "noeviction" in found.advice) == ("warn", True, True)


async def test_a_server_that_is_unavailable_is_a_failure(tmp_path: Path, gateway_folder: Path) -> None:
    server = ValkeyServer(tmp_path, 9, PASSWORD)

    found = await finding(gateway_folder, server.url)

    assert found
    assert found.level == "fail"
    assert "redis://:********@127.0.0.1:9/0 is unavailable: " in found.text
    assert PASSWORD not in found.text + found.advice


async def test_a_replica_is_told_from_the_server_that_counts(tmp_path: Path, gateway_folder: Path) -> None:
    folder = tmp_path / "replica"
    folder.mkdir()
    with running_valkey(tmp_path) as primary, running_valkey(folder, primary_port=primary.port) as replica:
        read_only = await finding(gateway_folder, replica.url)
        with operator(replica) as redis:
            redis.config_set("replica-read-only", "no")
        (tmp_path / "second").mkdir()
        writable = await finding(tmp_path / "second", replica.url)

    assert read_only
    assert (read_only.level, read_only.text) == ("fail", f"{replica.url} is a replica and takes no writes")
    assert "name the primary" in read_only.advice
    assert writable
    assert (writable.level, writable.advice) == ("fail", read_only.advice)


async def test_a_server_that_runs_no_script_does_not_count(tmp_path: Path, gateway_folder: Path) -> None:
    with running_valkey(tmp_path) as server:
        with operator(server) as redis:
            redis.execute_command("ACL", "SETUSER", "default", "-evalsha")  # type: ignore[no-untyped-call]  # redis-py's
        found = await finding(gateway_folder, server.url)

    assert found
    assert (found.level, "evalsha" in found.text) == ("fail", True)


@pytest.mark.parametrize(("counts", "level"), [(b"local", "warn"), (b"shared", "ok"), (b"\xff", "ok")])
async def test_how_the_running_gateway_counts_is_told(
    tmp_path: Path, gateway_folder: Path, counts: bytes, level: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        body = b'{"status":"ready","rate_limit":"%s"}' % counts
        assert request.startswith(b"GET /readyz ")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    with running_valkey(tmp_path) as server:
        found = await finding(gateway_folder, server.url, port=port)
    listener.close()

    assert found
    assert found.level == level
    assert ("by itself" in found.text) == (counts == b"local")
