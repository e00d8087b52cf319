"""The real program: stopping it in every state of a connection, and running it out of descriptors."""

import json
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from tests.faults.test_wire_limits import wait_until
from tests.faults.wire import (
    LAST,
    Address,
    Answer,
    answers_in,
    read_answer,
    read_to_end,
    request,
    send,
    talk,
    wait_for_listener,
)
from tests.support import BOUND_SECONDS, PROGRAM

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n"
HALF_BODY = b"POST /api/v1/connections/conn_x/sync HTTP/1.1\r\nHost: gateway\r\nContent-Length: 5\r\n\r\n"
DESCRIPTORS = 80


@contextmanager
def gateway(folder: Path, *, descriptors: int | None = None) -> Iterator[tuple[subprocess.Popen[str], Address]]:
    """`gateway serve` on a port of its own, in an empty folder."""
    subprocess.run([*PROGRAM, "init"], cwd=folder, check=True, capture_output=True)
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--port", "0"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        if descriptors is not None:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
        line = next(line for line in process.stderr if '"event":"listening"' in line)
        address = ("127.0.0.1", int(json.loads(line)["address"].rpartition(":")[2]))
        wait_for_listener(address)
        yield process, address
    finally:
        process.kill()
        process.wait(BOUND_SECONDS)
        process.stderr.close()


@contextmanager
def connected(address: Address, data: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(address, BOUND_SECONDS) as connection:
        send(connection, data)
        yield connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_closes_idle_connections_and_ends_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    with gateway(tmp_path) as (process, address), connected(address), connected(address, request("/healthz")) as idle:
        assert read_answer(idle).status == 200

        process.send_signal(number)

        assert read_to_end(idle) == b""
        assert process.wait(BOUND_SECONDS) == 0


def ask(address: Address, path: str) -> Answer:
    """The one answer, over a connection of its own."""
    (answer,) = talk(address, request(path, "Connection: close"))
    return answer


def test_before_a_stop_the_gateway_is_not_ready_and_answers_all_the_same(tmp_path: Path) -> None:
    with gateway(tmp_path) as (process, address), connected(address, request("/healthz")) as kept:
        assert "connection" not in read_answer(kept).headers
        assert ask(address, "/readyz").status == 200

        process.send_signal(signal.SIGTERM)

        while (ready := ask(address, "/readyz")).status == 200:
            os.sched_yield()
        assert (ready.status, ready.error) == (503, "Service is stopping")
        assert ready.headers["retry-after"] == "1"
        assert ask(address, "/healthz").status == 200
        send(kept, request("/healthz"))
        (last,) = answers_in(read_to_end(kept))
        assert (last.status, last.headers["connection"]) == (200, "close")
        wait_until_refused(address)
        assert process.wait(BOUND_SECONDS) == 0


def test_a_request_whose_head_is_half_received_at_a_stop_is_answered(tmp_path: Path) -> None:
    with gateway(tmp_path) as (process, address), connected(address, request("/healthz")) as connection:
        assert read_answer(connection).status == 200
        send(connection, HALF_HEAD)
        # Another connection's answer says that the server has read what was sent before.
        assert talk(address, LAST)[0].status == 404
        process.send_signal(signal.SIGTERM)
        wait_until_refused(address)
        send(connection, b"\r\n")

        (answer,) = answers_in(read_to_end(connection))

        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        assert process.wait(BOUND_SECONDS) == 0


def test_a_body_that_does_not_come_hinders_no_stop(tmp_path: Path) -> None:
    with gateway(tmp_path) as (process, address), connected(address, HALF_BODY):
        assert talk(address, LAST)[0].status == 404

        process.send_signal(signal.SIGTERM)

        assert process.wait(BOUND_SECONDS) == 0


def test_a_second_signal_ends_at_once_what_the_first_would_wait_for(tmp_path: Path) -> None:
    with gateway(tmp_path) as (process, address), connected(address, HALF_HEAD) as stalled:
        assert talk(address, LAST)[0].status == 404
        process.send_signal(signal.SIGTERM)
        wait_until_refused(address)

        process.send_signal(signal.SIGTERM)

        assert process.wait(BOUND_SECONDS) == 0
        # Had it been waited for, its deadline would have ended it with a 408.
        with suppress(ConnectionResetError):
            assert stalled.recv(1) == b""


def wait_until_refused(address: Address) -> None:
    end, pause = monotonic() + BOUND_SECONDS, Event()
    while monotonic() < end:
        try:
            socket.create_connection(address, 1).close()
        except OSError:
            return
        pause.wait(0.01)
    raise AssertionError("it still listens")


def test_more_connections_than_descriptors_leave_the_gateway_alive(tmp_path: Path) -> None:
    with gateway(tmp_path, descriptors=DESCRIPTORS) as (process, address):
        began = monotonic()
        with ExitStack() as stack:
            first, *_ = [stack.enter_context(connected(address, HALF_HEAD)) for _ in range(4 * DESCRIPTORS)]
            assert talk(address, LAST) == []
            # Some are left, for the database and for Airbyte, as soon as those turned away are gone.
            wait_until(lambda: len(list(Path(f"/proc/{process.pid}/fd").iterdir())) < DESCRIPTORS - 8)
            first.setblocking(False)
            # Not turned away; on a slow machine its time to send the rest may be over.
            with suppress(BlockingIOError):
                assert first.recv(65536).startswith(b"HTTP/1.1 408 ")

        end = monotonic() + BOUND_SECONDS
        while not (answers := talk(address, LAST)) and monotonic() < end:
            os.sched_yield()
        assert answers[0].status == 404
        process.send_signal(signal.SIGINT)
        assert process.stderr
        lines = process.stderr.readlines()
        # Fewer than ten for each second, the first and the last of which are cut.
        assert len(lines) < 10 * (monotonic() - began + 1)
