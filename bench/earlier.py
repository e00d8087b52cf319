"""An earlier revision of the gateway beside this one: its files, its own environment, its own database.

It is asked for its data in its own words: `bench/world.py` of that revision writes the database.
"""

import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from bench.world import World

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "against"
BUILD_WORLD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from bench.world import build_world
folder, port, upstream_port = sys.argv[1:]
world = build_world(Path(folder), port=int(port), upstream_port=int(upstream_port))
print(json.dumps(asdict(world), default=str))
"""


@dataclass(frozen=True)
class Revision:
    """One that can be started: `gateway` is its program."""

    commit: str
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / ".venv" / "bin" / "python"

    @property
    def gateway(self) -> Path:
        return self.folder / ".venv" / "bin" / "gateway"

    def build_world(self, folder: Path, *, port: int, upstream_port: int) -> World:
        """Write the small database as that revision does. Raises CalledProcessError."""
        command = [str(self.python), "-c", BUILD_WORLD, str(folder), str(port), str(upstream_port)]
        answer = subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True).stdout
        values = json.loads(answer)
        return World(**{**values, "settings": Path(values["settings"])})


def check_out(name: str) -> Revision:
    """Return the revision that `name` means to git, with an environment from its own lock; made once and kept.

    Raises CalledProcessError when git does not know it or a package cannot be had.
    """
    commit = _git("rev-parse", "--verify", "--short=12", f"{name}^{{commit}}")
    revision = Revision(commit, FOLDER / commit)
    if not revision.gateway.exists():
        revision.folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run([_program("git"), "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(revision.folder, filter="data")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(revision.folder / ".venv")], check=True)
        install = [str(revision.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "-r", str(revision.folder / "requirements.lock")], check=True)
        subprocess.run([*install, "--no-deps", "-e", str(revision.folder)], check=True)
    return revision


def _git(*arguments: str) -> str:
    command = [_program("git"), *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _program(name: str) -> str:
    return shutil.which(name) or name
