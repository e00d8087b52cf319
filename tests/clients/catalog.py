"""Which clients there are, and at which versions."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
BUILD = Path(__file__).parents[2] / "build" / "clients"
"""Where `make` installs them, an environment each."""
PIN = re.compile(r"^([\w-]+)==([\w.]+)", re.MULTILINE)
TELL_VERSIONS = "import importlib.metadata, sys; print(*map(importlib.metadata.version, sys.argv[1:]))"


@dataclass(frozen=True)
class Client:
    """A client by its name; `read` are the sources from which its calls were written, where it is no package."""

    name: str
    read: Mapping[str, str] = field(default_factory=dict)
    starts_syncs: bool = True

    @property
    def driver(self) -> str:
        """The name of its script."""
        return f"with_{self.name}"

    @property
    def pins(self) -> Mapping[str, str]:
        """The versions that are asked for."""
        if self.read:
            return self.read
        return dict(PIN.findall((REQUIREMENTS / f"{self.name}.in").read_text()))

    @property
    def python(self) -> str:
        return sys.executable if self.read else str(BUILD / self.name / "bin" / "python")

    def installed(self) -> dict[str, str]:
        """Return the versions that are there."""
        if self.read:
            return dict(self.read)
        told = subprocess.check_output([self.python, "-c", TELL_VERSIONS, *self.pins], text=True)
        return dict(zip(self.pins, told.split(), strict=True))


CLIENTS = (
    Client("airbyte_api"),
    Client("airflow"),
    Client("dagster"),
    Client("pyairbyte"),
    Client("prefect"),
    Client("kestra", {"kestra-io/plugin-airbyte": "b2bda6247f4f5eefe084906fbc4d5989089d3937"}),
    Client(
        "terraform",
        {"airbytehq/terraform-provider-airbyte": "792c77e5a1e8bb55b8c0e00fe3ed715676214bb5"},
        starts_syncs=False,
    ),
)
