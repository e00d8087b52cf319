"""The lock files name all that each Python needs which may be installed from them, not only the one that made them."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.markers import Environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PINNED = re.compile(r"^([a-z0-9._-]+)(?:\[([a-z,]+)\])?==", re.MULTILINE)
PYTHONS = ("3.11.0", "3.12.0", "3.13.0", "3.14.0")
"""pip refuses a lock in which something is missing. redis, for one, needs more before 3.11.3, which Debian 12 lacks."""


def needed_by(name: str, extras: list[str], python: str) -> set[str]:
    """Return the packages that one needs on Linux with that Python."""
    environment = Environment(python_version=python.rpartition(".")[0], python_full_version=python)  # type: ignore[typeddict-item]  # the rest is this machine's
    wanted = map(Requirement, distribution(name).requires or ())
    return {
        canonicalize_name(each.name)
        for each in wanted
        if each.marker is None or any(each.marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))
    }


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-cluster.lock", "requirements-otel.lock"])
@pytest.mark.parametrize("python", PYTHONS)
def test_a_lock_names_all_that_what_it_names_needs(lock: str, python: str) -> None:
    named = {
        name: list(filter(None, extras.split(","))) for name, extras in PINNED.findall((ROOT / lock).read_text("utf-8"))
    }

    missing = {
        name: needed - named.keys() for name, extras in named.items() if (needed := needed_by(name, extras, python))
    }

    assert {name: those for name, those in missing.items() if those} == {}
