"""gateway demo."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import plain_http
from tests.cli.conftest import Program, environment, finished, running
from tests.ports import free_port
from tests.support import BOUND_SECONDS

LAST_LINE = r"^Everything is gone when you stop it"
CURL = """\
#!{python}
import argparse, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("-sS", action="store_true")
parser.add_argument("-H")
parser.add_argument("-X", default="GET")
parser.add_argument("url")
given = parser.parse_args()
request = urllib.request.Request(given.url, headers=dict([given.H.split(": ")]), method=given.X)
print(urllib.request.urlopen(request).read().decode(), end="")
"""
"""Stands in where the machine has no curl: what the printed lines use of it."""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the demo's temporary folder will be."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@contextmanager
def demo(folder: Path, temporary: Path, *arguments: str) -> Iterator[Program]:
    with running("demo", *(arguments or ["--port", "0"]), folder=folder, TMPDIR=str(temporary)) as program:
        program.wait_for_line(program.out, LAST_LINE)
        yield program


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """The folder the demo is started in."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def path_with_curl(tmp_path: Path) -> str:
    path = os.environ["PATH"]
    if shutil.which("curl"):
        return path
    folder = tmp_path / "bin"
    folder.mkdir()
    curl = folder / "curl"
    curl.write_text(CURL.format(python=sys.executable))
    curl.chmod(curl.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{path}"


def pasted(program: Program, path: str) -> list[str]:
    """What the printed curl lines answer in a shell, in order."""
    lines = [line.strip() for line in program.out if line.strip().startswith("curl ")]
    return [
        subprocess.run(  # noqa: S602 - a person pastes them into a shell
            line,
            shell=True,
            env=environment(PATH=path, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for line in lines
    ]


def test_the_printed_lines_work_when_pasted(empty: Path, temporary: Path, path_with_curl: str) -> None:
    with demo(empty, temporary) as program:
        status, connections, triggered, jobs = map(json.loads, pasted(program, path_with_curl))

    assert status["client"]["name"] == "Acme Inc"
    assert status["connections"] == len(connections["data"]) == 7
    assert status["last_sync_at"] is not None
    assert all(row["last_sync_at"] is not None for row in connections["data"])
    assert triggered["job"]["jobType"] == "sync"
    assert triggered["job"]["status"] in {"pending", "running"}
    assert len(jobs["data"]) == 3
    assert jobs["data"][0]["jobId"] == triggered["job"]["jobId"]
    assert {row["connectionId"] for row in jobs["data"]} == {triggered["job"]["connectionId"]}


def test_the_printed_documentation_is_there(empty: Path, temporary: Path) -> None:
    with demo(empty, temporary) as program:
        address = program.wait_for_line(program.out, r"^Documentation: (.+)$")[1]

        answer = plain_http.get(address)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_the_operator_sees_a_failure_a_late_connection_and_a_delivered_event(empty: Path, temporary: Path) -> None:
    with demo(empty, temporary) as program:
        *_, link = (line.strip() for line in program.out if "/dashboard/link/" in line)
        address = link.partition("/dashboard/")[0]
        cookies = {"Cookie": plain_http.get(link).headers["set-cookie"].partition(";")[0]}
        overview = plain_http.get(f"{address}/dashboard/admin", headers=cookies).text
        webhooks = f"{address}/dashboard/admin/clients/acme/webhooks"
        webhook = re.search(r"whk_\w+", plain_http.get(webhooks, headers=cookies).text)
        assert webhook
        page = until_delivered(f"{webhooks}/{webhook[0]}", cookies)

    assert "The last sync failed" in overview
    assert "Zendesk" in overview
    assert "A sync is late" in overview
    assert "webhook.test" in page


def until_delivered(address: str, cookies: dict[str, str]) -> str:
    """The page of a webhook once its first event is delivered."""
    end = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < end:
        page = plain_http.get(address, headers=cookies).text
        if 'class="badge succeeded"' in page:
            return page
        time.sleep(0.1)
    raise AssertionError("nothing was delivered")


def test_the_key_is_printed_on_stdout_only(empty: Path, temporary: Path, path_with_curl: str) -> None:
    with demo(empty, temporary) as program:
        key = program.wait_for_line(program.out, r"^  (smrt_\w{36})$")[1]
        pasted(program, path_with_curl)

    assert key not in "".join(program.err)


def test_writes_nothing_into_the_folder_it_is_started_in(empty: Path, temporary: Path) -> None:
    with demo(empty, temporary):
        assert list(empty.iterdir()) == []

    assert list(empty.iterdir()) == []


def test_takes_no_notice_of_an_installation_in_the_folder(empty: Path, temporary: Path, path_with_curl: str) -> None:
    settings = '[airbyte]\nbase_url = "http://127.0.0.1:9"\n[database]\nurl = "sqlite:///precious.db"\n'
    (empty / "settings.toml").write_text(settings)
    with demo(empty, temporary) as program:
        assert len(pasted(program, path_with_curl)) == 4

    assert [path.name for path in empty.iterdir()] == ["settings.toml"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_leaves_no_temporary_folder_behind(empty: Path, temporary: Path, number: signal.Signals) -> None:
    with demo(empty, temporary) as program:
        assert len(list(temporary.glob("gateway-demo-*"))) == 1
        program.send(number)
        status = program.wait()

    assert list(temporary.iterdir()) == []
    assert status in {0, -number}
    assert "Traceback" not in "".join(program.err)


def test_listens_where_it_is_told(empty: Path, temporary: Path) -> None:
    port = free_port()
    with demo(empty, temporary, "--port", str(port)) as program:
        program.wait_for_line(program.out, rf"^The gateway runs at http://127\.0\.0\.1:{port} for Acme Inc")


def test_a_port_in_use_is_one_line_and_leaves_nothing_behind(empty: Path, temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = finished("demo", "--port", str(port), folder=empty, TMPDIR=str(temporary))

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == (
        f"Error: cannot listen on 127.0.0.1:{port}: Address already in use; choose another port with --port"
    )
    assert "Traceback" not in result.stderr
    assert list(temporary.iterdir()) == []
