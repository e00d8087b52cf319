"""What a command reads off the unit that is installed."""

from pathlib import Path

import pytest

from gateway.deployment.installed import InstalledUnit, find_installed
from gateway.deployment.systemd import Installation, unit_files


def install(folder: Path, installation: Installation) -> None:
    for path, text in unit_files(installation).items():
        (folder / Path(path).name).write_text(text)


@pytest.mark.parametrize(
    ("ports", "name"), [((), "gateway.service"), ((8080, 8081), "gateway@.service")], ids=["alone", "several"]
)
@pytest.mark.parametrize("folder", ["/etc/gateway", '/srv/my "odd" $5 100%'])
def test_settings_user_and_secret_of_the_unit_are_found(
    tmp_path: Path, ports: tuple[int, ...], name: str, folder: str
) -> None:
    installation = Installation(settings=f"{folder}/settings.toml", user="airbyte-gw", ports=ports)
    install(tmp_path, installation)

    assert find_installed(tmp_path) == InstalledUnit(
        name=name,
        settings=Path(installation.settings),
        user="airbyte-gw",
        secret_variable="GATEWAY_AIRBYTE_CLIENT_SECRET",
        secret_file=Path(installation.secret_file),
    )


def test_a_unit_without_a_secret_has_none(tmp_path: Path) -> None:
    install(tmp_path, Installation(credential=""))

    found = find_installed(tmp_path)

    assert found is not None
    assert (found.secret_variable, found.secret_file) == ("", None)


@pytest.mark.parametrize(
    "text", [None, "", "[Service]\nExecStart=/bin/gateway serve\n", 'ExecStart="/bin --settings x\n']
)
def test_what_is_no_unit_of_ours_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "gateway.service").write_text(text)

    assert find_installed(tmp_path) is None
