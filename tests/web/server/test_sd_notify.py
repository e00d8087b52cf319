"""The protocols of a supervisor: what is taken over, what is said, and that nothing happens without its variables."""

import asyncio
import os
import socket
from pathlib import Path
from threading import Event

import pytest

from gateway.errors import OperatorError
from gateway.web.server.sd_notify import Notifier, Supervision, inherited_listener, take_supervision
from tests.supervision import notify_socket
from tests.support import BOUND_SECONDS

OURS = frozenset({100, 200})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Supervision()),
        ({"LISTEN_PID": "100", "LISTEN_FDS": "1"}, Supervision(listeners=1)),
        ({"LISTEN_PID": "200", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}, Supervision(listeners=2)),
        ({"LISTEN_PID": "300", "LISTEN_FDS": "1"}, Supervision()),
        ({"LISTEN_FDS": "1"}, Supervision()),
        ({"LISTEN_PID": "100"}, Supervision()),
        ({"NOTIFY_SOCKET": "@name"}, Supervision(notify_address="@name")),
        ({"WATCHDOG_USEC": "30000000"}, Supervision(watchdog_seconds=30)),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "200"}, Supervision(watchdog_seconds=0.5)),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "300"}, Supervision()),
    ],
)
def test_what_is_meant_for_us_is_taken_and_all_is_removed(environment: dict[str, str], expected: Supervision) -> None:
    environment["PATH"] = "/bin"

    assert take_supervision(environment, OURS) == expected
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "environment",
    [{"LISTEN_PID": "100", "LISTEN_FDS": text} for text in ("", "-1", "one", "²")] + [{"WATCHDOG_USEC": "soon"}],
)
def test_nonsense_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(OperatorError, match=r"environment: (LISTEN_FDS|WATCHDOG_USEC): expected a number"):
        take_supervision(environment, OURS)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_listening_socket_is_taken_over_and_not_handed_on(family: int, host: str) -> None:
    original = socket.create_server((host, 0), family=family)
    address = original.getsockname()
    descriptor = original.detach()
    os.set_inheritable(descriptor, True)

    with inherited_listener(1, descriptor) as listener, socket.create_connection(address[:2]) as caller:
        assert listener.getsockname() == address
        assert not listener.get_inheritable()
        assert not listener.getblocking()
        listener.settimeout(BOUND_SECONDS)
        accepted, peer = listener.accept()
        accepted.close()
        assert peer == caller.getsockname()


@pytest.mark.parametrize(
    ("family", "kind", "is_listening"),
    [
        (socket.AF_INET, socket.SOCK_DGRAM, False),
        (socket.AF_INET, socket.SOCK_STREAM, False),
        (socket.AF_UNIX, socket.SOCK_STREAM, True),
    ],
    ids=["datagrams", "not listening", "local"],
)
def test_any_other_socket_is_refused(family: int, kind: int, *, is_listening: bool) -> None:
    with socket.socket(family, kind) as other:
        if is_listening:
            other.bind("")
            other.listen()
        with pytest.raises(OperatorError, match="no listening TCP socket"):
            inherited_listener(1, other.fileno())


def test_a_file_and_a_closed_descriptor_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(OperatorError, match="is no socket"):
        inherited_listener(1, file.fileno())
    with pytest.raises(OperatorError, match="is no socket"):
        inherited_listener(1, file_descriptor_nobody_has())


def file_descriptor_nobody_has() -> int:
    with socket.socket() as closed:
        return closed.fileno()


@pytest.mark.parametrize("count", [2, 3])
def test_more_than_one_is_refused(count: int) -> None:
    with pytest.raises(OperatorError, match=f"inherited {count} sockets instead of one"):
        inherited_listener(count)


@pytest.mark.parametrize("abstract", [False, True])
def test_what_is_said_arrives_word_by_word(tmp_path: Path, *, abstract: bool) -> None:
    with notify_socket(tmp_path, abstract=abstract) as notified:
        notifier = Notifier(notified.address)
        notifier.ready("Serving\nSTOPPING=1")
        notifier.reloading(12.3456789)
        notifier.stopping()
        notifier.alive()
        notified.wait_for("WATCHDOG")

    assert notified.messages == [
        {"READY": "1", "STATUS": "Serving STOPPING=1"},
        {"RELOADING": "1", "MONOTONIC_USEC": "12345678", "STATUS": "Reading the settings"},
        {"STOPPING": "1", "STATUS": "Finishing the requests under way"},
        {"WATCHDOG": "1"},
    ]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody-listens", "/" + "x" * 200])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    Notifier(address).ready("Serving")


async def test_a_watched_loop_says_that_it_lives_again_and_again(tmp_path: Path) -> None:
    with notify_socket(tmp_path) as notified:
        beat = asyncio.create_task(Notifier(notified.address).stay_alive(0.02))
        await asyncio.to_thread(notified.wait_for, "WATCHDOG", after=2)
        beat.cancel()

    assert all(message == {"WATCHDOG": "1"} for message in notified.messages)


async def test_a_loop_that_hangs_falls_silent(tmp_path: Path) -> None:
    with notify_socket(tmp_path) as notified:
        beat = asyncio.create_task(Notifier(notified.address).stay_alive(0.02))
        await asyncio.to_thread(notified.wait_for, "WATCHDOG", after=2)
        before = len(notified.messages)
        Event().wait(0.2)
        # One may have been on its way; whatever does not depend on the loop would have sent twenty.
        assert len(notified.messages) <= before + 1
        beat.cancel()


async def test_a_loop_nobody_watches_is_silent(tmp_path: Path) -> None:
    with notify_socket(tmp_path) as notified:
        await Notifier(notified.address).stay_alive(0)

    assert notified.messages == []
