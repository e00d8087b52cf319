"""The scripts of the documentation that start a sync and wait for its end, as its page shows them and as they run."""

import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.sandbox import Answer
from gateway.sandbox.history import JobQuery
from gateway.sandbox.timeline import Pace
from tests import plain_http
from tests.cli.conftest import wait_until
from tests.faults.installation import Installation, Served, install, sandbox_airbyte
from tests.support import BOUND_SECONDS

TRIES_OF_A_READ = 2
"""At Airbyte, for one call to the gateway."""
LONGEST_SECONDS = 3 * BOUND_SECONDS
COMMANDS = {"sh": ["sh"], "py-txt": [sys.executable], "mjs": ["node"]}
"""By the end of the script's name on the page."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with sandbox_airbyte() as airbyte:
        airbyte.sandbox.world.pace = Pace(pending_seconds=0.5, running_seconds=1.0)
        yield install(tmp_path_factory.mktemp("scripts"), airbyte)


@pytest.fixture(scope="module")
def served(installation: Installation) -> Iterator[Served]:
    with installation.serve() as running:
        yield running


@pytest.fixture(params=COMMANDS)
def language(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(COMMANDS[name][0]) is None:
        pytest.skip(f"{COMMANDS[name][0]} is not installed")
    return name


def run(served: Served, language: str, ours: str, key: str) -> subprocess.CompletedProcess[str]:
    """Run the script that the gateway's own page shows."""
    page = plain_http.get(f"{served.address}/docs/getting-started").text
    (shown,) = re.findall(f'<code id="trigger-and-wait-{language}">(.*?)</code>', page, re.DOTALL)
    script = served.log.with_name(f"script.{language.replace('-', '.')}")
    script.write_text(html.unescape(shown))
    return subprocess.run(
        [*COMMANDS[language], str(script)],
        env={"PATH": os.environ["PATH"], "HOME": str(script.parent), "API_KEY": key, "CONNECTION": ours},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )


def test_a_sync_is_started_once_and_its_end_told(installation: Installation, served: Served, language: str) -> None:
    key = installation.key()
    ((ours, theirs),) = installation.connections(1)
    result = run(served, language, ours, key)

    (job_id,) = jobs_of(installation, theirs)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"Sync {job_id} succeeded" in result.stdout


def test_a_sync_that_fails_makes_the_script_fail(installation: Installation, served: Served, language: str) -> None:
    key = installation.key()
    ((ours, theirs),) = installation.connections(1)
    connections = installation.airbyte.sandbox.world.connections
    connections[theirs] = replace(connections[theirs], outcome="fails")
    result = run(served, language, ours, key)

    (job_id,) = jobs_of(installation, theirs)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"Sync {job_id} failed" in result.stderr


def test_a_script_that_is_too_fast_waits(installation: Installation, served: Served, language: str) -> None:
    key = installation.stage("key", "create", "--client", "acme", "--name", "slow", "--rate", "1/2")
    ((ours, theirs),) = installation.connections(1)
    before = len(served.log.read_text())
    result = run(served, language, ours, key)

    assert len(jobs_of(installation, theirs)) == 1
    assert (result.returncode, result.stderr) == (0, "")
    wait_until(lambda: '"status":429' in served.log.read_text()[before:])


def test_answers_that_are_lost_end_nothing_and_start_no_second_sync(
    installation: Installation, served: Served, language: str
) -> None:
    key = installation.key()
    ((ours, theirs),) = installation.connections(1)
    installation.airbyte.sandbox.faults.answer_with(
        Answer.html(502), when=lambda method, path: method == "POST" and path.endswith("/jobs")
    )
    installation.airbyte.sandbox.faults.answer_with(
        Answer.html(502),
        times=TRIES_OF_A_READ,
        when=lambda method, path: method == "GET" and path.endswith("/jobs"),
    )
    before = len(served.log.read_text())
    result = run(served, language, ours, key)

    assert len(jobs_of(installation, theirs)) == 1
    assert (result.returncode, result.stderr) == (0, "")
    wait_until(lambda: '"status":502' in served.log.read_text()[before:])
    wait_until(lambda: '"status":504' in served.log.read_text()[before:])


def test_what_cannot_be_mended_is_told(installation: Installation, served: Served, language: str) -> None:
    ((ours, _),) = installation.connections(1)
    result = run(served, language, ours, "smrt_wrong")

    assert (result.returncode, result.stdout) == (1, "")
    assert "HTTP 401" in result.stderr


def jobs_of(installation: Installation, airbyte_id: str) -> list[int]:
    history = installation.airbyte.sandbox.world.history
    return [job.job_id for job, _ in history.select(JobQuery(connection_id=airbyte_id))]
