"""Puts the commit into the wheel, for `gateway --version`."""

import runpy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelHook(BuildHookInterface[Any]):
    """Hatchling finds it by its base class."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        top = Path(self.root)
        self.folder = TemporaryDirectory()
        file = Path(self.folder.name) / "commit.txt"
        file.write_text(runpy.run_path(str(top / "deploy" / "commit.py"))["commit_of"](top), encoding="utf-8")
        build_data["force_include"][str(file)] = "gateway/commit.txt"
