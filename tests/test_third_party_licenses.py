"""The licences that go with the binary, made from the packages that its lock file names."""

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from third_party_licenses import is_license, license_of, package_part, write_licenses

LOCK = Path(__file__).parent.parent / "requirements-cluster.lock"
"""What the binary has, but for PyInstaller, which is in no environment of tests."""
NAMES = re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", LOCK.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_every_package_of_the_lock_brings_its_licence_along(name: str) -> None:
    part = package_part(distribution(name))

    assert license_of(distribution(name)) != "see below"
    assert re.search("licen[cs]e|permission|copyright", part, re.IGNORECASE)
    assert f"https://pypi.org/project/{distribution(name).name}/" in part


def test_the_lgpl_brings_the_gpl_along_and_says_how_to_replace_what_is_under_it(tmp_path: Path) -> None:
    path = tmp_path / "THIRD_PARTY_LICENSES"
    write_licenses(path, map(distribution, NAMES))

    text = path.read_text(encoding="utf-8")
    assert "psycopg 3" in text
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in text
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "_internal/psycopg" in text
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in text


def test_a_package_without_a_text_ends_the_build(tmp_path: Path) -> None:
    metadata = tmp_path / "bare-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bare\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("bare-1.0.dist-info/METADATA,,\n")

    with pytest.raises(FileNotFoundError, match="bare"):
        package_part(Distribution.at(metadata))


@pytest.mark.parametrize(
    ("file", "is_one"),
    [
        ("a-1.dist-info/licenses/vendor/LICENSE", True),
        ("a-1.dist-info/LICENSE.txt", True),
        ("a-1.dist-info/COPYING", True),
        ("a-1.dist-info/METADATA", False),
        ("a/license.py", False),
    ],
)
def test_licences_are_told_from_code(file: str, is_one: bool) -> None:
    assert is_license(file) == is_one
