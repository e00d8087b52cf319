"""What only a binary has: it brings everything along, and it comes and goes cleanly."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from gateway.cli.main import COMMANDS
from gateway.store.sqlite.database import journal_mode
from tests import plain_http
from tests.binary.conftest import Binary
from tests.cli.conftest import wait_until
from tests.faults.disks import fill, mount, small_disk
from tests.support import BOUND_SECONDS

VERSION = re.compile(r"gateway (\S+) \(Commit (\S+), Python (\S+), SQLite (\d+)\.(\d+)\.(\d+), OpenSSL (.+)\)\n")
REMEDY = "set TMPDIR to another folder, or run the folder variant, gateway-dir/gateway"
FOR_EVERYBODY = 0o1777
ONLY_DATA_IS_WRITABLE = 'mount --bind "$1" "$1" && mount -o remount,bind,ro / && shift && exec "$@"'


def test_it_needs_neither_an_environment_nor_rights(binary: Binary) -> None:
    done = binary.run("init", env={})

    assert (done.returncode, done.stderr) == (0, "")
    with binary.serve() as (_, address):
        for page in ("/healthz", "/readyz", "/openapi.json", "/docs/getting-started", "/dashboard/static/style.css"):
            assert plain_http.get(f"{address}{page}").status_code == 200, page


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_came_along(one_folder: Binary, command: str) -> None:
    assert one_folder.run(command, "--help").returncode == 0


def test_it_says_of_what_it_is_made(binary: Binary) -> None:
    match = VERSION.fullmatch(binary.run("--version").stdout)

    assert match
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?", match[2])


def test_its_sqlite_keeps_the_journal_that_is_safe_with_it(binary: Binary) -> None:
    assert binary.run("init").returncode == 0
    match = VERSION.fullmatch(binary.run("--version").stdout)
    assert match
    with binary.serve(), closing(sqlite3.connect(binary.data / "gateway.db")) as connection:
        (journal,) = connection.execute("PRAGMA journal_mode").fetchone()

    assert journal == journal_mode((int(match[4]), int(match[5]), int(match[6])))


def test_authorities_for_machines_without_any_came_along(one_folder: Binary) -> None:
    bundle = one_folder.program.parent / "_internal" / "certifi" / "cacert.pem"

    assert bundle.read_text(encoding="utf-8").count("BEGIN CERTIFICATE") > 100


def test_only_its_data_must_be_writable(binary: Binary) -> None:
    restricted = ["unshare", "--mount", "sh", "-c", ONLY_DATA_IS_WRITABLE, "sh", str(binary.data)]
    if subprocess.run([*restricted, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    assert subprocess.run([*restricted, "touch", "/new"], capture_output=True, check=False).returncode != 0
    binary.before = [*restricted, *binary.before]

    assert binary.run("init").returncode == 0
    with binary.serve() as (_, address):
        assert plain_http.get(f"{address}/healthz").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("is_told_to_all", [False, True], ids=["one process", "the whole group"])
def test_a_stop_leaves_nothing_behind(binary: Binary, number: signal.Signals, is_told_to_all: bool) -> None:
    """A supervisor tells one process or each, a terminal each; it ends as asked however often it hears of it."""
    assert binary.run("init").returncode == 0
    with binary.serve() as (process, address):
        assert plain_http.get(f"{address}/healthz").status_code == 200
        if is_told_to_all:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(BOUND_SECONDS) == 0

    assert list(binary.temporary.iterdir()) == []
    assert processes_of(process.pid) == []


def test_a_hang_up_while_it_starts_is_neither_fatal_nor_lost(binary: Binary) -> None:
    assert binary.run("init").returncode == 0
    command = [*binary.before, str(binary.program), "serve", "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=binary.data,
        env=binary.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        # Its end ends the reading.
        patience = Timer(BOUND_SECONDS, process.kill)
        patience.start()
        try:
            wait_until(lambda: any(holds_back_hang_ups(number) for number in processes_of(process.pid)))
            os.killpg(process.pid, signal.SIGHUP)
            assert process.stderr
            assert any("settings_reloaded" in line for line in process.stderr)
        finally:
            patience.cancel()
            process.kill()


def holds_back_hang_ups(number: int) -> bool:
    try:
        status = Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    return bool(blocked & 1 << signal.SIGHUP - 1)


def processes_of(group: int) -> list[int]:
    """The ids of a group's processes that run."""
    running = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            running.append(int(path.parent.name))
    return running


def is_free(port: int) -> bool:
    """Whether the next gateway could listen there."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def test_a_killed_one_file_takes_the_gateway_with_it_and_the_next_start_works(one_file: Binary) -> None:
    assert one_file.run("init").returncode == 0
    with one_file.serve() as (process, address):
        assert len(processes_of(process.pid)) == 2
        process.kill()
        process.wait()
        wait_until(lambda: not processes_of(process.pid) and is_free(int(address.rpartition(":")[2])))

    with one_file.serve() as (_, address):
        assert plain_http.get(f"{address}/healthz").status_code == 200
        # What the killed one had unpacked stays, as the documentation says.
        assert len(list(one_file.temporary.iterdir())) == 2


def test_where_nothing_unpacked_may_be_run_it_says_so_and_one_folder_does_not_care(
    one_file: Binary, one_folder: Binary
) -> None:
    with small_disk(one_file.data.parent / "disk") as disk:
        disk.chmod(FOR_EVERYBODY)
        assert mount("-o", "remount,noexec,size=100m", str(disk))
        elsewhere = {"TMPDIR": str(disk)}
        refused, fine = one_file.run("--version", env=elsewhere), one_folder.run("--version", env=elsewhere)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (f"Error: {disk} is mounted noexec, so nothing that is unpacked there can run; {REMEDY}\n")
    assert fine.returncode == 0


def test_where_there_is_no_room_it_says_so_and_one_folder_does_not_care(one_file: Binary, one_folder: Binary) -> None:
    with small_disk(one_file.data.parent / "disk") as disk:
        disk.chmod(FOR_EVERYBODY)
        fill(disk)
        before = sorted(disk.iterdir())
        elsewhere = {"TMPDIR": str(disk)}
        refused, fine = one_file.run("--version", env=elsewhere), one_folder.run("--version", env=elsewhere)
        assert sorted(disk.iterdir()) == before

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"Error: {disk} has no room for what this program unpacks at each start; {REMEDY}\n"
    assert fine.returncode == 0


def test_the_room_it_asks_for_is_what_it_takes_and_little_more(one_file: Binary) -> None:
    assert one_file.run("init").returncode == 0
    with one_file.serve():
        (unpacked,) = one_file.temporary.iterdir()
        taken = sum(path.stat().st_size for path in unpacked.rglob("*") if not path.is_symlink())

    asked_for = 3 * one_file.program.stat().st_size
    assert asked_for / 2 < taken < asked_for
