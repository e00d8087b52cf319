"""A machine of its own: systemd as process 1 of namespaces, over the files of a base. What it changes is thrown away.

Needs root, and a kernel that lets root make namespaces, overlays and cgroups: without them the tests are skipped.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import wait_until
from tests.machine.base import chosen_base
from tests.programs import required_program
from tests.support import BOUND_SECONDS

ROOT = Path(__file__).parents[2]
BOOT = Path(__file__).with_name("boot.sh")
CGROUPS = """
mount -t cgroup2 none "$1" && mkdir "$1/$2" && echo $$ >"$1/$2/cgroup.procs" && shift 2 && exec "$@"
"""
"""systemd takes the cgroup that it finds itself in for the root of all."""
REMOVE = """
mount -t cgroup2 none "$1" || exit 0
[ ! -d "$1/$2" ] || find "$1/$2" -depth -type d -exec rmdir {} +
"""
"""Whoever may not mount cgroups has made none."""
PRIVATE = ("unshare", "--mount", "sh", "-c")
NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "--cgroup")
ENVIRONMENT = (
    "PATH=/usr/local/lib/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
)
LAUNCHER = "#!/opt/gateway/bin/python3\nfrom gateway.cli import main\nmain()\n"


@dataclass(frozen=True)
class Machine:
    """A machine that has booted; `process` is its systemd."""

    process: int

    def run(
        self, script: str, *, reads: str = "", folder: str = "/", seconds: float = BOUND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of the shell as root, and return what came of it."""
        entered = ["nsenter", f"--target={self.process}", "--all", f"--wd=/proc/{self.process}/root{folder}"]
        return subprocess.run(
            [*entered, "env", "-i", *ENVIRONMENT, "bash", "-c", f"cd {folder} || exit\n{script}"],
            input=reads,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def ok(self, script: str, *, reads: str = "", folder: str = "/") -> str:
        """Run a script that must succeed, and return what it printed."""
        done = self.run(script, reads=reads, folder=folder)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}{self.journal()}"
        return done.stdout

    def journal(self) -> str:
        """Return what the service said so far."""
        return self.run("journalctl --no-pager --output=cat --unit=gateway.service").stdout


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Boot a machine, and end it with all that runs on it. Skips the test where the kernel lets nobody."""
    if os.geteuid() != 0:
        pytest.skip("needs root: only root may boot a machine in namespaces")
    for program in ("systemd-analyze", "ip"):
        required_program(program)
    cgroups, files = folder / "cgroups", folder / "machine"
    cgroups.mkdir()
    files.mkdir()
    name = f"gateway-test-{os.getpid()}"
    base = chosen_base()
    packages = sysconfig.get_path("purelib")
    boot = ["sh", str(BOOT), str(files), str(ROOT), packages, str(base.root), base.python]
    with (folder / "console").open("wb") as console:
        process = subprocess.Popen(
            [*PRIVATE, CGROUPS, "sh", str(cgroups), name, "unshare", *NAMESPACES, *boot],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _machine(process, folder / "console")
    finally:
        process.kill()
        process.wait()
        _remove_cgroups(name, folder)


def _machine(process: subprocess.Popen[bytes], console: Path) -> Machine:
    def has_booted() -> bool:
        state = _machines(process)[-1:]
        return bool(state) and state[0].run("systemctl is-system-running").stdout in {"running\n", "degraded\n"}

    try:
        wait_until(lambda: process.poll() is not None or has_booted())
    except AssertionError:
        pytest.fail(console.read_text(errors="replace"))
    if process.poll() is not None:
        pytest.skip(f"no machine can be booted here: {console.read_text(errors='replace').strip()}")
    return _machines(process)[0]


def _machines(process: subprocess.Popen[bytes]) -> list[Machine]:
    """Return the machine that unshare(1) started, once it has."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [Machine(int(child)) for child in children.split()]


def _remove_cgroups(name: str, folder: Path) -> None:
    """Remove what is left of its cgroups, also where nothing booted: a cgroup cannot be removed before those in it."""
    remove = [*PRIVATE, REMOVE, "sh", str(folder / "cgroups"), name]
    wait_until(lambda: subprocess.run(remove, capture_output=True, check=False).returncode == 0)


@pytest.fixture(scope="module")
def bare_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with Python and this checkout in /opt/checkout, and nothing of the gateway."""
    with booted(tmp_path_factory.mktemp("machine")) as machine:
        machine.ok("mkdir -p /run/log/journal && systemctl start systemd-journald.service")
        yield machine


@pytest.fixture(scope="module")
def machine(bare_machine: Machine) -> Machine:
    """A machine with the gateway's program in /opt/gateway, and nothing else of it."""
    site = f"/opt/gateway/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    bare_machine.ok("python3 -m venv --without-pip /opt/gateway")
    bare_machine.ok(f"printf '/opt/checkout\\n/opt/packages\\n' >{site}/gateway.pth")
    bare_machine.ok("cat >/opt/gateway/bin/gateway && chmod 755 /opt/gateway/bin/gateway", reads=LAUNCHER)
    bare_machine.ok("ln -s /opt/gateway/bin/gateway /usr/local/bin/gateway")
    return bare_machine
