"""What the doctor says of the server that counts for several gateways."""

from pathlib import Path

import pytest

from gateway.doctor.finding import Finding
from gateway.doctor.shared_backend import check_shared_limit
from gateway.settings.secret import SecretUrl
from tests.support import running_gateway
from tests.valkey import PASSWORD, ValkeyServer, operator, running_valkey


async def finding(folder: Path, backend: str) -> Finding | None:
    async with running_gateway(folder, rate_limit={"backend": SecretUrl(backend)}) as world:
        found = [each async for each in check_shared_limit(world.services)]
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
