"""Which settings a command reads where a service is installed."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.cli.chosen_settings import ChosenSettings, choose_settings
from gateway.deployment.systemd import Installation, service_unit
from gateway.errors import SettingsError
from gateway.settings import load_settings
from tests.cli.conftest import finished, invoke, refusal_of

IS_ROOT = os.geteuid() == 0
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NOT_STARTED = 127
"""Of a program whose libraries this user may not read."""
VARIABLE = "GATEWAY_AIRBYTE_CLIENT_SECRET"


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a unit with settings and a secret; the working directory has no settings."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "etc/settings.toml").write_text("[server]\nport = 9000\n")
    (tmp_path / "etc/airbyte-client-secret").write_text("hidden\n")
    unit = service_unit(Installation(settings=str(tmp_path / "etc/settings.toml")))
    (tmp_path / "gateway.service").write_text(unit)
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def chosen(units: Path, path: Path | None = None, environment: Mapping[str, str] | None = None) -> ChosenSettings:
    return choose_settings(path, environment or {}, units)


def test_the_service_s_settings_and_secret_are_taken_and_told_of(units: Path) -> None:
    choice = chosen(units)
    settings = load_settings(choice.path, choice.environment)

    assert choice.notes == (f"Settings of gateway.service: {units}/etc/settings.toml",)
    assert settings.server.port == 9000
    assert settings.airbyte.client_secret.reveal() == "hidden"


def test_a_command_says_so_in_one_line_on_standard_error(units: Path) -> None:
    result = invoke("config", "--check", units=units)

    assert result.stderr == f"Settings of gateway.service: {units}/etc/settings.toml\n"
    assert result.stdout.startswith("The settings can be used; read from ")


def test_settings_of_this_folder_come_first_which_is_told(units: Path) -> None:
    Path("settings.toml").write_text("")

    assert chosen(units) == ChosenSettings(
        None, {}, ("Settings of this folder, not of gateway.service: settings.toml",)
    )


def test_another_file_that_is_named_has_nothing_of_the_service(units: Path) -> None:
    other = units / "other.toml"

    assert chosen(units, other) == ChosenSettings(other, {})


def test_with_the_service_s_file_named_its_secret_is_read_too(units: Path) -> None:
    choice = chosen(units, Path("../etc/settings.toml"))

    assert choice.environment == {f"{VARIABLE}_FILE": f"{units}/etc/airbyte-client-secret"}
    assert choice.notes == ()


@pytest.mark.parametrize("variable", [VARIABLE, f"{VARIABLE}_FILE"])
def test_a_secret_of_the_environment_wins(units: Path, variable: str) -> None:
    assert chosen(units, environment={variable: "mine"}).environment == {variable: "mine"}


def drop_in(units: Path, text: str) -> None:
    (units / "gateway.service.d").mkdir()
    (units / "gateway.service.d/override.conf").write_text(f"[Service]\n{text}\n")


@pytest.mark.parametrize("path", [None, Path("../etc/settings.toml")])
def test_what_a_drop_in_sets_holds_for_commands_too(units: Path, path: Path | None) -> None:
    (units / "etc/database-url").write_text("postgresql://gateway:hidden@db/gateway\n")
    drop_in(units, f"Environment=GATEWAY_DATABASE_URL_FILE={units}/etc/database-url")

    choice = chosen(units, path)

    assert (
        load_settings(choice.path, choice.environment).database.url.reveal() == "postgresql://gateway:hidden@db/gateway"
    )


def test_a_variable_of_the_command_comes_before_a_file_that_a_drop_in_names(units: Path) -> None:
    drop_in(units, "Environment=GATEWAY_DATABASE_URL_FILE=/nowhere")

    choice = chosen(units, environment={"GATEWAY_DATABASE_URL": "sqlite:///mine.db"})

    assert load_settings(choice.path, choice.environment).database.url.reveal() == "sqlite:///mine.db"


def test_the_service_s_own_commands_get_their_variables_from_systemd_alone(units: Path) -> None:
    drop_in(units, f"EnvironmentFile={units}")
    environment = {"NOTIFY_SOCKET": "/run/systemd/notify"}

    choice = chosen(units, units / "etc/settings.toml", environment)

    assert choice == ChosenSettings(units / "etc/settings.toml", environment)


def test_variables_that_this_user_may_not_read_are_one_line(units: Path) -> None:
    drop_in(units, f"EnvironmentFile={units}")

    result = invoke("client", "list", units=units)

    assert refusal_of(result).startswith(f"{units}: this user cannot read what gateway.service takes from there")


def test_without_an_installed_service_it_is_as_ever(units: Path) -> None:
    (units / "gateway.service").unlink()

    assert chosen(units) == ChosenSettings(None, {})


def test_settings_that_are_gone_are_one_line(units: Path) -> None:
    (units / "etc/settings.toml").unlink()

    with pytest.raises(SettingsError, match=r"settings.toml: no such settings file; gateway.service names it"):
        chosen(units)


@pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")
def test_a_folder_that_may_not_be_read_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    done = finished("client", "list", folder=tmp_path, before=NOBODY)
    if done.returncode == NOT_STARTED:
        pytest.skip("needs a Python that every user can run: this one lies in a closed home")

    assert done.returncode == 1
    assert done.stderr == (
        f"Error: {tmp_path}: cannot be searched for settings.toml: Permission denied; "
        "go to another folder, or name a file with --settings\n"
    )
