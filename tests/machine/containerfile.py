"""Carry out a Containerfile without a container engine: its own lines, in copies of the files of a base.

The base stands for the base image: a new Debian, or this machine with its Python on the PATH. So what a line says is
tried, and what the real base image holds is not. Needs root and a kernel that lets root make namespaces and overlays,
as the machines that boot.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.machine.base import Base

BASE_PATH = "/usr/local/lib/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PREPARE = """
set -eu
mkdir -p "$1/changed" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/changed,workdir=$1/work" overlay "$1/root"
if [ -n "$3" ]; then
    mkdir -p "$1/root/usr/local/lib/python"
    mount --bind "$3" "$1/root/usr/local/lib/python"
    echo /usr/local/lib/python/lib >"$1/root/etc/ld.so.conf.d/000-python.conf"
    chroot "$1/root" /sbin/ldconfig
fi
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
"""
COPY = """
if [ -d "$1" ]; then mkdir -p "$2" && cp -R "$1/." "$2/"; else cp "$1" "$2"; fi
"""
"""A folder's contents are copied, a file itself."""


@dataclass
class Stage:
    """What one `FROM` begins: its files, and what later lines say of how it runs."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH, "HOME": "/root"})
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    signal: str = ""
    ports: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def inside(self, command: list[str], *, user: str = "0:0") -> list[str]:
        """Return what runs a command in the stage's files."""
        values = {**self.arguments, **self.environment}
        text = f'cd "{self.folder}" && exec "$@"'
        return [
            *("chroot", f"--userspec={user}", str(self.root), "env", "-i"),
            *(f"{name}={value}" for name, value in values.items()),
            *("sh", "-ec", text, "sh", *command),
        ]


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions with their words; comments and line breaks are taken out."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


class Builder:
    """Builds the stages one after the other in `folder`, from the files of `context`, each of them over `base`.

    `enter` begins each command: it goes into the namespace in which all mounts are made.
    """

    def __init__(
        self, folder: Path, context: Path, base: Base, *, enter: Sequence[str], arguments: dict[str, str]
    ) -> None:
        self._folder = folder
        self._enter = enter
        self._context = context
        self._base = base
        self._given = arguments
        self._stages: dict[str, Stage] = {}

    def build(self, text: str) -> Stage:
        """Carry out all instructions and return the last stage. Raises CalledProcessError for a line that fails."""
        for name, rest in instructions(text):
            getattr(self, f"_{name.lower()}")(rest)
        return self._stage

    def _from(self, rest: str) -> None:
        _, _, name = rest.partition(" AS ")
        folder = self._folder / f"stage{len(self._stages)}"
        folder.mkdir()
        self._do("sh", "-c", PREPARE, "sh", str(folder), str(self._base.root), self._base.python)
        self._stage = self._stages[name or str(len(self._stages))] = Stage(folder / "root")

    def _arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        self._stage.arguments[name] = self._given.get(name, default)

    def _env(self, rest: str) -> None:
        name, _, value = rest.partition("=")
        self._stage.environment[name] = value.replace("$PATH", self._stage.environment["PATH"])

    def _workdir(self, rest: str) -> None:
        self._stage.folder = rest
        self._do("mkdir", "-p", self._outside(rest))

    def _copy(self, rest: str) -> None:
        *sources, target = shlex.split(rest)
        origin = self._context
        if sources[0].startswith("--from="):
            origin = self._stages[sources.pop(0).partition("=")[2]].root
        to = self._outside(str(Path(self._stage.folder) / target))
        for source in sources:
            self._do("sh", "-c", COPY, "sh", f"{origin}/{source.lstrip('/')}", to)

    def _run(self, rest: str) -> None:
        self._do(*self._stage.inside(["sh", "-ec", rest]))

    def _user(self, rest: str) -> None:
        self._stage.user = rest

    def _volume(self, rest: str) -> None:
        self._stage.volumes.append(rest)

    def _expose(self, rest: str) -> None:
        self._stage.ports.append(rest)

    def _stopsignal(self, rest: str) -> None:
        self._stage.signal = rest

    def _healthcheck(self, rest: str) -> None:
        self._stage.health = json.loads(rest.partition("CMD ")[2])

    def _entrypoint(self, rest: str) -> None:
        self._stage.entry = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self._stage.command = json.loads(rest)

    def _outside(self, path: str) -> str:
        return f"{self._stage.root}/{path.lstrip('/')}"

    def _do(self, *command: str) -> None:
        subprocess.run([*self._enter, *command], check=True, stdout=subprocess.DEVNULL)
