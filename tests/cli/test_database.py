"""gateway database copy, and the commands that handle a whole database, on PostgreSQL."""

import asyncio
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.settings.secret import SecretUrl
from gateway.store.postgres.server import back_up_server, restoration_on_server
from gateway.store.sqlite.file_format import SCHEMA_VERSION
from gateway.store.sqlite.instance_lock import instance_lock
from gateway.store.timings import StoreTimings
from tests.cli.conftest import Cli, finished, invoke, refusal_of
from tests.postgres import PostgresServer, rows_of
from tests.support import store_at

PASSWORD = "correct-horse"
NOW = datetime(2026, 4, 1, 3, tzinfo=UTC)


@pytest.fixture
def url(postgres: PostgresServer) -> SecretUrl:
    return postgres.bare()


@pytest.fixture
def server(tmp_path: Path, url: SecretUrl) -> Cli:
    """The command line with a PostgreSQL database, its tables made, and a client with a key."""
    command = on(url, tmp_path)
    command.ok("init")
    command.ok("client", "add", "--name", "Acme", "--slug", "acme")
    command.ok("key", "create", "--client", "acme", "--name", "k")
    return command


def on(url: SecretUrl, folder: Path) -> Cli:
    settings = folder / "server.toml"
    settings.write_text(
        f'[airbyte]\nbase_url = "http://127.0.0.1:9/api/public/v1"\n[database]\nurl = "{url.reveal()}"\n'
    )
    return Cli(settings)


def slugs(command: Cli) -> list[str]:
    return [client["slug"] for client in command.json("client", "list")]


def test_init_makes_the_tables_once(tmp_path: Path, url: SecretUrl) -> None:
    command = on(url, tmp_path)
    assert command.refusal("client", "list") == f"{url}: no gateway database; make its tables with: gateway init"

    assert command.ok("init").stdout == f"Made the tables in {url}.\n"

    assert command.refusal("init") == f"{url}: already holds tables; nothing was changed"
    assert command.ok("migrate").stdout == f"{url} is up to date.\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: SecretUrl(url.reveal() + "_no"), r"does not exist; create it with: createdb --owner USER NAME$"),
        (lambda _: SecretUrl("postgresql://postgres@127.0.0.1:1/gateway"), r"Connection refused"),
        (
            lambda url: SecretUrl(url.reveal().replace("postgres@", f"nobody:{PASSWORD}@")),
            r'role "nobody" does not exist',
        ),
    ],
)
def test_a_database_that_cannot_be_reached_is_one_line(tmp_path: Path, url: SecretUrl, change: Any, words: str) -> None:
    line = on(change(url), tmp_path).refusal("client", "list")

    assert re.search(words, line)
    assert PASSWORD not in line


def test_a_user_who_may_not_make_tables_is_told_what_to_do(tmp_path: Path, url: SecretUrl) -> None:
    rows_of(url, "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA public TO guest")

    line = on(SecretUrl(url.reveal().replace("postgres@", "guest@")), tmp_path).refusal("init")

    assert re.search(r"permission denied for schema public.*; make this user the owner of the database", line)


def test_the_password_is_shown_nowhere(tmp_path: Path, url: SecretUrl) -> None:
    (tmp_path / "url").write_text(url.reveal().replace("postgres@", f"postgres:{PASSWORD}@") + "\n")
    env = {"GATEWAY_DATABASE_URL_FILE": str(tmp_path / "url")}
    outputs = [
        invoke(*arguments, env=env).output
        for arguments in (["init"], ["init"], ["config"], ["doctor"], ["backup", str(tmp_path / "b.dump")])
    ]

    assert all(outputs)
    assert [output for output in outputs if PASSWORD in output] == []
    assert "postgres:********@127.0.0.1" in outputs[0]


def test_a_newer_or_foreign_database_is_refused(server: Cli, url: SecretUrl) -> None:
    rows_of(url, "UPDATE gateway_schema SET version = 99, usable_from = 99")
    assert server.refusal("client", "list").startswith(f"{url}: written by a newer gateway (schema 99, ")

    rows_of(url, "UPDATE gateway_schema SET application_id = 1")
    assert server.refusal("client", "list") == f"{url}: not a gateway database"


def test_a_backup_brings_back_what_was_there(server: Cli, url: SecretUrl) -> None:
    path = server.folder / "one.dump"
    made = server.json("backup", str(path))
    assert (made["path"], made["rows"]["clients"], made["rows"]["api_keys"]) == (str(path), 1, 1)
    assert path.stat().st_mode & 0o777 == 0o600
    before = rows_of(url, "SELECT * FROM api_keys")
    server.ok("client", "add", "--name", "B", "--slug", "later")
    server.ok("client", "remove", "acme", "--yes")

    restored = server.json("restore", str(path), "--revive-keys", "--yes")

    assert slugs(server) == ["acme"]
    assert rows_of(url, "SELECT * FROM api_keys") == before
    assert restored["rows"] == made["rows"]
    assert [each["ended"] for each in restored["ended_keys"]] == ["removed"]
    server.ok("client", "add", "--name", "C", "--slug", "next")
    kept = server.json("restore", restored["replaced"], "--yes")
    assert slugs(server) == ["later"]
    assert kept["rows"]["clients"] == 1


def test_a_backup_that_is_older_than_second_factors_says_how_many_it_would_drop(server: Cli, url: SecretUrl) -> None:
    path = str(server.folder / "older.dump")
    server.ok("user", "invite", "--client", "acme", "--email", "ann@acme.example")
    rows_of(url, "DROP TABLE recovery_codes")
    server.ok("backup", path)
    rows_of(url, "CREATE TABLE recovery_codes (user_id TEXT, digest BYTEA)")
    rows_of(url, "UPDATE users SET totp_secret = 'A', totp_since = '2026'")

    assert "and 1 person has one today: it will be off" in server("restore", path, answer="n\n").stderr
    assert server.json("restore", path, "--yes")["lost_second_factors"] == 1


def test_how_far_a_backup_and_a_restore_are_is_told(server: Cli, url: SecretUrl) -> None:
    told: list[tuple[str, int, int]] = []

    def progress(*news: Any) -> None:
        told.append(news)

    environment = dict(os.environ)
    path = server.folder / "one.dump"
    back_up_server(url, path, now=NOW, keep=None, environment=environment, progress=progress)
    backed_up = list(told)
    told.clear()
    with restoration_on_server(
        url, path, now=NOW, environment=environment, revive_keys=False, progress=progress
    ) as prepared:
        prepared.install(NOW, progress)

    assert list(dict.fromkeys(what for what, *_ in backed_up)) == ["Dumping (MB)", "Checking"]
    assert list(dict.fromkeys(what for what, *_ in told)) == ["Checking", "Rehearsing", "Dumping (MB)", "Restoring"]
    # What is read is read to its end; how large a dump becomes nobody knows.
    assert all(total == 0 for what, _, total in told if what == "Dumping (MB)")
    last = {what: (done, total) for what, done, total in told}
    assert last["Restoring"] == last["Rehearsing"]
    assert last["Restoring"][0] == last["Restoring"][1] > 0


def test_what_was_ended_since_a_backup_stays_ended(server: Cli, url: SecretUrl) -> None:
    path = str(server.folder / "one.dump")
    (key,) = server.json("key", "list")
    rows_of(
        url,
        """
        INSERT INTO users (id, client_id, email, password_hash, created_at) VALUES ('ann', 1, 'a@b', 'old', '2026');
        INSERT INTO sessions (id, digest, user_id, created_at, last_seen_at, address, agent)
            VALUES ('s', '\\x00', 'ann', '2026', '2026', '', '');
        UPDATE users SET totp_secret = 'former', totp_since = '2026', totp_last_step = 1;
        INSERT INTO recovery_codes (user_id, digest) VALUES ('ann', '\\x01'), ('ann', '\\x02');
        """,
    )
    server.ok("backup", path)
    server.ok("key", "revoke", key["id"], "--yes")
    rows_of(url, "UPDATE users SET password_hash = 'new', totp_secret = 'newer', totp_last_step = 2")
    rows_of(url, "DELETE FROM recovery_codes WHERE digest = '\\x01'")

    asked = server("restore", path, answer="n\n")
    assert key["id"] in asked.stderr
    assert "The keys listed above stay ended. [y/N]" in asked.stderr
    assert len(rows_of(url, "SELECT 1 FROM sessions")) == 1
    restored = server.json("restore", path, "--yes")

    assert [(each["id"], each["ended"]) for each in restored["ended_keys"]] == [(key["id"], "revoked")]
    assert [row["revoked_at"] is None for row in server.json("key", "list")] == [False]
    users = "SELECT password_hash, totp_secret, totp_last_step, totp_since FROM users"
    assert rows_of(url, users) == [("new", "newer", 2, "2026")]
    assert rows_of(url, "SELECT digest FROM recovery_codes") == [(b"\x02",)]
    assert rows_of(url, "SELECT 1 FROM sessions") == []


def test_backups_in_a_folder_make_room(server: Cli) -> None:
    folder = server.folder / "backups"
    folder.mkdir()
    (folder / "gateway-20200101T000000.000Z.dump").write_text("a diary")
    first = server.json("backup", str(folder))

    second = server.json("backup", str(folder), "--keep", "1")

    assert second["removed"] == [first["path"]]
    assert len(list(folder.iterdir())) == 2


def test_a_database_in_use_is_not_replaced(server: Cli, url: SecretUrl) -> None:
    path = str(server.folder / "one.dump")
    server.ok("backup", path)

    async def join() -> None:
        async with store_at(url) as store:
            await store.gateways.join("a", name="host-a:1", is_alone=True)

    asyncio.run(join())

    assert "in use by the gateway host-a:1" in server.refusal("restore", path, "--yes")
    rows_of(url, f"UPDATE gateways SET seen_at = seen_at - {int(StoreTimings().live) * 1001}")
    server.ok("restore", path, "--yes")


def test_a_restore_drops_nobody_elses_tables(server: Cli, url: SecretUrl) -> None:
    backup = server.json("backup", str(server.folder / "gateway.dump"))["path"]
    rows_of(url, "CREATE TABLE invoices (number INT)")

    assert server.refusal("restore", backup, "--yes") == (
        f"{url}: holds tables that are no gateway's (invoices), which a restore would drop; "
        "restore into a database of its own"
    )
    assert rows_of(url, "SELECT * FROM invoices") == []


def test_a_wrong_backup_changes_nothing(server: Cli, url: SecretUrl, postgres: PostgresServer) -> None:
    folder = server.folder
    (folder / "diary").write_text("Dear diary")
    for name in ("diary", "missing"):
        assert (
            server.refusal("restore", str(folder / name), "--yes")
            == f"{folder / name}: not a backup of a PostgreSQL database"
        )
    server.ok("backup", str(folder / "half.dump"))
    (folder / "half.dump").write_bytes((folder / "half.dump").read_bytes()[:-3000])
    assert server.refusal("restore", str(folder / "half.dump"), "--yes").startswith("pg_restore: ")
    rows_of(url, "UPDATE gateway_schema SET version = 99")
    newer = on(url, folder)
    assert "newer gateway" in newer.refusal("backup", str(folder / "newer.dump"))
    rows_of(url, f"UPDATE gateway_schema SET version = {SCHEMA_VERSION}")

    assert slugs(server) == ["acme"]
    assert not list(folder.glob("*.part"))


def test_without_its_programs_a_backup_says_what_to_install(server: Cli) -> None:
    done = invoke("--settings", str(server.settings), "backup", str(server.folder / "b.dump"), env={"PATH": "/nowhere"})

    assert "pg_dump is not on the PATH: install postgresql-client" in refusal_of(done)
    assert not (server.folder / "b.dump").exists()


def test_what_was_set_up_is_exported_and_applied(server: Cli, tmp_path: Path, postgres: PostgresServer) -> None:
    path = tmp_path / "clients.toml"
    server.ok("export", str(path))
    assert server.ok("apply", str(path), "--dry-run").stdout == "Nothing to change.\n"
    (tmp_path / "other").mkdir()
    other = on(postgres.new_database(), tmp_path / "other")
    other.ok("init")

    other.ok("apply", str(path), "--yes")

    assert slugs(other) == ["acme"]


def test_the_doctor_looks_at_the_server(server: Cli, url: SecretUrl) -> None:
    lines = server("doctor").stdout.splitlines()

    told, heard = [line for line in lines if re.match(r"ok\s+database:", line)]
    assert re.search(rf"{re.escape(str(url))} answers; PostgreSQL \d+.*MB; 0 gateways live", told)
    assert heard.endswith("its notifications arrive")
    assert not any(" disk:" in line for line in lines)


def test_a_file_is_moved_to_a_server(cli: Cli, url: SecretUrl) -> None:
    cli.ok("client", "add", "--name", "Acme", "--slug", "acme")

    answer = cli.ok("database", "copy", "--to", url.reveal(), "--yes").stdout

    assert answer.startswith(f"Copied {cli.database} to {url}; every row was compared.\n")
    assert re.search(r"^clients +1$", answer, re.MULTILINE)
    assert answer.endswith(f'Now set in [database]: url = "{url}"\n')
    assert slugs(on(url, cli.folder)) == slugs(cli) == ["acme"]


def test_the_copy_is_asked_for_and_told_as_json(cli: Cli, url: SecretUrl) -> None:
    assert cli.refusal("database", "copy", "--to", url.reveal(), answer="n\n") == "nothing was changed"

    told = orjson.loads(cli.ok("database", "copy", "--to", url.reveal(), "--json").stdout)

    assert told["copy"] == str(url)
    assert told["rows"]["clients"] == 0


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("sqlite:///other.db", "expected postgresql://"),
        ("postgresql://db", "expected postgresql://"),
        (f"postgresql://gateway:{PASSWORD}@db/gateway", "set PGPASSWORD or PGPASSFILE"),
        (f"postgresql://db/gateway?password={PASSWORD}", "set PGPASSWORD or PGPASSFILE"),
    ],
)
def test_a_wrong_target_is_misuse(cli: Cli, target: str, words: str) -> None:
    done = cli("database", "copy", "--to", target)

    assert done.exit_code == 2
    assert words in done.stderr
    assert PASSWORD not in done.stderr


def test_a_served_file_is_not_copied(cli: Cli, url: SecretUrl) -> None:
    with instance_lock(cli.database):
        assert "in use by another gateway" in cli.refusal("database", "copy", "--to", url.reveal(), "--yes")


def test_without_the_driver_one_line_says_what_to_install(tmp_path: Path, url: SecretUrl) -> None:
    """As in an installation without the extra; that the default needs none of it is seen beside it."""
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "real = PathFinder.find_spec\n"
        "def find_spec(name, path=None, target=None):\n"
        "    return None if name in {'psycopg', 'redis'} else real(name, path, target)\n"
        "PathFinder.find_spec = find_spec\n"
    )
    env = {"PYTHONPATH": str(tmp_path), "GATEWAY_DATABASE_URL": url.reveal()}

    refused = finished("init", folder=tmp_path, **env)
    plain = finished("init", folder=tmp_path, PYTHONPATH=str(tmp_path))

    assert (refused.returncode, plain.returncode) == (1, 0), refused.stderr + plain.stderr
    assert refused.stderr == f"Error: {url}: needs more libraries: pip install -r requirements-cluster.lock\n"
