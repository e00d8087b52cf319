"""A gateway under test: started as its users start it, and what to aim at."""

import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Target
from bench.processes import running

NAME = "the gateway"
STATUS = "/api/v1/status"
CONNECTIONS = "/api/v1/connections"


@dataclass(frozen=True)
class Gateway:
    """One that listens on `port`."""

    port: int
    process: subprocess.Popen[bytes]

    def target(self, path: str, key: str, *, refused: bool = False) -> Target:
        return Target(NAME, f"http://127.0.0.1:{self.port}{path}", key, refused=refused)

    def ask(self, key: str, path: str = STATUS) -> None:
        """Ask. Raises URLError unless the answer is a good one."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
            answer.read()


@contextmanager
def serving(command: Sequence[str], settings: Path, port: int, core: set[int]) -> Iterator[Gateway]:
    """Serve settings. `command` is the command line up to `serve`; the log goes to a file beside the settings."""
    log = settings.with_name("gateway.log")
    with running([*command, "serve", "--settings", str(settings)], port, log, core=core) as process:
        yield Gateway(port, process)
