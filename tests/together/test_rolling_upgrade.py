"""Gateways of two versions on one database, one step apart."""

from contextlib import ExitStack
from pathlib import Path

from tests import plain_http
from tests.cli.conftest import finished, running, wait_until
from tests.faults.installation import key_header, refusal, sandbox_airbyte
from tests.next_version import NEXT, next_version_in
from tests.postgres import PostgresServer, rows_of
from tests.together.support import Cluster, prepared
from tests.valkey import running_valkey

TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename NOT IN ('gateway_schema', 'changes')
"""


def test_an_older_gateway_goes_on_and_starts_anew_after_an_additive_step(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    with ExitStack() as stack:
        airbyte = stack.enter_context(sandbox_airbyte())
        valkey = stack.enter_context(running_valkey(tmp_path))
        installation = prepared(tmp_path, airbyte, postgres.new_database(), valkey)
        key = installation.key()
        ((ours, _),) = installation.connections(1)
        columns = "".join(
            f"ALTER TABLE {table} ADD COLUMN novelty TEXT;\n" for (table,) in rows_of(installation.url, TABLES)
        )
        newer = next_version_in(
            tmp_path / "next", sqlite="", postgres=f"-- Additive: all may be left empty.\n{columns}"
        )
        older = stack.enter_context(installation.serve(tmp_path / "older.log"))

        migrated = finished("migrate", "--settings", str(installation.settings), folder=newer)
        assert migrated.returncode == 0, migrated.stderr
        assert rows_of(installation.url, "SELECT version FROM gateway_schema") == [(NEXT,)]

        with (
            installation.serve(tmp_path / "anew.log") as anew,
            running("serve", "--port", "0", "--settings", str(installation.settings), folder=newer) as newest,
        ):
            newest.wait_for_line(newest.err, r'"event":"listening"')
            wait_until(lambda: Cluster(installation, postgres, valkey, [older]).state(older)["gateways"] == 3)
            for gateway in (older, anew):
                connections = f"{gateway.address}/api/v1/connections"
                for method, url in (
                    ("GET", f"{gateway.address}/api/v1/status"),
                    ("GET", connections),
                    ("POST", f"{connections}/{ours}/sync"),
                    ("GET", f"{connections}/{ours}/jobs"),
                ):
                    answer = plain_http.request(method, url, headers=key_header(key))
                    assert answer.status_code == 200, answer.text
        for command in (("activity",), ("client", "list"), ("key", "list"), ("connection", "list"), ("export", "-")):
            installation.stage(*command)


def test_after_any_other_step_an_older_gateway_is_refused_in_one_line(tmp_path: Path, postgres: PostgresServer) -> None:
    with sandbox_airbyte() as airbyte, running_valkey(tmp_path) as valkey:
        installation = prepared(tmp_path, airbyte, postgres.new_database(), valkey)
        newer = next_version_in(tmp_path / "next", sqlite="", postgres="ALTER TABLE clients ADD COLUMN novelty TEXT;")
        settings = ("--settings", str(installation.settings))
        assert finished("migrate", *settings, folder=newer).returncode == 0

        refused = refusal(finished("serve", "--port", "0", *settings, folder=tmp_path))

    assert f"written by a newer gateway (schema {NEXT}, this one knows {NEXT - 1})" in refused
