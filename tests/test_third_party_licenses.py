"""The licences that go with the binary, made from the packages that its lock file names."""

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from libraries import INSIDE_OTHERS, PROJECTS, is_library, projects_of
from third_party_licenses import is_license, license_of, package_part, write_licenses

LOCK = Path(__file__).parent.parent / "requirements-cluster.lock"
"""What the binary has, but for PyInstaller, which is in no environment of tests."""
NAMES = re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", LOCK.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_package_of_the_lock_brings_its_licence_along() -> None:
    for package in map(distribution, NAMES):
        part = package_part(package)

        assert license_of(package) != "see below", package.name
        assert re.search("licen[cs]e|permission|copyright", part, re.IGNORECASE), package.name
        assert f"https://pypi.org/project/{package.name}/" in part


def test_the_lgpl_brings_the_gpl_along_and_says_how_to_replace_what_is_under_it(tmp_path: Path) -> None:
    path = tmp_path / "THIRD_PARTY_LICENSES"
    write_licenses(path, map(distribution, NAMES), ["psycopg_binary.libs/libkeyutils-dfe70bd6.so.1.5"])

    text = path.read_text(encoding="utf-8")
    assert "psycopg 3" in text
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in text
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "_internal/psycopg" in text
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in text
    assert "Library keyutils\nlibkeyutils-dfe70bd6.so.1.5\nLGPL-2.1\n" in text
    assert "Library libuv in uvloop\nMIT\n" in text


def test_every_library_has_its_text() -> None:
    own = re.compile("copyright|public domain", re.IGNORECASE)

    assert [each.name for each in (*PROJECTS, *INSIDE_OTHERS) if not own.search(each.read_text())] == []


def test_a_library_of_nobody_ends_the_build() -> None:
    with pytest.raises(LookupError, match=r"libnew\.so\.1: name its project"):
        projects_of(["libnew.so.1"])


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("libbz2.so.1.0", "bzip2"),
        ("libcrypto.so.3", "OpenSSL"),
        ("psycopg_binary.libs/libcrypto-3a0647ea.so.3", "OpenSSL"),
        ("libcrypt-bc2db45e.so.1", "glibc"),
        ("libkrb5support-93fbab13.so.0.1", "MIT Kerberos"),
        ("libcom_err-55c5739a.so.3.0", "com_err"),
        ("libffi-8.so", "libffi"),
    ],
)
def test_the_project_of_a_library_is_told_by_its_name(file: str, name: str) -> None:
    assert is_library(file)
    assert [project.name for project in projects_of([file])] == [name]


@pytest.mark.parametrize("file", ["libpython3.11.so.1.0", "uvloop/loop.cpython-311-x86_64-linux-gnu.so", "lib/a.py"])
def test_modules_and_python_are_told_from_libraries(file: str) -> None:
    assert not is_library(file)


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
