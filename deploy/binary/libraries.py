"""Libraries inside the binary that are no package: whose work each is, and under which licence.

`licenses/` has the texts, because neither Python nor the packages that brought the libraries along have them.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LICENSES = Path(__file__).parent / "licenses"
FILE_NAME = re.compile(r"(lib[a-z0-9_]+?)(?:-[0-9a-f]+)?\.so(?:\.[0-9.]+)?")
"""As the machine names it, or as a package does that has its own: with a hash before `.so`."""
OF_PYTHON = "libpython"
"""Has a part of its own."""


class Project(NamedTuple):
    """One that others' programs link to: `files` are its shared libraries, as far as the binary may have them."""

    name: str
    license: str
    source: str
    text: str
    files: tuple[str, ...] = ()

    def read_text(self) -> str:
        return (LICENSES / self.text).read_text(encoding="utf-8").strip("\n")


PROJECTS = (
    Project("bzip2", "bzip2-1.0.6", "https://sourceware.org/bzip2/", "bzip2.txt", ("libbz2",)),
    Project("com_err", "MIT", "https://e2fsprogs.sourceforge.net/", "com_err.txt", ("libcom_err",)),
    Project("Cyrus SASL", "BSD-4-Clause", "https://www.cyrusimap.org/sasl/", "cyrus-sasl.txt", ("libsasl2",)),
    Project("glibc", "LGPL-2.1", "https://www.gnu.org/software/libc/", "LGPL-2.1.txt", ("libcrypt",)),
    Project("keyutils", "LGPL-2.1", "https://git.kernel.org/", "LGPL-2.1.txt", ("libkeyutils",)),
    Project(
        *("MIT Kerberos", "MIT", "https://web.mit.edu/kerberos/", "krb5.txt"),
        ("libgssapi_krb5", "libk5crypto", "libkrb5", "libkrb5support"),
    ),
    Project("libffi", "MIT", "https://sourceware.org/libffi/", "libffi.txt", ("libffi",)),
    Project("OpenLDAP", "OLDAP-2.8", "https://www.openldap.org/", "openldap.txt", ("liblber", "libldap")),
    Project("OpenSSL", "Apache-2.0", "https://www.openssl.org/", "openssl.txt", ("libcrypto", "libssl")),
    Project("PostgreSQL", "PostgreSQL", "https://www.postgresql.org/", "postgresql.txt", ("libpq",)),
    Project("SQLite", "public domain", "https://www.sqlite.org/", "sqlite.txt", ("libsqlite3",)),
    Project("util-linux", "BSD-3-Clause", "https://www.kernel.org/pub/linux/utils/", "libuuid.txt", ("libuuid",)),
    Project("XZ Utils", "public domain", "https://tukaani.org/xz/", "xz.txt", ("liblzma",)),
)
INSIDE_OTHERS = (
    Project("Expat in Python", "MIT", "https://libexpat.github.io/", "expat.txt"),
    Project("libmpdec in Python", "BSD-2-Clause", "https://www.bytereef.org/mpdecimal/", "libmpdec.txt"),
    Project("libuv in uvloop", "MIT", "https://libuv.org/", "libuv.txt"),
)
"""No files of their own."""


def is_library(file: str) -> bool:
    """Tell whether a file of the binary is a shared library, rather than a module or Python itself."""
    name = file.rpartition("/")[2]
    return FILE_NAME.fullmatch(name) is not None and not name.startswith(OF_PYTHON)


def projects_of(files: Iterable[str]) -> dict[Project, list[str]]:
    """Return the projects that libraries are of, with the names of the files. Raises LookupError for another's."""
    by_library = {library: project for project in PROJECTS for library in project.files}
    found: dict[Project, list[str]] = {}
    for name in sorted({file.rpartition("/")[2] for file in files}):
        match = FILE_NAME.fullmatch(name)
        if match is None or match[1] not in by_library:
            raise LookupError(f"{name}: name its project in deploy/binary/libraries.py, and its licence")
        found.setdefault(by_library[match[1]], []).append(name)
    return found
