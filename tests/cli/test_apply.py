"""gateway export and gateway apply."""

import re
import shutil
import sqlite3
import stat
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

UUIDS = [f"9924bcd0-99be-453d-ba47-c2c9766f7d{number:02}" for number in range(10)]


@pytest.fixture
def filled(cli: Cli, filled_database: Path) -> Cli:
    shutil.copyfile(filled_database, cli.database)
    return cli


@pytest.fixture(scope="module")
def filled_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clients with everything. Made once: a test begins with a copy."""
    cli = Cli(tmp_path_factory.mktemp("filled") / "settings.toml")
    cli.settings.write_text('[airbyte]\nbase_url = "http://127.0.0.1:9/api/public/v1"\n')
    cli.ok("init")
    for slug in ("globex", "acme"):
        cli.ok("client", "add", "--name", f'{slug.title()} "Inc" → ü', "--slug", slug)
        for label in ("Web shop", "Billing"):
            cli.ok("connection", "add", "--client", slug, "--connector-type", "shopify", "--label", label)
        cli.ok("key", "create", "--client", slug, "--name", "nightly", "--expires", "2030-01-31", "--rate", "6/60")
        cli.ok("user", "invite", "--client", slug, "--email", f"ann@{slug}.example")
    cli.ok("client", "update", "acme", "--rate", "600/60", "--plan", "pro")
    cli.ok("client", "disable", "globex", "--yes")
    cli.ok("user", "invite", "--admin", "--email", "op@example.com")
    mapped = [row["id"] for row in cli.json("connection", "list", "--client", "acme")]
    for connection_id, airbyte_id in zip(mapped, UUIDS, strict=False):
        execute(
            cli,
            "UPDATE connections SET airbyte_id = ?, workspace_id = ? WHERE id = ?",
            airbyte_id,
            UUIDS[9],
            connection_id,
        )
    return cli.database


@pytest.fixture
def file(filled: Cli) -> Path:
    path = filled.folder / "manifest.toml"
    filled.ok("export", str(path))
    return path


def execute(cli: Cli, sql: str, *parameters: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(cli.database)) as connection, connection:
        return connection.execute(sql, parameters).fetchall()


def exported(cli: Cli) -> str:
    return cli.ok("export").stdout


def edit(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def section(path: Path, pattern: str) -> str:
    """One table of the file, with its header."""
    match = re.search(rf"^\[{pattern}\]\n(?:.+\n)*\n?", path.read_text(), re.MULTILINE)
    assert match
    return match[0]


def activity(cli: Cli) -> list[tuple[object, ...]]:
    return execute(cli, "SELECT action, subject, client_id, actor, by_operator FROM activity ORDER BY number")


def test_an_export_applied_to_its_own_database_changes_nothing(filled: Cli, file: Path) -> None:
    before, dump = file.read_bytes(), filled.dump()

    assert filled.ok("apply", str(file)).stdout == "Nothing to change.\n"
    assert filled.dump() == dump
    assert exported(filled).encode() == before


def test_an_export_as_json_says_the_same(filled: Cli, file: Path) -> None:
    filled.ok("webhook", "add", "--client", "acme", "--url", "https://hooks.example/")
    filled.ok("export", str(file))

    assert filled.json("export") == tomllib.loads(file.read_text())
    assert filled("export", str(file), "--json").exit_code == 2


def test_an_export_is_for_its_operator_alone_unless_its_file_is_not(filled: Cli, tmp_path: Path) -> None:
    path = tmp_path / "new.toml"

    filled.ok("export", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.chmod(0o644)
    filled.ok("export", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_export_has_no_secret_in_it(filled: Cli, file: Path) -> None:
    secret = filled.ok("key", "create", "--client", "acme", "--name", "another").stdout.strip()
    text = exported(filled)

    assert "another" in text
    assert secret not in text
    assert secret[9:] not in text
    assert not any(word in text for word in ("password", "digest", "link"))


def test_a_new_machine_gives_clients_the_same_ids_in_the_same_order(filled: Cli, file: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    new = Cli(tmp_path / "new" / "settings.toml")
    new.settings.touch()
    new.ok("init")

    told = new.ok("apply", str(file), "--yes").stdout

    assert "! key key_" in told
    assert "make a new one with: gateway key create --client acme --name nightly" in told
    assert "make a link with: gateway user reset ann@acme.example" in told
    without_keys = re.sub(r"\[keys\..*", "", file.read_text(), flags=re.DOTALL).rstrip()
    assert exported(new).rstrip() == without_keys
    for listing in (("connection", "list", "--client", "acme"), ("connection", "list", "--client", "globex")):
        assert [row["id"] for row in new.json(*listing)] == [row["id"] for row in filled.json(*listing)]
    assert [row["has_password"] for row in new.json("user", "list")] == [False] * 3
    assert {row["status"] for row in new.json("connection", "list")} == {"pending"}


def test_what_would_change_is_told_and_done_only_when_agreed(filled: Cli, file: Path) -> None:
    edit(file, ('plan = "pro"', 'plan = "gold"'), ("disabled = true\n", ""))
    file.write_text(file.read_text() + '\n[clients.initech]\nname = "Initech"\n')
    before = filled.dump()
    lines = [
        "~ client acme: plan pro -> gold",
        "~ client globex: disabled true -> false",
        "+ client initech",
    ]

    assert filled.ok("apply", str(file), "--dry-run").stdout.splitlines() == [*lines, "Would change 3."]
    assert filled("apply", str(file), answer="n\n").exit_code == 1
    assert filled.dump() == before
    assert filled.ok("apply", str(file), answer="y\n").stdout.splitlines()[:3] == lines
    assert filled.ok("apply", str(file)).stdout == "Nothing to change.\n"
    assert [entry[:2] + entry[3:] for entry in activity(filled)[-3:]] == [
        ("client.update", 'Acme "Inc" → ü (acme)', "command line", 1),
        ("client.enable", 'Globex "Inc" → ü (globex)', "command line", 1),
        ("client.create", "Initech (initech)", "command line", 1),
    ]
    assert [entry[2] for entry in activity(filled)[-3:]] == [2, 1, 3]


def test_as_json(filled: Cli, file: Path) -> None:
    edit(file, ('plan = "pro"', 'plan = "gold"'))
    expected = {"changes": ["~ client acme: plan pro -> gold"], "kept": [], "notes": []}

    assert filled.json("apply", str(file), "--dry-run") == {**expected, "applied": False}
    assert filled.json("apply", str(file), "--yes") == {**expected, "applied": True}


def test_connections_may_change_places(filled: Cli, file: Path) -> None:
    first, second = UUIDS[:2]
    execute(filled, "UPDATE connections SET last_sync_at = '2026', status = 'active' WHERE airbyte_id IS NOT NULL")
    edit(file, (first, "other"), (second, first), ("other", second), ('label = "Billing"', 'label = "Invoices"'))

    filled.ok("apply", str(file), "--yes")

    assert exported(filled) == file.read_text()
    rows = execute(filled, "SELECT label, airbyte_id, status, last_sync_at FROM connections WHERE client_id = 2")
    assert rows == [("Web shop", second, "pending", None), ("Invoices", first, "pending", None)]


def test_what_a_file_does_not_know_of_a_workspace_stays(filled: Cli, file: Path) -> None:
    file.write_text(re.sub(r"workspace_id = .*\n", "", file.read_text()))

    assert filled.ok("apply", str(file)).stdout == "Nothing to change.\n"


def test_what_is_not_in_the_file_is_kept_unless_it_is_to_be_pruned(filled: Cli, file: Path) -> None:
    (connection_id, *_) = [row["id"] for row in filled.json("connection", "list", "--client", "acme")]
    globex = [section(file, pattern) for pattern in ("clients.globex", r'users."ann@globex.example"')]
    globex += [
        section(file, rf"connections.{row['id']}") for row in filled.json("connection", "list", "--client", "globex")
    ]
    globex += [section(file, rf"keys.{row['id']}") for row in filled.json("key", "list")]
    edit(file, *((part, "") for part in [*globex, section(file, f"connections.{connection_id}")]))
    before = filled.dump()

    kept = filled.ok("apply", str(file)).stdout
    assert kept.count("not in the file, kept; --prune removes it") == 3
    assert kept.endswith("Nothing to change.\n")
    assert filled.dump() == before

    lines = filled.ok("apply", str(file), "--prune", "--yes").stdout.splitlines()

    assert [line.split(" (")[0] for line in lines[:3]] == [
        f"- key {filled.json('key', 'list')[0]['id']}",
        f"- connection {connection_id}",
        "- client globex with its connections",
    ]
    assert exported(filled) == file.read_text().rstrip() + "\n"
    assert [row["slug"] for row in filled.json("client", "list")] == ["acme"]
    (key,) = filled.json("key", "list")
    assert key["revoked_at"] is not None
    assert [entry[0] for entry in activity(filled)[-3:]] == ["key.revoke", "connection.remove", "client.remove"]
    assert [entry[2] for entry in activity(filled)[-3:]] == [2, 2, 1]


def test_a_file_gives_a_key_no_more_than_it_has(filled: Cli, file: Path) -> None:
    (key,) = filled.json("key", "list", "--client", "acme")
    before = section(file, f"keys.{key['id']}")
    less = (
        before.replace('"full"', '"read"').replace("2030", "2029").replace("6/60", "7/60").replace("nightly", "daily")
    )
    edit(file, (before, less))
    filled.ok("apply", str(file), "--yes")
    assert exported(filled) == file.read_text()

    edit(file, (less, before))
    told = filled.ok("apply", str(file), "--yes").stdout

    assert "may do less here, or ends sooner" in told
    (key,) = filled.json("key", "list", "--client", "acme")
    assert (key["name"], key["rate"], key["scope"], key["expires_at"][:4]) == ("nightly", "6/60", "read", "2029")


def test_a_revoked_key_is_not_revived(filled: Cli, file: Path) -> None:
    (key,) = filled.json("key", "list", "--client", "acme")
    filled.ok("key", "revoke", key["id"], "--yes")

    assert f"! key {key['id']} (nightly) of acme is revoked here" in filled.ok("apply", str(file)).stdout


@pytest.mark.parametrize("kind", ["connection", "key", "user"])
def test_nothing_changes_hands(filled: Cli, file: Path, kind: str) -> None:
    names = {
        "connection": filled.json("connection", "list", "--client", "acme")[0]["id"],
        "key": filled.json("key", "list", "--client", "acme")[0]["id"],
        "user": '"ann@acme.example"',
    }
    before = section(file, f"{kind}s.{names[kind]}")
    edit(file, (before, before.replace('client = "acme"', 'client = "globex"')))
    dump = filled.dump()

    refusal = filled.refusal("apply", str(file), "--yes")

    assert refusal == f"{kind}s.{names[kind]}.client: is of acme here, and nothing changes hands: remove it first"
    assert filled.dump() == dump


def test_an_airbyte_connection_stays_one_clients(filled: Cli, file: Path) -> None:
    mine, _ = filled.json("connection", "list", "--client", "acme")
    edit(file, (mine["id"], "conn_0000000000000000"))

    refusal = filled.refusal("apply", str(file), "--yes")
    assert refusal == (
        f"connections.conn_0000000000000000.airbyte_id: is mapped to {mine['id']} here, which is not in this file"
    )

    filled.ok("apply", str(file), "--yes", "--prune")
    assert {row["id"] for row in filled.json("connection", "list", "--client", "acme")} > {"conn_0000000000000000"}


def test_the_last_admin_who_can_sign_in_stays_and_all_else_too(filled: Cli, file: Path) -> None:
    execute(filled, "UPDATE users SET password_hash = 'x' WHERE email = 'op@example.com'")
    edit(file, (section(file, r'users."op@example.com"'), ""), ('plan = "pro"', 'plan = "gold"'))
    before = filled.dump()

    result = filled("apply", str(file), "--yes", "--prune")

    assert result.exit_code == 1
    assert result.stderr == "Error: op@example.com is the last admin who can sign in: nothing was changed\n"
    assert filled.dump() == before


def test_a_file_that_is_wrong_is_one_line_and_changes_nothing(filled: Cli, file: Path) -> None:
    edit(file, ('plan = "pro"', "plan = 3"))
    before = filled.dump()

    assert filled.refusal("apply", str(file), "--yes") == f"{file}: clients.acme.plan: expected `str`, got `int`"
    assert filled.dump() == before


def test_an_export_replaces_only_exports(filled: Cli, file: Path) -> None:
    filled.ok("client", "update", "acme", "--plan", "gold")
    assert filled.ok("export", str(file)).stdout == f"Exported to {file}.\n"
    assert file.read_text() == exported(filled)
    settings = filled.settings.read_text()

    refusal = filled.refusal("export", str(filled.settings))

    assert refusal == f"{filled.settings}: not written by gateway export; nothing was changed"
    assert filled.settings.read_text() == settings
    assert {path.name for path in filled.folder.iterdir()} == {"settings.toml", "gateway.db", "manifest.toml"}


def test_a_manifest_goes_through_standard_output_and_input(filled: Cli, file: Path) -> None:
    printed = filled.ok("export", "-").stdout
    assert printed == file.read_text()
    changed = printed.replace('plan = "pro"', 'plan = "free"')

    assert "apply - needs --yes or --dry-run" in filled("apply", "-", answer=changed).stderr
    assert filled.ok("apply", "-", "--yes", answer=changed).stdout.endswith("Changed 1.\n")

    assert exported(filled) == changed


def test_a_wrong_manifest_on_standard_input_is_one_line(filled: Cli) -> None:
    assert filled.refusal("apply", "-", "--yes", answer="format = ").startswith("standard input: not valid TOML: ")
