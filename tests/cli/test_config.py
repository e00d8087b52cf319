"""gateway config: the settings that hold and whence, and never a secret."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, invoke, refusal_of


def shown(*arguments: str, **env: str) -> dict[str, dict[str, Any]]:
    result = invoke(*arguments, "config", "--json", env=env)
    assert result.exit_code == 0, result.output
    return {row.pop("setting"): row for row in json.loads(result.stdout)}


def row(value: object, origin: str, place: str | None = None, secret_file: str | None = None) -> dict[str, object]:
    return {"value": value, "origin": origin, "place": place, "secret_file": secret_file}


def test_each_value_tells_where_it_comes_from(tmp_path: Path) -> None:
    settings, secret = tmp_path / "mine.toml", tmp_path / "secret"
    settings.write_text('[server]\nport = 9000\n[airbyte]\npassword = "of the file"\n')
    secret.write_text("of the secret file")

    rows = shown(
        "--settings",
        str(settings),
        GATEWAY_LOG_LEVEL="debug",
        GATEWAY_SERVER_TRUSTED_PROXIES="10.0.0.1, 10.0.0.2",
        GATEWAY_AIRBYTE_CLIENT_SECRET_FILE=str(secret),
    )

    assert rows["server.host"] == row("127.0.0.1", "default")
    assert rows["server.port"] == row(9000, "file", str(settings))
    assert rows["log.level"] == row("debug", "environment", "GATEWAY_LOG_LEVEL")
    assert rows["server.trusted_proxies"] == row(
        ["10.0.0.1", "10.0.0.2"], "environment", "GATEWAY_SERVER_TRUSTED_PROXIES"
    )
    assert rows["airbyte.password"] == row("set", "file", str(settings))
    assert rows["airbyte.client_secret"] == row("set", "secret_file", "GATEWAY_AIRBYTE_CLIENT_SECRET_FILE", str(secret))


def test_of_secrets_neither_text_nor_length_is_shown(tmp_path: Path) -> None:
    outputs = set()
    for secret in ("Qx7!", "a-much-longer-Secret"):
        settings = tmp_path / "settings.toml"
        settings.write_text(f'[airbyte]\nclient_secret = "{secret}"\npassword = "{secret}"\n')
        for more in ([], ["--json"]):
            result = invoke("--settings", str(settings), "config", *more)
            assert result.exit_code == 0
            outputs.add(result.stdout)
            assert secret not in result.stdout

    assert len(outputs) == 2


def test_people_get_a_table(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[log]\nformat = "console"\n')

    result = invoke("--settings", str(settings), "config", env={"GATEWAY_SERVER_PORT": "1"})

    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in result.stdout.splitlines()}
    assert lines["setting"] == ["value", "from"]
    assert lines["log.format"] == ["console", str(settings)]
    assert lines["server.port"] == ["1", "environment GATEWAY_SERVER_PORT"]
    assert lines["server.public_url"] == ["-", "default"]
    assert lines["airbyte.client_secret"][0] == "not"


def test_settings_that_do_not_hold_are_one_line(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[server]\nport = 'x'\n")

    assert refusal_of(invoke("--settings", str(settings), "config")).startswith(f"{settings}: server.port: ")


def test_a_check_says_in_one_line_whether_the_settings_can_be_used(cli: Cli) -> None:
    assert cli.ok("config", "--check").stdout == f"The settings can be used; read from {cli.settings}.\n"
    assert cli.json("config", "--check") == {"sources": [str(cli.settings)]}

    cli.settings.write_text("[server]\nprot = 1\n")

    assert cli.refusal("config", "--check").startswith(f"{cli.settings}: unknown key 'prot' in [server]")


@pytest.mark.parametrize("table", ["airbyte", "webhooks"])
def test_the_check_refuses_a_file_of_authorities_that_is_not_there(tmp_path: Path, table: str) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[{table}]\nca_file = "own.pem"\n')

    assert refusal_of(invoke("--settings", str(settings), "config", "--check")) == (
        f"{table}.ca_file: {tmp_path / 'own.pem'}: cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("toml", "module", "lock"),
    [
        ('[database]\nurl = "postgresql://db/gateway"\n', "psycopg", "cluster"),
        ('[rate_limit]\nbackend = "redis://cache/0"\n', "gateway.cluster.valkey", "cluster"),
        ('[tracing]\nendpoint = "http://localhost:4318/v1/traces"\n', "gateway.telemetry.tracing", "otel"),
    ],
    ids=["PostgreSQL", "Valkey", "traces"],
)
def test_the_check_refuses_settings_whose_libraries_are_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str, module: str, lock: str
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(toml)
    monkeypatch.setitem(sys.modules, module, None)

    refusal = refusal_of(invoke("--settings", str(settings), "config", "--check"))

    assert refusal.endswith(f"more libraries: pip install -r requirements-{lock}.lock")
