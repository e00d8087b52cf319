"""Whom the files beside a database belong to: root makes them for the user who runs the gateway."""

import os
from pathlib import Path


def give_to_owner(descriptor: int, model: Path) -> None:
    """Give the open file, if we are root, to the owner of `model`."""
    if os.geteuid() == 0:
        found = model.stat()
        os.fchown(descriptor, found.st_uid, found.st_gid)
