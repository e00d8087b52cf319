"""What listings look like on a terminal, and in a pipe."""

import os
import pty
import re
import subprocess
from contextlib import suppress

import pytest

from tests.cli.conftest import Airbyte, Cli, environment
from tests.support import BOUND_SECONDS, PROGRAM

COLOURED = re.compile(r"\x1b\[[0-9;]+m")


def on_terminal(cli: Cli, *words: str, columns: int, **env: str) -> str:
    """All that the program writes to a terminal so wide."""
    reader, terminal = pty.openpty()
    with os.fdopen(reader, "rb") as screen:
        with os.fdopen(terminal, "wb") as output:
            subprocess.run(
                [*PROGRAM, *words, "--settings", str(cli.settings)],
                env=environment(COLUMNS=str(columns), TERM="xterm", **env),
                stdout=output,
                stderr=output,
                timeout=BOUND_SECONDS,
                check=False,
            )
        shown = b""
        # When nobody has the terminal open any more, reading on is an error.
        with suppress(OSError):
            while part := os.read(screen.fileno(), 4096):
                shown += part
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture
def acme(cli: Cli) -> Cli:
    cli.ok("client", "add", "--name", "Acme Incorporated of Delaware", "--slug", "acme")
    return cli


def test_a_table_fits_the_terminal_and_says_what_it_left_out(acme: Cli) -> None:
    shown = on_terminal(acme, "client", "list", columns=60)

    heading, row, note = COLOURED.sub("", shown).splitlines()
    assert max(len(heading), len(row)) <= 60
    assert heading.split()[:3] == ["slug", "name", "plan"]
    assert "disabled_at" not in heading
    assert row.startswith("acme  Acme ")
    assert re.fullmatch(r"Too wide for this terminal: .*disabled_at.*\. --json shows all\.", note)


def test_a_terminal_gets_colour_unless_it_is_refused(acme: Cli) -> None:
    assert COLOURED.search(on_terminal(acme, "client", "list", columns=200))
    assert COLOURED.search(on_terminal(acme, "doctor", columns=200))
    assert not COLOURED.search(on_terminal(acme, "client", "list", columns=200, NO_COLOR="1"))
    assert not COLOURED.search(on_terminal(acme, "doctor", columns=200, NO_COLOR="1"))
    assert not COLOURED.search(acme.ok("client", "list").stdout)


def test_json_on_a_terminal_has_all_and_no_colour(acme: Cli) -> None:
    shown = on_terminal(acme, "client", "list", "--json", columns=20)

    assert '"created_at"' in shown
    assert not COLOURED.search(shown)


def test_an_import_and_an_apply_show_a_bar_on_a_terminal(connected: Cli, airbyte: Airbyte) -> None:
    world = airbyte.sandbox.world
    workspace = world.add_workspace("Work").workspace_id
    world.add_connection(workspace)
    connected.ok("client", "add", "--name", "Acme", "--slug", "acme")
    manifest = connected.folder / "clients.toml"

    words = ("connection", "import", "--client", "acme", "--workspace", workspace)
    imported = on_terminal(connected, *words, columns=80)
    connected.ok("export", str(manifest))
    manifest.write_text(manifest.read_text().replace('plan = "free"', 'plan = "pro"'))
    applied = on_terminal(connected, "apply", str(manifest), "--yes", columns=80)

    assert re.search(r"Importing  .* 1", imported)
    assert imported.endswith("Imported 1, skipped 0 already mapped.\n")
    assert re.search(r"Applying  \[#+\]  100%", applied)
    assert applied.endswith("Changed 1.\n")
