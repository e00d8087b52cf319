"""What `make binary` made, as an ordinary user of a machine without Python has it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import wait_until
from tests.faults.installation import LISTENING
from tests.support import BOUND_SECONDS, PROGRAM

NOBODY = 65534
AS_NOBODY = (
    ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    if os.geteuid() == 0
    else []
)


@dataclass
class Binary:
    """One of its two shapes, and a folder for its data, which is all that may be written."""

    program: Path
    data: Path
    before: Sequence[str] = ()
    """Programs that start it with fewer rights, or see to where it may write."""

    @property
    def temporary(self) -> Path:
        return self.data / "temporary"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing but where to unpack."""
        return {"TMPDIR": str(self.temporary)}

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.before, str(self.program), *arguments],
            cwd=self.data,
            env=self.environment if env is None else env,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=BOUND_SECONDS,
            check=False,
        )

    @contextmanager
    def serve(self) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
        """`gateway serve` as the leader of a group of processes, and its address."""
        log = self.data.parent / "serve.log"
        with (
            log.open("wb") as stream,
            subprocess.Popen(
                [*self.before, str(self.program), "serve", "--port", "0"],
                cwd=self.data,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                start_new_session=True,
            ) as process,
        ):
            try:
                wait_until(lambda: bool(LISTENING.search(log.read_text())) or process.poll() is not None)
                match = LISTENING.search(log.read_text())
                assert match, log.read_text()
                yield process, match[1]
            finally:
                process.kill()


@pytest.fixture(scope="session")
def installed() -> Iterator[Path]:
    """A folder that everybody may read, with both shapes in it."""
    assert len(PROGRAM) == 1, "GATEWAY_PROGRAM names no binary: use make test-binary"
    made = Path(PROGRAM[0]).parent
    with tempfile.TemporaryDirectory(prefix="gateway-binary-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(made / "gateway", folder)
        shutil.copytree(made / "gateway-dir", folder / "gateway-dir")
        yield folder


@pytest.fixture
def data() -> Iterator[Path]:
    """Below a folder that only its owner writes: one of nobody's, with an empty one for temporary files."""
    with tempfile.TemporaryDirectory(prefix="gateway-data-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path in (folder / "data", folder / "data" / "temporary"):
            path.mkdir()
            if AS_NOBODY:
                os.chown(path, NOBODY, NOBODY)
        yield folder / "data"


@pytest.fixture
def one_file(installed: Path, data: Path) -> Binary:
    return Binary(installed / "gateway", data, AS_NOBODY)


@pytest.fixture
def one_folder(installed: Path, data: Path) -> Binary:
    return Binary(installed / "gateway-dir" / "gateway", data, AS_NOBODY)


@pytest.fixture(params=["one_file", "one_folder"])
def binary(request: pytest.FixtureRequest) -> Binary:
    value = request.getfixturevalue(request.param)
    assert isinstance(value, Binary)
    return value
