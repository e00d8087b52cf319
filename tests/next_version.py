"""The next version of the gateway, made by adding a step to a copy of this one."""

import shutil
from pathlib import Path

from gateway.store.sqlite.file_format import SCHEMA_VERSION

TOP = Path(__file__).parent.parent
NEXT = SCHEMA_VERSION + 1


def next_version_in(folder: Path, *, sqlite: str, postgres: str) -> Path:
    """A folder with a gateway whose database has had one step more."""
    shutil.copytree(TOP / "gateway", folder / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("schema.sql", "settings.toml"):
        shutil.copyfile(TOP / name, folder / name)
    file_format = folder / "gateway" / "store" / "sqlite" / "file_format.py"
    text = file_format.read_text()
    assert f"\nSCHEMA_VERSION = {SCHEMA_VERSION}\n" in text
    file_format.write_text(text.replace(f"\nSCHEMA_VERSION = {SCHEMA_VERSION}\n", f"\nSCHEMA_VERSION = {NEXT}\n"))
    for kind, step in (("sqlite", sqlite), ("postgres", postgres)):
        (folder / "gateway" / "store" / "migrations" / f"{NEXT:04}_notes.{kind}.sql").write_text(step)
    return folder
