"""gateway migrate, and what serve does of it: with the next version of the gateway, made here by adding a step."""

import json
import subprocess
from pathlib import Path

import pytest

from gateway.store.sqlite.file_format import SCHEMA_VERSION
from tests.cli.conftest import Cli, finished, running
from tests.faults.installation import refusal
from tests.next_version import NEXT, next_version_in

STEP = "ALTER TABLE clients ADD COLUMN note TEXT;\n"


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    """A folder with a gateway whose database has one more column."""
    return next_version_in(tmp_path / "next", sqlite=STEP, postgres=STEP)


def test_serve_migrates_and_the_copy_leads_back(cli: Cli, next_version: Path) -> None:
    cli.ok("client", "add", "--name", "Acme", "--slug", "acme")
    settings = ("--settings", str(cli.settings))
    database = cli.database.resolve()

    def new(*arguments: str) -> subprocess.CompletedProcess[str]:
        return finished(*arguments, *settings, folder=next_version)

    assert refusal(new("client", "list")) == (
        f"Error: {database}: written by an older gateway (schema {SCHEMA_VERSION}, this one needs {NEXT}); "
        "bring it up to date with: gateway migrate"
    )
    with running("serve", "--port", "0", *settings, folder=next_version) as program:
        told = json.loads(program.wait_for_line(program.err, '"event":"database_migrated"').string)
        program.wait_for_line(program.err, r'"event":"listening"')
    assert (told["database"], told["before"], told["after"]) == (str(database), SCHEMA_VERSION, NEXT)
    assert "acme" in new("client", "list").stdout
    assert new("migrate").stdout == f"{database} is up to date.\n"

    newer = f"written by a newer gateway (schema {NEXT}, this one knows {SCHEMA_VERSION})"
    assert newer in cli.refusal("client", "list")
    assert newer in cli.refusal("backup", str(cli.folder / "backup.db"))
    cli.ok("restore", told["kept_as"], "--yes")
    assert [row["slug"] for row in cli.json("client", "list")] == ["acme"]

    # And the backup of an older version is as good as any for the newer gateway.
    assert new("restore", told["kept_as"], "--yes").returncode == 0
    assert new("migrate").stdout.startswith(f"Migrated {database} from version {SCHEMA_VERSION} to {NEXT}; ")
    assert "acme" in new("client", "list").stdout


def test_an_up_to_date_database_needs_no_migration(cli: Cli) -> None:
    before = cli.dump()

    assert cli.ok("migrate").stdout == f"{cli.database.resolve()} is up to date.\n"
    said = cli.json("migrate")
    assert (said["before"], said["after"], said["copy"]) == (SCHEMA_VERSION, SCHEMA_VERSION, None)
    assert cli.dump() == before
    assert {path.name for path in cli.folder.iterdir()} == {"settings.toml", "gateway.db"}
