"""What the server may rely on."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from gateway.background import Background, TaskFailure
from gateway.settings import ServerSettings
from gateway.web.server.listener import listen
from gateway.web.server.sd_notify import Supervision
from gateway.web.server.server import WATCHDOG, Server, build_config
from tests.faults.wire import Recorder

ROOT = Path(__file__).parents[3]


def test_uvicorn_is_pinned_to_the_minor_release_whose_private_parts_are_built_upon() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (pin,) = (each for each in project["dependencies"] if each.startswith("uvicorn"))
    match = re.fullmatch(r"uvicorn>=0\.(\d+),<0\.(\d+)", pin)

    assert match
    assert int(match[2]) == int(match[1]) + 1
    assert version("uvicorn").startswith(f"0.{match[1]}.")


@pytest.mark.parametrize(("watchdog_seconds", "tasks"), [(30.0, [WATCHDOG]), (0.0, [])])
async def test_the_watchdog_is_fed_by_a_background_task_of_the_gateways(
    watchdog_seconds: float, tasks: list[str]
) -> None:
    failures: list[TaskFailure] = []
    background = Background(failures.append)
    settings = ServerSettings(host="127.0.0.1", port=0, trusted_proxies=(), public_url="", metrics_networks=())
    seen: list[str] = []

    def stop() -> None:
        seen.extend(task.name for task in background.tasks)
        server.should_exit = True

    server = Server(
        build_config(Recorder(), settings),
        stop,
        supervision=Supervision(watchdog_seconds=watchdog_seconds),
        background=background,
    )
    with listen(settings.host, settings.port) as listener:
        await server.serve([listener])

    assert seen == tasks
    assert failures == []
    assert not any(task.is_failing for task in background.tasks)
