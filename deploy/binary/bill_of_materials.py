"""What is inside the binary, as CycloneDX JSON: read off the very list of files that it is made of.

`python bill_of_materials.py FILE COMMIT` writes what is inside the environment that runs it, as the image's is.
"""

import hashlib
import json
import platform
import sqlite3
import ssl
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from gateway import __version__

Component = dict[str, Any]


Contents = Iterable[tuple[str, str | None, str]]
"""PyInstaller's rows: name in the binary, file it comes from, kind."""


def sources_of(contents: Contents) -> set[Path]:
    # A link's source is where it points to within the binary: a file that is another row's.
    return {Path(source).resolve() for _, source, kind in contents if source and kind != "SYMLINK"}


def packages_in(contents: Contents) -> list[Distribution]:
    """Those of which the binary has a file."""
    sources = sources_of(contents)
    return [package for package in distributions() if sources.intersection(files_of(package))]


def write_bill(path: Path, contents: Contents, commit: str) -> None:
    sources, packages = sources_of(contents), packages_in(contents)
    found = sources - {file for package in packages for file in files_of(package)}
    libraries = sorted(source for source in found if is_shared_library(source))
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "bom-ref": "gateway",
                "type": "application",
                "name": "gateway",
                "version": __version__,
                "licenses": [{"license": {"id": "MIT"}}],
                "properties": [{"name": "commit", "value": commit}],
            }
        },
        "components": [
            *sorted(map(package_component, packages), key=lambda component: component["name"]),
            generic_component("python", platform.python_version()),
            generic_component("sqlite", sqlite3.sqlite_version),
            generic_component("openssl", ssl.OPENSSL_VERSION.split()[1]),
            *map(library_component, libraries),
        ],
    }
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


def files_of(package: Distribution) -> Iterator[Path]:
    """Those that make it work; its description alone would not put it into the binary."""
    for file in package.files or ():
        if ".dist-info" not in file.parent.name:
            yield Path(str(package.locate_file(file))).resolve()


def is_shared_library(source: Path) -> bool:
    """Whether it is a library of the machine's rather than a module of Python's own."""
    return ".so" in source.name and not source.is_relative_to(sysconfig.get_path("stdlib"))


def package_component(package: Distribution) -> Component:
    name = package.name.lower().replace("_", "-")
    purl = f"pkg:pypi/{name}@{package.version}"
    return {"bom-ref": purl, "type": "library", "name": name, "version": package.version, "purl": purl}


def generic_component(name: str, version: str) -> Component:
    purl = f"pkg:generic/{name}@{version}"
    return {"bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl}


def library_component(source: Path) -> Component:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return {
        "bom-ref": source.name,
        "type": "file",
        "name": source.name,
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


def environment() -> Contents:
    """The files of all packages of this environment."""
    return [(file.name, str(file), "BINARY") for package in distributions() for file in files_of(package)]


if __name__ == "__main__":
    write_bill(Path(sys.argv[1]), environment(), sys.argv[2])
