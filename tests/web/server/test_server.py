"""What the server may rely on."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_uvicorn_is_pinned_to_the_minor_release_whose_private_parts_are_built_upon() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (pin,) = (each for each in project["dependencies"] if each.startswith("uvicorn"))
    match = re.fullmatch(r"uvicorn>=0\.(\d+),<0\.(\d+)", pin)

    assert match
    assert int(match[2]) == int(match[1]) + 1
    assert version("uvicorn").startswith(f"0.{match[1]}.")
