"""The image: its own lines are carried out, and what they make runs as a container engine would run it."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import wait_until
from tests.machine.base import chosen_base
from tests.machine.conftest import ROOT
from tests.machine.containerfile import Builder, Stage

COMMIT = "0123456789ab"
RUN = """
mount -o remount,ro "$1" && mount -t tmpfs tmp "$1/tmp" && mkdir -p "$2" && chown 65532:65532 "$2"
mount --bind "$2" "$1/var/lib/gateway" && ip link set lo up && shift 2 && exec "$@"
"""
"""The files are read-only but for /tmp and the volume."""
TRY = 'cd "$1" && mkdir upper work seen && mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay seen'


@dataclass(frozen=True)
class Image:
    """What was built, and how to get to where it lies."""

    stage: Stage
    enter: list[str]
    volume: Path

    def command(self, *words: str) -> list[str]:
        """Return what runs the image with other words than its own after the entry point."""
        started = self.stage.inside([*self.stage.entry, *(words or self.stage.command)], user=self.stage.user)
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net"]
        return [*self.enter, *own, "sh", "-ec", RUN, "sh", str(self.stage.root), str(self.volume), *started]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of the gateway's commands in it."""
        return subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=60)


def namespace_of(process: int) -> Path:
    """Return the name of the namespace of its mounts."""
    return Path(f"/proc/{process}/ns/mnt").readlink()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root may make mounts")
    folder = tmp_path_factory.mktemp("image")
    if subprocess.run(["unshare", "--mount", "sh", "-ec", TRY, "sh", str(folder)], check=False).returncode != 0:  # noqa: S607 - Linux's own
        pytest.skip("the kernel lets nobody make an overlay here")
    with subprocess.Popen(["unshare", "--mount", "cat"], stdin=subprocess.PIPE) as holder:  # noqa: S607 - Linux's own
        try:
            enter = ["nsenter", f"--target={holder.pid}", "--mount"]
            wait_until(lambda: namespace_of(holder.pid) != namespace_of(os.getpid()))
            builder = Builder(folder, ROOT, chosen_base(), enter=enter, arguments={"COMMIT": COMMIT})
            stage = builder.build((ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8"))
            yield Image(stage, enter, folder / "volume")
        finally:
            holder.kill()


def test_it_tells_the_commit_that_it_was_built_from(image: Image) -> None:
    assert COMMIT in image.run("--version").stdout


def test_it_holds_what_the_lock_names_and_says_so(image: Image) -> None:
    read = [*image.enter, "cat", f"{image.stage.root}/opt/gateway/bom.json"]
    bill = subprocess.run(read, capture_output=True, text=True, check=True).stdout
    lock = (ROOT / "requirements-cluster.lock").read_text(encoding="utf-8")
    locked = re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==([^ ;]+)", lock, re.MULTILINE)

    assert set(re.findall(r'"pkg:pypi/([^"@]+)@([^"]+)"', bill)) >= set(locked)
    assert '"pip"' not in bill


def test_it_runs_as_nobody_special_and_writes_into_its_volume_alone(image: Image) -> None:
    made = image.run("init")

    assert image.stage.user == "65532:65532"
    assert made.returncode == 0, made.stderr
    (database, *_) = [path for path in image.volume.iterdir() if path.name == "gateway.db"]
    assert (database.stat().st_uid, oct(database.stat().st_mode & 0o777)) == (65532, "0o600")
    assert "Read-only file system" in image.run("backup", "/opt").stderr


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Of the unshare(1) that waits for the gateway: it alone is left of what started it."""
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()))


@contextmanager
def running(image: Image) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(image.command(), stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            # It is not killed with what started it: the kernel forgets that wish where the user changes.
            for gateway in children_of(process) if process.poll() is None else ():
                os.kill(gateway, signal.SIGKILL)
            process.kill()


def test_its_health_check_passes_while_it_runs_and_its_stop_signal_ends_it(image: Image) -> None:
    image.stage.environment |= {
        "GATEWAY_AIRBYTE_BASE_URL": "http://127.0.0.1:1/api/public/v1",
        "GATEWAY_AIRBYTE_AUTH": "none",
        "GATEWAY_SERVER_PORT": "8081",
        # Container engines put the host's there.
        "http_proxy": "http://127.0.0.1:1",
    }
    image.run("init")
    with running(image) as process:
        wait_until(lambda: bool(children_of(process)))
        (gateway,) = children_of(process)
        asking = image.stage.inside(image.stage.health, user=image.stage.user)
        health = ["nsenter", f"--target={gateway}", "--all", *asking]

        wait_until(lambda: subprocess.run(health, capture_output=True, check=False).returncode == 0)
        os.kill(gateway, getattr(signal, image.stage.signal))

        assert process.wait(60) == 0
