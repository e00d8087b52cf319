"""The one-file binary's second process, played by Python; the binary itself is tested in tests/binary/."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import parent
import pytest
from parent import end_with_parent, hold_back_hang_ups

from tests.support import BOUND_SECONDS

CHILD = f"""
import sys, time
sys.path.insert(0, {str(Path(parent.__file__).parent)!r})
from parent import end_with_parent
sys._MEIPASS = sys.argv[1]
end_with_parent()
print("runs", flush=True)
time.sleep(20)
print("outlives")
"""
PARENT = """
import subprocess, sys, time
with subprocess.Popen([sys.executable, "-c", *sys.argv[1:]]):
    time.sleep(600)
"""
UNPACKED, INSTALLED = "/tmp/_MEI0000abcd", "/opt/gateway/_internal"  # noqa: S108 - nothing is written there


@pytest.mark.parametrize(("arguments", "held_back"), [("serve --port 0", True), ("demo", False)])
def test_only_a_service_outlives_its_terminal(arguments: str, held_back: bool) -> None:
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        hold_back_hang_ups(arguments.split())

        assert (signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())) == held_back
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_only_what_was_unpacked_cares_for_its_parent() -> None:
    end_with_parent()


@pytest.mark.parametrize(("folder", "ends"), [(UNPACKED, True), (INSTALLED, False)])
def test_it_ends_with_the_process_that_unpacked_it(folder: str, ends: bool) -> None:
    command = [sys.executable, "-c", PARENT, CHILD, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as starter:
        assert starter.stdout
        has_begun = starter.stdout.readline()
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait(BOUND_SECONDS)
        assert has_begun == "runs\n"

        if ends:
            # The end of the child closes the pipe, which nothing else does.
            assert starter.stdout.read() == ""
        else:
            os.killpg(starter.pid, signal.SIGKILL)


@pytest.mark.parametrize(("folder", "says"), [(UNPACKED, ""), (INSTALLED, "runs\n")])
def test_it_ends_if_somebody_else_has_adopted_it_already(folder: str, says: str, tmp_path: Path) -> None:
    """The shell's name is not Python's: as if the parent had ended before it was watched."""
    script = f'\'{sys.executable}\' -c "$0" "$1"; :'

    done = subprocess.run(
        ["/bin/sh", "-c", script, CHILD.partition("time.sleep")[0], folder],
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )

    assert done.stdout == says
