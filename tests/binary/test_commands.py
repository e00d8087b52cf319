"""An operator's first hour with the binary: each kind of command, one after the other, on one installation."""

import json
from collections.abc import Iterator

import pytest

from tests import plain_http
from tests.binary.conftest import Binary
from tests.cli.conftest import Airbyte
from tests.faults.installation import key_header, sandbox_airbyte


@pytest.fixture
def airbyte() -> Iterator[Airbyte]:
    with sandbox_airbyte() as running:
        yield running


def said(binary: Binary, *arguments: str) -> str:
    done = binary.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_an_empty_folder_to_a_client_who_starts_a_sync(binary: Binary, airbyte: Airbyte) -> None:
    world = airbyte.sandbox.world
    theirs = world.add_connection(world.add_workspace("Work").workspace_id).connection_id
    (binary.data / "settings.toml").write_text(airbyte.settings_toml())

    assert said(binary, "init").startswith("Created ")
    said(binary, "client", "add", "--name", "Acme Inc", "--slug", "acme")
    ours = json.loads(
        said(
            binary,
            *("connection", "add", "--client", "acme", "--connector-type", "shopify", "--label", "Shop"),
            *("--airbyte-id", theirs, "--json"),
        )
    )["id"]
    key = said(binary, "key", "create", "--client", "acme", "--name", "test").strip()
    assert "/dashboard/link/" in said(binary, "user", "invite", "--client", "acme", "--email", "ann@acme.example")
    findings = {finding["check"]: finding for finding in json.loads(binary.run("doctor", "--json").stdout)}
    assert findings["airbyte"]["level"] == "ok"
    with binary.serve() as (_, address):
        started = plain_http.post(f"{address}/api/v1/connections/{ours}/sync", headers=key_header(key))

    assert (started.status_code, started.json()["job"]["connectionId"]) == (200, theirs)
    (listed,) = json.loads(said(binary, "key", "list", "--json"))
    said(binary, "key", "revoke", listed["id"], "--yes")
    with binary.serve() as (_, address):
        assert plain_http.get(f"{address}/api/v1/status", headers=key_header(key)).status_code == 401


def test_what_is_refused_is_one_line_and_what_is_misused_another_status(one_folder: Binary) -> None:
    refused, misused = one_folder.run("client", "list"), one_folder.run("client", "lst")

    assert (refused.returncode, refused.stdout) == (1, "")
    (line,) = refused.stderr.splitlines()
    assert line.endswith("no such database; create it with: gateway init")
    assert misused.returncode == 2
