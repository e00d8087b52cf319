"""gateway serve under a supervisor: an inherited listener, what the supervisor is told, and SIGHUP."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.store.sqlite.instance_lock import ENDED, SERVING
from tests import plain_http
from tests.cli.conftest import Airbyte, Cli, wait_until
from tests.faults.wire import read_answer, read_to_end, request, send, talk
from tests.supervision import Supervisor, stop, supervising
from tests.support import BOUND_SECONDS

OLDEST = Path(__file__).parent.parent / "store" / "sqlite" / "schema_1.sql"
SUPERVISED = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}


@pytest.fixture
def supervisor(cli: Cli) -> Iterator[Supervisor]:
    with supervising(cli.folder) as supervisor:
        yield supervisor


def health(supervisor: Supervisor) -> httpx2.Response:
    return plain_http.get(f"{supervisor.address}/healthz")


def log_lines(supervisor: Supervisor, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in supervisor.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_the_inherited_listener_is_served_and_outlives_the_process(supervisor: Supervisor) -> None:
    assert supervisor.listener
    address = supervisor.listener.getsockname()
    with supervisor.serving("--port", "1") as process:
        assert health(supervisor).status_code == 200
        wait_until(lambda: f'"address":"{supervisor.address}"' in supervisor.log.read_text())
        with socket.create_connection(address) as kept:
            send(kept, request("/healthz"))
            assert "connection" not in read_answer(kept).headers
            process.send_signal(signal.SIGTERM)
            supervisor.notified.wait_for("STOPPING")
            # Who connects now waits for the next process, in which he is answered.
            with socket.create_connection(address) as waiting:
                send(waiting, request("/healthz"))
                assert process.wait(BOUND_SECONDS) == 0
                assert read_to_end(kept) == b""
                with supervisor.serving("--port", str(address[1])) as second:
                    assert read_answer(waiting).status == 200
                    assert stop(second) == 0
    # Told by the first alone, whose settings say something else.
    (line,) = log_lines(supervisor, "listens_elsewhere")
    assert line["settings"] == "http://127.0.0.1:1"


def test_what_the_supervisor_said_is_not_in_the_environment_any_more(supervisor: Supervisor) -> None:
    code = (
        "import os; from gateway.cli.options import supervision_of_this_process as take; "
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); s = take(); "
        "print(s.listeners, s.notify_address, s.watchdog_seconds, flush=True); os.execvp('env', ['env'])"
    )
    given = {**os.environ, "NOTIFY_SOCKET": "@somewhere", "WATCHDOG_USEC": "2000000"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True, timeout=BOUND_SECONDS)

    first, *variables = done.stdout.splitlines()
    assert first == "1 @somewhere 2.0"
    assert not SUPERVISED & {line.partition("=")[0] for line in variables}


def test_a_migration_at_the_start_is_told_so_that_it_is_not_broken_off(cli: Cli) -> None:
    cli.database.unlink()
    with closing(sqlite3.connect(cli.database)) as connection:
        connection.executescript(OLDEST.read_text(encoding="utf-8"))
    with supervising(cli.folder) as supervisor, supervisor.serving() as process:
        stop(process)
        messages = supervisor.notified.messages[: supervisor.notified.wait_for("READY")]

    told = [message["STATUS"] for message in messages if message.get("EXTEND_TIMEOUT_USEC") == "600000000"]
    for status in ("Copying the database: 100 %", "Migrating the database: 0 %", "Checking the database: 100 %"):
        assert status in told


@pytest.mark.parametrize("abstract", [False, True])
def test_without_a_listener_of_its_own_it_still_tells_that_it_is_ready(cli: Cli, *, abstract: bool) -> None:
    with (
        supervising(cli.folder, socket_activated=False, abstract=abstract) as supervisor,
        supervisor.serving("--port", "0") as process,
    ):
        assert supervisor.notified.messages[-1] == {"READY": "1", "STATUS": "Serving"}
        assert health(supervisor).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(BOUND_SECONDS) == 0
        supervisor.notified.wait_for("STOPPING")


def test_who_is_watched_says_that_he_lives(supervisor: Supervisor) -> None:
    with supervisor.serving(WATCHDOG_USEC="200000") as process:
        first = supervisor.notified.wait_for("WATCHDOG")
        supervisor.notified.wait_for("WATCHDOG", after=supervisor.notified.wait_for("WATCHDOG", after=first + 1) + 1)
        assert stop(process) == 0


def test_a_watchdog_for_another_process_is_not_fed(supervisor: Supervisor) -> None:
    with supervisor.serving(WATCHDOG_USEC="200000", WATCHDOG_PID="1") as process:
        assert health(supervisor).status_code == 200
        assert stop(process) == 0

    assert not [message for message in supervisor.notified.messages if "WATCHDOG" in message]


def test_an_inherited_socket_that_is_none_to_listen_on_is_one_line(cli: Cli) -> None:
    with supervising(cli.folder, socket_activated=False) as supervisor, socket.socket() as other:
        unfit = Supervisor(cli.folder, other, supervisor.notified)
        assert unfit.start().wait(BOUND_SECONDS) == 1

    assert json.loads(unfit.log.read_text())["error"] == "the inherited descriptor 3 is no listening TCP socket"


def test_a_hang_up_applies_what_may_change_and_drops_no_request(supervisor: Supervisor, cli: Cli) -> None:
    assert supervisor.listener
    cli.ok("client", "add", "--name", "Acme Inc", "--slug", "acme")
    key = cli.ok("key", "create", "--client", "acme", "--name", "test").stdout.strip()
    ask = request("/api/v1/status", f"Authorization: Bearer {key}")
    address = supervisor.listener.getsockname()
    toml = cli.settings.read_text()
    with supervisor.serving() as process, socket.create_connection(address) as kept:
        send(kept, ask[:-2])
        began = len(supervisor.notified.messages)
        cli.settings.write_text(f'{toml}\n[rate_limit]\nrequests = 7\n[log]\nlevel = "debug"\n[server]\nport = 1\n')
        process.send_signal(signal.SIGHUP)
        reloading = supervisor.notified.wait_for("RELOADING", after=began)
        ready = supervisor.notified.wait_for("READY", after=reloading)
        send(kept, ask[-2:])
        answer = read_answer(kept)

        cli.settings.write_text("[rate_limit\nrequests = 1000")
        process.send_signal(signal.SIGHUP)
        refused = supervisor.notified.wait_for("READY", after=ready + 1)
        (later,) = talk(address, request("/api/v1/status", f"Authorization: Bearer {key}", "Connection: close"))
        assert stop(process) == 0

    assert (answer.status, answer.headers["ratelimit-policy"]) == (200, '"default";q=7;w=60')
    assert (later.status, later.headers["ratelimit-policy"]) == (200, '"default";q=7;w=60')
    assert supervisor.notified.messages[ready]["STATUS"] == "Serving; waiting for a restart: server.port"
    assert supervisor.notified.messages[refused]["STATUS"] == "Serving with the old settings; the log says why"
    (line,) = log_lines(supervisor, "settings_reloaded")
    assert (line["applied"], line["needs_restart"]) == (["log.level", "rate_limit.requests"], ["server.port"])
    (line,) = log_lines(supervisor, "settings_refused")
    assert "not valid TOML" in line["detail"]


def test_a_secret_in_a_file_is_rotated_by_a_hang_up(connected: Cli, airbyte: Airbyte) -> None:
    secret = connected.folder / "secret"
    secret.write_text("wrong\n")
    connected.settings.write_text(airbyte.settings_toml(client_secret=""))
    connected.ok("client", "add", "--name", "Acme Inc", "--slug", "acme")
    theirs = airbyte.sandbox.world.add_connection(airbyte.sandbox.world.add_workspace("Work").workspace_id)
    words = ["connection", "add", "--client", "acme", "--connector-type", "shopify", "--label", "Shop"]
    own = connected.json(*words, "--airbyte-id", theirs.connection_id)["id"]
    key = connected.ok("key", "create", "--client", "acme", "--name", "test").stdout.strip()

    def jobs(supervisor: Supervisor) -> int:
        url = f"{supervisor.address}/api/v1/connections/{own}/jobs"
        answer = plain_http.get(url, headers={"Authorization": f"Bearer {key}"})
        return answer.status_code

    with supervising(connected.folder) as supervisor:
        with supervisor.serving(GATEWAY_AIRBYTE_CLIENT_SECRET_FILE=str(secret)) as process:
            before = jobs(supervisor)
            secret.write_text("sandbox-secret\n")
            process.send_signal(signal.SIGHUP)
            supervisor.notified.wait_for("READY", after=supervisor.notified.wait_for("RELOADING"))
            after = jobs(supervisor)
        log = supervisor.log.read_text()

    assert (before, after) == (502, 200)
    assert "sandbox-secret" not in log


def test_a_hang_up_before_the_server_runs_is_neither_fatal_nor_lost(supervisor: Supervisor, cli: Cli) -> None:
    process = supervisor.start()
    try:
        # From the moment on that the signal is caught.
        wait_until(lambda: catches_hang_ups(process.pid) or process.poll() is not None)
        process.send_signal(signal.SIGHUP)
        supervisor.notified.wait_for("READY", after=supervisor.notified.wait_for("RELOADING"))
        assert health(supervisor).status_code == 200
        assert stop(process) == 0
    finally:
        process.kill()
        process.wait()


def catches_hang_ups(process_id: int) -> bool:
    """And its child does, if it is what unpacked a one-file binary: that hands on whatever it is told."""
    caught = int(status_of(process_id).partition("SigCgt:")[2].split()[0], 16)
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return bool(caught >> (signal.SIGHUP - 1) & 1) and all(catches_hang_ups(int(child)) for child in children)


def status_of(process_id: int) -> str:
    return Path(f"/proc/{process_id}/status").read_text()


def test_a_gateway_that_was_stopped_has_closed_the_database_and_one_that_was_killed_has_not(
    supervisor: Supervisor, cli: Cli
) -> None:
    lock = Path(f"{cli.database}.lock")
    with supervisor.serving() as process:
        assert lock.read_bytes() == SERVING
        assert stop(process) == 0
    assert lock.read_bytes() == ENDED

    with supervisor.serving() as process:
        process.kill()
        process.wait(BOUND_SECONDS)
    assert lock.read_bytes() == SERVING


@pytest.mark.parametrize(
    ("mend", "reason"),
    [
        (lambda cli: cli.settings.write_text("[server]\nprot = 1\n"), "unknown key 'prot' in [server]"),
        (lambda cli: cli.database.unlink(), "no such database"),
    ],
    ids=["settings", "database"],
)
def test_who_calls_a_gateway_that_cannot_start_is_answered(
    supervisor: Supervisor, cli: Cli, mend: Callable[[Cli], object], reason: str
) -> None:
    assert supervisor.listener
    address = supervisor.listener.getsockname()
    mend(cli)
    with (
        socket.create_connection(address) as waiting,
        socket.create_connection(address) as silent,
        socket.create_connection(address) as compatible,
    ):
        send(waiting, request("/api/v1/status"))
        send(compatible, request("/api/public/v1/jobs"))
        process = supervisor.start()
        answers = [read_answer(waiting), read_answer(silent)]
        problem = json.loads(read_answer(compatible).body)
        status = process.wait(BOUND_SECONDS)

    assert [(answer.status, answer.body) for answer in answers] == [(503, b'{"error":"Service is not running"}')] * 2
    assert (problem["status"], problem["detail"]) == (503, "Service is not running")
    assert answers[0].headers["retry-after"] == "5"
    assert status == 1
    assert supervisor.log.read_text().count(reason) == 1
    assert supervisor.notified.messages[-1]["STATUS"].startswith("Cannot start: ")
