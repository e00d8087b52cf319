"""dist/gateway.cdx.json names what is inside the binary, and nothing else."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.binary.conftest import Binary
from tests.support import PROGRAM

TOP = Path(__file__).parent.parent.parent
NOT_NEEDED_TO_RUN = {"pycparser"}
"""Of the lock file: only builds of other packages use it."""
ADDED_BY_THE_BUILD = {"pyinstaller", "pyinstaller-hooks-contrib"}
"""What starts and unpacks the rest."""
OF_THE_EXTRA = {"async-timeout", "psycopg", "psycopg-binary", "redis"}
"""For several gateways: the binary has them always."""


@pytest.fixture
def bill() -> dict[str, Any]:
    content = json.loads((Path(PROGRAM[0]).parent / "gateway.cdx.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def pinned(lock: str) -> dict[str, str]:
    return dict(
        re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", (TOP / lock).read_text(encoding="utf-8"), re.MULTILINE)
    )


def test_every_package_has_its_licence_beside_the_binary(bill: dict[str, Any]) -> None:
    text = (Path(PROGRAM[0]).parent / "THIRD_PARTY_LICENSES").read_text(encoding="utf-8")

    told = {re.sub("[_.]", "-", name.lower()) for name in re.findall(r"^={80}\n(\S+) \S+, ", text, re.MULTILINE)}
    assert told == of_kind(bill, "pypi").keys()


def test_every_library_has_its_licence_beside_the_binary(one_folder: Binary) -> None:
    text = (Path(PROGRAM[0]).parent / "THIRD_PARTY_LICENSES").read_text(encoding="utf-8")

    inside = {path.name for path in (one_folder.program.parent / "_internal").rglob("lib*.so*")}
    told = {name for line in re.findall(r"^={80}\nLibrary .+\n(lib.+)$", text, re.MULTILINE) for name in line.split()}
    assert {name for name in inside if not name.startswith("libpython")} == told


def test_the_library_under_the_lgpl_may_be_replaced(one_folder: Binary) -> None:
    library = one_folder.program.parent / "_internal" / "psycopg" / "__init__.py"
    assert library.is_file()
    assert (library.parent.parent / "psycopg_binary").is_dir()


def of_kind(bill: dict[str, Any], kind: str) -> dict[str, str]:
    """Names and versions of the components whose package URL is of that kind."""
    found = [each for each in bill["components"] if each.get("purl", "").startswith(f"pkg:{kind}/")]
    return {each["name"]: each["version"] for each in found}


def test_its_packages_are_those_of_the_lock_file(bill: dict[str, Any]) -> None:
    packages = of_kind(bill, "pypi")
    expected = {name: version for name, version in pinned("requirements.lock").items() if name not in NOT_NEEDED_TO_RUN}

    assert packages.keys() >= OF_THE_EXTRA
    more = ADDED_BY_THE_BUILD | OF_THE_EXTRA
    assert {name: version for name, version in packages.items() if name not in more} == expected
    assert packages.items() <= pinned("requirements-binary.lock").items()


def test_it_says_of_python_sqlite_and_openssl_what_the_binary_says(bill: dict[str, Any], one_folder: Binary) -> None:
    told = one_folder.run("--version").stdout
    commit = {each["name"]: each["value"] for each in bill["metadata"]["component"]["properties"]}["commit"]

    generic = of_kind(bill, "generic")
    assert set(generic) == {"python", "sqlite", "openssl"}
    assert f"gateway {bill['metadata']['component']['version']} (Commit {commit}, " in told
    for name, version in generic.items():
        assert f", {name} {version}" in told.lower()


def test_every_library_beside_the_program_is_listed(bill: dict[str, Any], one_folder: Binary) -> None:
    folder = one_folder.program.parent / "_internal"
    # What a package brought stands for itself: the package is listed.
    beside = {path.name for path in folder.glob("*.so*")} - {path.name for path in folder.glob("*.libs/*")}
    listed = {each["name"] for each in bill["components"] if each["type"] == "file"}
    # The machine names the file by its whole version, the program by the first number of it.
    missing = {name for name in beside if not any(each.startswith(name) for each in listed)}

    assert {name for name in missing if not name.startswith("_cffi_backend")} == set()


def test_it_is_made_without_a_look_at_the_environment(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import bill_of_materials as b; b.write_bill(Path(sys.argv[1]), [], 'c')"
    )
    target = tmp_path / "bill.json"

    subprocess.run(
        [TOP / "build/venv/bin/python", "-c", script, target],
        env={"GATEWAY_AIRBYTE_CLIENT_SECRET": "planted-secret", "PYTHONPATH": f"{TOP}:{TOP / 'deploy/binary'}"},
        check=True,
    )

    assert "planted" not in target.read_text(encoding="utf-8")
