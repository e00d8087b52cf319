"""gateway doctor."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import gateway

UNREACHABLE = '[airbyte]\nbase_url = "http://127.0.0.1:1/api/public/v1"\nclient_id = "a"\nclient_secret = "planted"\n'


@pytest.fixture
def settings(tmp_path: Path) -> str:
    path = tmp_path / "settings.toml"
    path.write_text(UNREACHABLE, encoding="utf-8")
    assert CliRunner().invoke(gateway, ["init", "--settings", str(path)]).exit_code == 0
    return str(path)


def test_what_is_wrong_is_said_with_advice_and_exit_status_1(settings: str) -> None:
    result = CliRunner().invoke(gateway, ["doctor", "--settings", settings])

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "ok    settings: read; Airbyte is asked at http://127.0.0.1:1/api/public/v1"
    assert lines[-2].startswith("FAIL  airbyte: Upstream service unreachable: no token: ConnectError")
    assert lines[-1] == "      Check that http://127.0.0.1:1/api/public/v1 can be reached from this machine."
    assert "planted" not in result.output


def test_json_has_every_finding(settings: str) -> None:
    result = CliRunner().invoke(gateway, ["doctor", "--settings", settings, "--json"])

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [finding["check"] for finding in found] == ["settings", "database", "proxies", "airbyte"]
    assert set(found[0]) == {"check", "ok", "text", "advice"}


def test_without_a_database_it_says_how_to_make_one(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(UNREACHABLE, encoding="utf-8")

    result = CliRunner().invoke(gateway, ["doctor", "--settings", str(path)])

    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path}/gateway.db: no such database; create it with: gateway init\n"
