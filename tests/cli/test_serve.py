"""gateway serve."""

import asyncio
import fcntl
import json
import os
import pty
import re
import resource
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from gateway import __version__
from tests import plain_http
from tests.cli.conftest import Airbyte, Cli, Program, finished, listens, running, wait_until
from tests.ports import free_port
from tests.support import BOUND_SECONDS, PROGRAM

LISTENING = r'"address":"(http://127\.0\.0\.1:[1-9]\d*)",.*"event":"listening"'


@contextmanager
def serving_gateway(cli: Cli, **env: str) -> Iterator[tuple[Program, str]]:
    """`gateway serve` in a process of its own, and its address."""
    with running("serve", "--port", "0", folder=cli.folder, **env) as program:
        yield program, program.wait_for_line(program.err, LISTENING)[1]


@pytest.fixture
def key(cli: Cli) -> str:
    """A key of the client `acme`."""
    cli.ok("client", "add", "--name", "Acme Inc", "--slug", "acme")
    return cli.ok("key", "create", "--client", "acme", "--name", "test").stdout.strip()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def status(address: str, key: str) -> httpx2.Response:
    return plain_http.get(f"{address}/api/v1/status", headers=bearer(key))


def mapped_connection(cli: Cli, airbyte: Airbyte) -> str:
    world = airbyte.sandbox.world
    theirs = world.add_connection(world.add_workspace("Work").workspace_id).connection_id
    world.add_job(theirs)
    words = ["connection", "add", "--client", "acme", "--connector-type", "shopify", "--label", "Shop"]
    own = cli.json(*words, "--airbyte-id", theirs)["id"]
    assert isinstance(own, str)
    return own


def test_answers_on_a_real_port(cli: Cli, key: str) -> None:
    with serving_gateway(cli) as (program, address):
        good, bad = status(address, key), plain_http.get(f"{address}/api/v1/status")

    assert good.status_code == 200
    assert good.json()["client"]["slug"] == "acme"
    assert (bad.status_code, bad.json()) == (401, {"error": "Unauthorized — invalid or missing API key"})
    assert program.out == []


def test_answers_carry_one_date_and_no_word_about_the_server(cli: Cli, key: str) -> None:
    with serving_gateway(cli) as (_, address):
        answer = status(address, key)

    assert len(answer.headers.get_list("date")) == 1
    assert "server" not in answer.headers


def test_host_and_port_may_come_from_the_settings(cli: Cli, key: str) -> None:
    port = free_port()
    cli.settings.write_text(f'[server]\nhost = "127.0.0.1"\nport = {port}\n')

    with running("serve", folder=cli.folder) as program:
        address = program.wait_for_line(program.err, LISTENING)[1]

        assert address == f"http://127.0.0.1:{port}"
        assert status(address, key).status_code == 200


def test_an_empty_secret_or_an_airbyte_that_is_unavailable_hinders_no_start(cli: Cli, key: str) -> None:
    cli.settings.unlink()

    with serving_gateway(cli) as (_, address):
        assert status(address, key).status_code == 200


def assert_one_line(folder: Path, *arguments: str, words: str) -> None:
    """The command ends at once: one line on stderr, exit 1."""
    result = finished("serve", *(arguments or ("--port", "0")), folder=folder)

    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    told = json.loads(result.stderr)
    assert (told["event"], told["level"]) == ("not_started", "error")
    assert words in told["error"]


def test_a_missing_database_is_one_line(tmp_path: Path) -> None:
    assert_one_line(tmp_path, words="no such database; create it with: gateway init")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a database, just text\n" * 100], ids=["empty", "text"])
def test_a_wrong_file_is_one_line_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(content)

    assert_one_line(tmp_path, words="not a gateway database")
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").mkdir()

    assert_one_line(tmp_path, words="gateway.db: ")


def test_a_port_in_use_is_one_line(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert_one_line(
            cli.folder,
            *("--port", str(port)),
            words=f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another port with --port",
        )


def test_a_host_that_is_not_ours_is_one_line(cli: Cli) -> None:
    assert_one_line(
        cli.folder,
        *("--host", "192.0.2.1", "--port", "0"),
        words="Cannot assign requested address; choose an address of this machine with --host",
    )


def test_a_second_gateway_on_the_same_database_leaves_the_first_alone(cli: Cli, key: str) -> None:
    with serving_gateway(cli) as (_, address):
        assert_one_line(cli.folder, "--port", "0", words="in use by another gateway")

        assert status(address, key).status_code == 200


def test_variables_of_uvicorn_and_of_platforms_change_nothing(cli: Cli, key: str) -> None:
    foreign = {
        "WEB_CONCURRENCY": "4",
        "UVICORN_WORKERS": "4",
        "UVICORN_HOST": "0.0.0.0",
        "UVICORN_PORT": "1",
        "UVICORN_LIMIT_CONCURRENCY": "1",
        "UVICORN_ROOT_PATH": "/elsewhere",
        "UVICORN_PROXY_HEADERS": "true",
        "FORWARDED_ALLOW_IPS": "*",
        "PORT": "1",
    }
    # So slowly refilled that no token comes back while the test runs.
    with serving_gateway(cli, **foreign, GATEWAY_RATE_LIMIT_PER_SECONDS="86400") as (_, address):
        page = plain_http.get(f"{address}/docs/api", headers={"X-Forwarded-Proto": "https"})
        # Each on a socket connection of its own: several processes would share them out, each with its own limit.
        codes = [status(address, key).status_code for _ in range(101)]

    assert address in page.text
    assert address.replace("http:", "https:") not in page.text
    assert codes == [200] * 100 + [429]


def test_a_key_revoked_by_another_process_is_refused_on_the_next_request(cli: Cli, key: str) -> None:
    with serving_gateway(cli) as (_, address):
        assert status(address, key).status_code == 200
        key_id = cli.json("key", "list")[0]["id"]

        done = finished("key", "revoke", key_id, "--yes", folder=cli.folder)

        assert done.returncode == 0, done.stderr
        assert status(address, key).status_code == 401


def test_what_other_processes_add_and_remove_is_seen_at_once(cli: Cli, key: str) -> None:
    with serving_gateway(cli) as (_, address):
        assert status(address, key).json()["connections"] == 0
        cli.ok("connection", "add", "--client", "acme", "--connector-type", "shopify", "--label", "Shop")
        assert status(address, key).json()["connections"] == 1

        second = cli.ok("key", "create", "--client", "acme", "--name", "second").stdout.strip()
        assert status(address, second).status_code == 200

        cli.ok("client", "remove", "acme", "--yes")
        assert status(address, key).status_code == 401
        assert status(address, second).status_code == 401


def test_rotation_lets_both_keys_work_until_the_overlap_is_over(cli: Cli, key: str) -> None:
    with serving_gateway(cli) as (_, address):
        key_id = cli.json("key", "list")[0]["id"]
        second = cli.ok("key", "rotate", key_id, "--overlap", "24h").stdout.strip()
        assert [status(address, each).status_code for each in (key, second)] == [200, 200]

        second_id = cli.json("key", "list")[1]["id"]
        third = cli.ok("key", "rotate", second_id, "--overlap", "0s").stdout.strip()
        assert [status(address, each).status_code for each in (key, second, third)] == [200, 401, 200]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_the_request_under_way(
    connected: Cli, airbyte: Airbyte, key: str, number: signal.Signals
) -> None:
    own = mapped_connection(connected, airbyte)
    release = asyncio.Event()
    with serving_gateway(connected) as (program, address), ThreadPoolExecutor(1) as pool:
        airbyte.sandbox.requests.clear()
        airbyte.sandbox.faults.get_hang = release
        url = f"{address}/api/v1/connections/{own}/jobs"
        slow = pool.submit(plain_http.get, url, headers=bearer(key), timeout=60)
        try:
            wait_until(lambda: any("connectionId" in request.query for request in airbyte.sandbox.requests))
            program.send(number)
            wait_until(lambda: not listens(address))
            # A gateway that gave the request up would show it now; one that waits has nothing to show.
            ended, _ = wait([slow], timeout=1)
            assert not ended
        finally:
            airbyte.loop.call_soon_threadsafe(release.set)
        answer = slow.result()
        code = program.wait()

    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 1
    assert code in {0, -number}
    assert "Traceback" not in "".join(program.err)


def test_a_stop_does_not_wait_for_idle_connections(cli: Cli, key: str) -> None:
    with serving_gateway(cli) as (program, address), plain_http.client() as client:
        assert client.get(f"{address}/api/v1/status", headers=bearer(key)).status_code == 200

        program.send(signal.SIGTERM)

        assert program.wait() in {0, -signal.SIGTERM}


def test_the_last_use_of_a_key_is_written_at_a_stop(cli: Cli, key: str) -> None:
    with serving_gateway(cli) as (program, address):
        plain_http.get(f"{address}/api/v1/status", headers={**bearer(key), "User-Agent": "loader/2.1 (nightly)"})
        program.send(signal.SIGTERM)
        program.wait()

    (listed,) = cli.json("key", "list")
    head, row = cli.ok("key", "list").stdout.splitlines()
    assert listed["last_used_at"] is not None
    assert (listed["last_used_address"], listed["last_used_agent"]) == ("127.0.0.1", "loader/2.1 (nightly)")
    assert "last_used_at              last_used_address  last_used_agent" in head
    assert f"{listed['last_used_at']}  127.0.0.1          loader/2.1 (nightly)" in row


def test_the_log_is_one_json_line_for_each_request(cli: Cli, key: str) -> None:
    with serving_gateway(cli) as (program, address):
        for number in range(3):
            plain_http.get(f"{address}/api/v1/status", headers={**bearer(key), "X-Request-Id": f"request-{number}"})
        plain_http.get(f"{address}/nowhere", headers={"X-Request-Id": "request-3"})
        for number in range(4):
            program.wait_for_line(program.err, f"request-{number}")

    lines = [json.loads(line) for line in program.err]
    told = {line["request_id"]: line for line in lines if line["event"] == "request"}
    assert [line["request_id"] for line in lines if line["event"] == "request"] == list(told)
    assert {name: (line["route"], line["status"], line.get("client")) for name, line in told.items()} == {
        "request-0": ("/api/v1/status", 200, "acme"),
        "request-1": ("/api/v1/status", 200, "acme"),
        "request-2": ("/api/v1/status", 200, "acme"),
        "request-3": ("unmatched", 404, None),
    }
    assert {line["address"] for line in told.values()} == {"127.0.0.1"}


def test_start_and_stop_are_events_with_the_version(cli: Cli) -> None:
    with serving_gateway(cli) as (program, _):
        program.send(signal.SIGINT)
        program.wait()

    events = [json.loads(line) for line in program.err]
    told = [line["event"] for line in events if line.get("version") == __version__]
    assert told == ["listening", "stopping", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_that_other_programs_rotate_their_logs_by_ends_nothing(cli: Cli, number: signal.Signals) -> None:
    with serving_gateway(cli) as (program, address):
        program.send(number)
        answer = plain_http.get(f"{address}/healthz")

    assert answer.status_code == 200


def test_the_log_never_contains_a_key_wherever_a_caller_puts_it(cli: Cli, key: str) -> None:
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    with serving_gateway(cli, GATEWAY_LOG_LEVEL="debug") as (program, address):
        for number, text in enumerate((key, wrong)):
            plain_http.get(f"{address}/api/v1/status", headers=bearer(text))
            plain_http.get(f"{address}/api/v1/status?key={text}", headers=bearer(text))
            plain_http.get(f"{address}/api/v1/connections/{text}/jobs", headers=bearer(text))
            plain_http.get(f"{address}/{text}", headers={"X-Api-Key": text, "User-Agent": text, "Referer": text})
            plain_http.get(f"{address}/healthz", headers={"X-Request-Id": f"last-{number}"})
            program.wait_for_line(program.err, f"last-{number}")

    everything = "\n".join(program.err + program.out)
    assert key not in everything
    assert wrong not in everything
    assert key[9:-1] not in everything


def test_while_there_is_no_admin_a_log_names_the_command_and_no_link(cli: Cli) -> None:
    with serving_gateway(cli) as (program, _):
        told = json.loads(program.wait_for_line(program.err, '"event":"no_admin"').string)

    assert told["invite_one_by"] == "gateway user invite --admin --email ADDRESS"
    assert not any("/dashboard/link/" in line for line in program.err + program.out)
    assert not any("links" in row and "INSERT" in row for row in cli.dump())


def test_while_there_is_no_admin_a_terminal_shows_the_link_of_the_first(cli: Cli) -> None:
    links = [
        told_on_a_terminal(cli)["open_within_24_hours"],
        told_on_a_terminal(cli, GATEWAY_SERVER_PUBLIC_URL="https://gateway.example/airbyte/")["open_within_24_hours"],
    ]
    with serving_gateway(cli) as (_, address):
        pages = [
            plain_http.get(f"{address}/dashboard/link/{link.rpartition('/')[2]}", headers={"Accept": "text/html"})
            for link in links
        ]

    assert re.match(r"http://127\.0\.0\.1:\d+/dashboard/link/", links[0])
    assert links[1].startswith("https://gateway.example/airbyte/dashboard/link/")
    assert [page.status_code for page in pages] == [400, 200]
    assert "Set up the first admin" in pages[1].text


def told_on_a_terminal(cli: Cli, **env: str) -> dict[str, str]:
    """Start a gateway whose standard error is a terminal, and return what it says there of a missing admin."""
    ours, theirs = pty.openpty()
    command = [*PROGRAM, "serve", "--port", "0"]
    shown = ""
    with subprocess.Popen(command, cwd=cli.folder, stderr=theirs, env={**os.environ, **env}) as process:
        os.close(theirs)
        try:
            with os.fdopen(ours, encoding="utf-8") as terminal:
                while '"event":"no_admin"' not in shown:
                    shown = terminal.readline()
                process.terminate()
                with suppress(OSError):  # That of a terminal that nobody has open any more.
                    terminal.read()
            assert process.wait(BOUND_SECONDS) == 0
        finally:
            process.kill()
    return json.loads(shown)  # type: ignore[no-any-return]


def test_a_log_that_nobody_reads_holds_up_neither_answers_nor_the_stop(cli: Cli, key: str) -> None:
    """As with a stuck journald: what the pipe holds is written, what the gateway keeps is full, the rest is lost."""
    reads, writes = os.pipe()
    process = subprocess.Popen([*PROGRAM, "serve", "--port", "0"], cwd=cli.folder, stderr=writes)
    os.close(writes)
    try:
        with os.fdopen(reads, encoding="utf-8") as log:
            address = json.loads(log.readline())["address"]
            with plain_http.client(headers={**bearer(key), "X-Request-Id": "x" * 60}) as client:
                # More than a pipe holds: a gateway that writes by itself stands still from here on.
                for _ in range(fcntl.fcntl(reads, fcntl.F_GETPIPE_SZ) // 200 + 100):
                    client.get(f"{address}/api/v1/status")
                assert client.get(f"{address}/healthz").status_code == 200
            process.terminate()
            assert process.wait(BOUND_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def innermost(process: int) -> int:
    """Return the process that serves: the one-file binary's first one waits for its child, and holds no secret."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return innermost(int(children[0])) if children else process


def test_a_crash_leaves_no_dump_of_the_memory(cli: Cli) -> None:
    with serving_gateway(cli) as (program, _):
        assert resource.prlimit(innermost(program.process.pid), resource.RLIMIT_CORE) == (0, 0)


def test_once_there_is_an_admin_a_start_prints_no_link(cli: Cli, key: str) -> None:
    cli.ok("user", "invite", "--admin", "--email", "olga@operator.example")
    with serving_gateway(cli) as (program, address):
        assert status(address, key).status_code == 200

    assert not any("admin" in line for line in program.err)


def test_a_start_does_not_need_to_write_the_link_of_the_first_admin(cli: Cli) -> None:
    with closing(sqlite3.connect(cli.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        told = told_on_a_terminal(cli)

    assert "invite_one_by" in told
