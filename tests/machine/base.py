"""The files that a machine or an image begins with."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "MACHINE_BASE"


@dataclass(frozen=True)
class Base:
    """A folder with all files of a system, and where its Python lies; empty where the system has one of its own."""

    root: Path
    python: str = ""


def chosen_base() -> Base:
    """Return the system that `MACHINE_BASE` names, such as a new Debian; else this machine with the Python in use."""
    named = os.environ.get(VARIABLE)
    return Base(Path(named).absolute()) if named else Base(Path("/"), sys.base_prefix)
