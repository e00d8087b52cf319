"""Several processes on one socket: started, replaced and ended together, and only with what they share."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.cli.conftest import Program, running, wait_until
from tests.faults.installation import key_header, sandbox_airbyte
from tests.postgres import PostgresServer
from tests.supervision import stop, supervising
from tests.support import BOUND_SECONDS
from tests.together.support import FleetInstallation, prepared, undisturbed
from tests.valkey import ValkeyServer, running_valkey

WORKERS = 2
PARENT = """
import os, pathlib, signal, socket, sys, tempfile, time
from gateway.errors import OperatorError
from gateway.web.server.sd_notify import Supervision
from gateway.web.server.workers import Workers

folder = pathlib.Path(tempfile.mkdtemp())

def workers(script, seconds=0.0):
    listener = socket.create_server(("127.0.0.1", 0))
    supervision = Supervision(watchdog_seconds=seconds)
    command = [sys.executable, "-c", script, str(folder / "mark")]
    return Workers(command, dict(os.environ), listener, supervision, time.monotonic)
"""
HOPELESS = """
try:
    script = "import os, time; time.sleep(60) if os.environ['NOTIFY_SOCKET'].endswith('0') else os._exit(3)"
    workers(script).run(2, folder, lambda: print("ready"))
except OperatorError as error:
    print(error)
"""
"""One of two ends at once; the other would stay."""
SILENT_WORKER = """
import os, pathlib, signal, socket, sys, time
mark = pathlib.Path(sys.argv[1])
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
if mark.exists():
    print("ready again", flush=True)
    os.kill(os.getppid(), signal.SIGTERM)
mark.touch()
time.sleep(60)
"""
"""Says once that it is ready and no more; its successor has the parent end."""
SILENT = f"workers({SILENT_WORKER!r}, 1.0).run(1, folder, lambda: print('ready', flush=True))"


INTERRUPTED = """
import threading
real = signal.signal

def slow(number, handler):
    if handler is signal.SIG_DFL:
        time.sleep(0.5)
    return real(number, handler)

signal.signal = slow
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
workers("import time; time.sleep(60)").run(1, folder, lambda: print("ready"))
print("ended")
"""
"""The signal is handed on while the worker is still becoming one."""


@dataclass
class Place:
    """Where workers may run."""

    installation: FleetInstallation
    valkey: ValkeyServer

    @contextmanager
    def served(self, **env: str) -> Iterator[tuple[Program, str]]:
        workers = {"GATEWAY_SERVER_WORKERS": str(WORKERS), **env}
        with running("serve", "--port", "0", folder=self.installation.folder, **workers) as program:
            match = program.wait_for_line(program.err, r"^Listening on (http://127\.0\.0\.1:[1-9]\d*)$")
            yield program, match[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("workers")
    (folder / "valkey").mkdir()
    with sandbox_airbyte() as airbyte, running_valkey(folder / "valkey") as valkey:
        yield Place(prepared(folder, airbyte, postgres.new_database(), valkey), valkey)


@pytest.fixture(scope="module")
def two(place: Place) -> Iterator[tuple[Program, str]]:
    """The program, and where it listens."""
    with place.served() as served:
        yield served


def children_of(process_id: int) -> set[int]:
    text = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    return {int(number) for number in text.split()}


def runs(process_id: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return False


def answers(address: str, key: str) -> bool:
    return httpx2.get(f"{address}/api/v1/status", headers=key_header(key), timeout=BOUND_SECONDS).status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"GATEWAY_RATE_LIMIT_BACKEND": "redis://127.0.0.1:9/0"},
        {"GATEWAY_DATABASE_URL": "postgresql://127.0.0.1:9/gateway"},
    ],
)
def test_without_what_they_share_several_are_refused(tmp_path: Path, settings: dict[str, str]) -> None:
    with running("serve", folder=tmp_path, GATEWAY_SERVER_WORKERS="2", **settings) as program:
        assert program.wait() == 1

    (line,) = program.err
    assert line == (
        "Error: environment: GATEWAY_SERVER_WORKERS: 2 processes need a database and a limit that they share: "
        "set database.url to postgresql://… and rate_limit.backend to redis://…"
    )


def test_two_answer_on_one_socket_and_count_together(place: Place, two: tuple[Program, str]) -> None:
    program, address = two
    # Each on a connection of its own, so that both take part.
    with httpx2.Client(timeout=BOUND_SECONDS, headers={"Connection": "close"}) as client:
        wait_until(lambda: client.get(f"{address}/readyz").json()["gateways"] == WORKERS)

        def counted() -> list[int]:
            headers = key_header(place.installation.key("50/86400"))
            return [client.get(f"{address}/api/v1/status", headers=headers).status_code for _ in range(60)]

        codes = undisturbed(counted, lambda: sum("shared_backend_unavailable" in line for line in program.err))

    assert len(children_of(program.process.pid)) == WORKERS
    assert codes == [200] * 50 + [429] * 10
    assert sum(line.startswith("Listening on") for line in program.err) == 1
    assert sum("There is no admin yet" in line for line in program.err) == 1


def test_a_hang_up_reaches_every_worker(two: tuple[Program, str]) -> None:
    program, _ = two
    program.send(signal.SIGHUP)

    wait_until(lambda: sum('"event":"settings_reloaded"' in line for line in program.err) == WORKERS)

    assert len(children_of(program.process.pid)) == WORKERS


def test_one_that_was_killed_is_replaced_while_the_other_answers(place: Place, two: tuple[Program, str]) -> None:
    program, address = two
    key = place.installation.key()
    before = children_of(program.process.pid)
    os.kill(min(before), signal.SIGKILL)
    wait_until(lambda: min(before) not in children_of(program.process.pid))
    assert answers(address, key)
    wait_until(lambda: len(children_of(program.process.pid)) == WORKERS)
    (replacement,) = children_of(program.process.pid) - before
    program.wait_for_line(program.err, r'"event":"worker_ended"')
    # What answers while the other is stopped is the replacement.
    os.kill(max(before), signal.SIGSTOP)
    try:
        wait_until(lambda: answers(address, key))
    finally:
        os.kill(max(before), signal.SIGCONT)
    assert runs(replacement)


def test_when_the_parent_is_killed_the_port_is_free_again(place: Place) -> None:
    with place.served() as (program, address):
        workers = children_of(program.process.pid)
        program.process.kill()
        program.wait()
        wait_until(lambda: not any(map(runs, workers)))

    port = int(re.findall(r":(\d+)$", address)[0])
    with running("serve", "--port", str(port), folder=place.installation.folder) as again:
        again.wait_for_line(again.err, r"^Listening on ")


def test_what_refuses_one_gateway_refuses_all_workers_in_one_line(place: Place) -> None:
    with running(
        "serve",
        "--port",
        "0",
        folder=place.installation.folder,
        GATEWAY_SERVER_WORKERS="2",
        GATEWAY_DATABASE_URL="postgresql://127.0.0.1:9/gateway",
    ) as program:
        assert program.wait() == 1

    assert [line for line in program.err if line.startswith("Error: ")] == program.err
    assert not any("Traceback" in line for line in program.err)


def parent_of(script: str) -> list[str]:
    """The last word of each line that a parent of workers prints, run to its end."""
    result = subprocess.run(
        [sys.executable, "-c", PARENT + script], capture_output=True, text=True, timeout=BOUND_SECONDS, check=True
    )
    return [line.split(" ")[-1] for line in result.stdout.splitlines()]


def test_when_one_cannot_start_all_are_ended() -> None:
    assert parent_of(HOPELESS) == ["worker=1", "why"]


def test_a_signal_that_comes_while_a_worker_is_born_is_not_lost() -> None:
    assert parent_of(INTERRUPTED) == ["ended"]


def test_one_who_falls_silent_is_killed_and_replaced() -> None:
    assert parent_of(SILENT) == ["ready", "worker=0", "worker=0", "again"]


def test_a_supervisor_hears_when_all_are_ready_and_keeps_its_socket(place: Place) -> None:
    key = place.installation.key()
    with supervising(place.installation.folder) as supervisor:
        for _ in range(2):
            with supervisor.serving(GATEWAY_SERVER_WORKERS=str(WORKERS), WATCHDOG_USEC="20000000") as process:
                workers = children_of(process.pid)
                assert len(workers) == WORKERS
                supervisor.notified.wait_for("WATCHDOG")
                assert answers(supervisor.address, key)
                assert stop(process) == 0
                assert not any(map(runs, workers))
        supervisor.notified.wait_for("STOPPING")
