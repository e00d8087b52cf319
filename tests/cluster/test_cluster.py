"""A gateway with a shared limit answers as one without; and without it nothing of the extra is needed."""

import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from gateway.settings.secret import SecretUrl
from tests.cli.conftest import environment
from tests.support import BOUND_SECONDS, bearer, running_gateway
from tests.valkey import ValkeyServer

TOLD = ("ratelimit-policy", "retry-after", "content-type", "cache-control")
WITHOUT_EXTRA = "import sys; sys.modules['redis'] = None; from gateway.cli import main; main()"


def told(answer: httpx2.Response) -> tuple[object, ...]:
    return answer.status_code, answer.text, [answer.headers.get(name) for name in TOLD]


async def answers(folder: Path, backend: str) -> list[tuple[object, ...]]:
    """Of a key that may call twice in a long time; and of a bad one."""
    async with running_gateway(folder, rate_limit={"backend": SecretUrl(backend)}) as world:
        key = await world.client_with_key(rate="2/86400")
        found = [await world.http.get("/api/v1/connections", headers=bearer(key)) for _ in range(4)]
        assert {answer.headers["ratelimit"].partition(";t=")[0] for answer in found} == {
            '"default";r=1',
            '"default";r=0',
        }
        found.append(await world.http.get("/api/v1/status", headers={"Authorization": "Bearer smrt_bad"}))
    return [told(answer) for answer in found]


async def test_callers_cannot_tell_who_counts(server: ValkeyServer, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    alone.mkdir()
    shared.mkdir()

    found = await answers(shared, server.url)

    assert found == await answers(alone, "memory")
    assert [answer[0] for answer in found] == [200, 200, 429, 429, 401]


async def test_readiness_tells_who_counts_and_is_no_worse_for_it(server: ValkeyServer, tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    async with running_gateway(folder, rate_limit={"backend": server.secret}) as world:
        key = await world.client_with_key()
        before = await world.http.get("/readyz")
        server.kill()
        await world.http.get("/api/v1/status", headers=bearer(key))
        after = await world.http.get("/readyz")

    assert (before.status_code, before.json()["rate_limit"]) == (200, "shared")
    assert (after.status_code, after.json()["rate_limit"]) == (200, "local")


async def test_a_gateway_alone_tells_nothing_of_others(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as world:
        state = (await world.http.get("/readyz")).json()
        metrics = (await world.http.get("/metrics")).text

    assert state.keys() == {"status", "database", "upstream", "stopped_tasks", "failing_tasks"}
    assert "cluster" not in metrics
    assert "rate_limit_local" not in metrics


def test_a_gateway_alone_imports_nothing_of_the_extra() -> None:
    script = "import gateway.app, sys; print({'redis', 'psycopg'} & sys.modules.keys())"

    printed = subprocess.check_output([sys.executable, "-c", script], text=True, timeout=BOUND_SECONDS)

    assert printed == "set()\n"


@pytest.mark.parametrize("command", ["doctor", "serve"])
def test_a_missing_extra_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "settings.toml").write_text('[rate_limit]\nbackend = "redis://127.0.0.1:9/0"\n')
    run = [sys.executable, "-c", WITHOUT_EXTRA]
    subprocess.run([*run, "init"], cwd=tmp_path, env=environment(), check=True, capture_output=True)

    result = subprocess.run(
        [*run, command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    said = json.loads(line)["error"] if command == "serve" else line.removeprefix("Error: ")
    assert said == "rate_limit.backend: a shared one needs more libraries: pip install -r requirements-cluster.lock"
