"""The licences of what is inside the binary, as one text: of packages, as they came with them, and of libraries."""

import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

from libraries import INSIDE_OTHERS, LICENSES, Project, projects_of

GPL = LICENSES / "GPL-3.0.txt"
"""The LGPL is a few permissions on top of it, and obliges to bring both texts along (LGPL-3.0, section 4)."""
COPYLEFT = "LGPL-3.0"
RULE = "=" * 80
HEAD = """\
The gateway is under the MIT licence. This binary also holds the packages and shared libraries below, each under its own
licence.

psycopg is used under the GNU Lesser General Public License 3. You may change it and run the gateway with your own:
gateway-dir/ has it as plain files below _internal/psycopg and _internal/psycopg_binary, which may be replaced, and
"make binary" in the gateway's sources makes both shapes of the binary anew, from whatever requirements-binary.lock
names. The same holds for the libraries under the LGPL 2.1: gateway-dir/ has them as files below _internal/ and
_internal/psycopg_binary.libs. The source of everything is at the address given with it.
"""


def write_licenses(path: Path, packages: Iterable[Distribution], libraries: Iterable[str]) -> None:
    """Write one file for `packages`, Python itself and `libraries`, which are names of files.

    Raises FileNotFoundError for a package without a text, LookupError for a library of an unknown project.
    """
    ordered = sorted(packages, key=lambda package: package.name.lower())
    parts = [HEAD, *map(package_part, ordered), python_part()]
    parts += [library_part(project, files) for project, files in projects_of(libraries).items()]
    parts += [library_part(project, []) for project in INSIDE_OTHERS]
    if any(is_copyleft(package) for package in ordered):
        parts.append(f"{RULE}\nThe GNU General Public License 3, which the LGPL refers to\n\n{GPL.read_text()}")
    path.write_text("\n".join(parts), encoding="utf-8")


def package_part(package: Distribution) -> str:
    """Return name, licence, source and texts of a package. Raises FileNotFoundError if it brings no text along."""
    texts = [text.strip("\n") for text in license_texts(package)]
    if not texts:
        raise FileNotFoundError(f"{package.name} {package.version} brings no licence along")
    source = f"https://pypi.org/project/{package.name}/{package.version}/"
    return "\n\n".join([f"{RULE}\n{package.name} {package.version}, {license_of(package)}\n{source}", *texts]) + "\n"


def license_of(package: Distribution) -> str:
    """Return the licence in a few words: its SPDX expression, or what older metadata says."""
    metadata = package.metadata
    classifiers = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier", []) if "License" in each]
    stated = [*metadata.get_all("License-Expression", []), *metadata.get_all("License", []), ", ".join(classifiers)]
    return next(filter(None, stated), "see below")


def license_texts(package: Distribution) -> list[str]:
    """Return the texts that came with a package, in the order of their names."""
    files = sorted((file for file in package.files or () if is_license(str(file))), key=str)
    return [Path(str(package.locate_file(file))).read_text(encoding="utf-8") for file in files]


def is_license(file: str) -> bool:
    """Tell whether a file of a package is one of its licences: below `licenses/`, or beside the metadata."""
    folder, _, name = file.rpartition("/")
    return ".dist-info" in folder and ("/licenses" in folder or name.upper().startswith(("LICEN", "COPYING", "NOTICE")))


def is_copyleft(package: Distribution) -> bool:
    """Tell whether a package is under the LGPL."""
    return COPYLEFT in license_of(package)


def python_part() -> str:
    """Return Python's licence, which is beside its library."""
    text = Path(sysconfig.get_path("stdlib"), "LICENSE.txt").read_text(encoding="utf-8")
    return f"{RULE}\nPython\nhttps://www.python.org/\n\n{text}"


def library_part(project: Project, files: list[str]) -> str:
    """Return name, files, licence, source and text of a library."""
    head = [f"Library {project.name}", *([" ".join(files)] if files else []), project.license, project.source]
    return "\n".join([RULE, *head, "", project.read_text(), ""])
