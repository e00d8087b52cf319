"""The README tells of every setting, command and call there is."""

import tomllib
from pathlib import Path

import click
import pytest

from gateway.api.openapi import build_openapi
from gateway.cli.main import COMMANDS, gateway
from gateway.models import RatePolicy
from gateway.resources import resource_text

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def settings_keys() -> list[tuple[str, str]]:
    return [(table, key) for table, keys in tomllib.loads(resource_text("settings.toml")).items() for key in keys]


@pytest.mark.parametrize(("table", "key"), settings_keys())
def test_the_readme_tells_of_every_setting(table: str, key: str) -> None:
    (row, *_) = [line for line in README.splitlines() if line.startswith(f"| `{table}.") and f"{key}`" in line]

    assert row


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_tells_of_every_command_and_its_sub_commands(name: str) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `gateway {name}")]
    command = gateway.get_command(click.Context(gateway), name)

    assert all(f"{sub}`" in row for sub in getattr(command, "commands", ()))


def test_the_readme_tells_of_every_call() -> None:
    document = build_openapi(server_url="/", rate=RatePolicy(100, 60))
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path.removeprefix('/api/v1')}`" in README
