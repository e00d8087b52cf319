"""The files that travel with the package: `schema.sql` and `settings.toml`.

A wheel or a binary carries them inside the package; a checkout keeps them at its top.
"""

from pathlib import Path

PACKAGE = Path(__file__).parent


def resource_text(name: str) -> str:
    packaged = PACKAGE / name
    path = packaged if packaged.exists() else PACKAGE.parent / name
    return path.read_text(encoding="utf-8")
