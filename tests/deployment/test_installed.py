"""What a command reads off the unit that is installed, and off its drop-ins."""

from pathlib import Path

import pytest

from gateway.deployment.installed import InstalledUnit, find_installed, read_environment
from gateway.deployment.systemd import Installation, unit_files
from gateway.errors import SettingsError


def install(folder: Path, installation: Installation, **drop_ins: str) -> None:
    for path, text in unit_files(installation).items():
        (folder / Path(path).name).write_text(text)
    for name, lines in drop_ins.items():
        drop_in = folder / f"gateway.service.d/{name}.conf"
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text(f"[Service]\n{lines}\n")


def environment(folder: Path) -> dict[str, str]:
    """What the service without a secret gets."""
    unit = find_installed(folder)
    assert unit is not None
    return read_environment(unit)


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
        environment={"GATEWAY_AIRBYTE_CLIENT_SECRET_FILE": installation.secret_file},
        listen="" if ports else "127.0.0.1:8080",
    )


@pytest.mark.parametrize(
    ("enabled", "name"),
    [
        ((), "gateway.service"),
        (("gateway.service",), "gateway.service"),
        (("gateway@8080.service",), "gateway@.service"),
    ],
)
def test_of_both_kinds_of_unit_the_enabled_one_is_found(tmp_path: Path, enabled: tuple[str, ...], name: str) -> None:
    install(tmp_path, Installation())
    install(tmp_path, Installation(ports=(8080, 8081)))
    (tmp_path / "multi-user.target.wants").mkdir()
    for unit in enabled:
        (tmp_path / "multi-user.target.wants" / unit).symlink_to(tmp_path / unit)

    found = find_installed(tmp_path)

    assert found is not None
    assert found.name == name


def test_a_unit_without_a_secret_has_none(tmp_path: Path) -> None:
    install(tmp_path, Installation(credential=""))

    assert environment(tmp_path) == {}


def test_variables_of_drop_ins_are_the_service_s_too_the_last_one_wins(tmp_path: Path) -> None:
    install(
        tmp_path,
        Installation(credential=""),
        override="""\
Environment=GATEWAY_DATABASE_URL_FILE=/etc/gateway/url "GATEWAY_DASHBOARD_NAME=Data & \\"more\\" 100%%" PATH=/bin
# Environment=GATEWAY_LOG_LEVEL=debug
Environment=GATEWAY_SERVER_PORT=%i \\
    GATEWAY_SERVER_HOST=::1""",
        zz_later="Environment=GATEWAY_SERVER_HOST=127.0.0.2",
    )

    assert environment(tmp_path) == {
        "GATEWAY_DATABASE_URL_FILE": "/etc/gateway/url",
        "GATEWAY_DASHBOARD_NAME": 'Data & "more" 100%',
        "GATEWAY_SERVER_HOST": "127.0.0.2",
    }


def test_an_empty_line_takes_back_what_stood_before_it(tmp_path: Path) -> None:
    install(
        tmp_path,
        Installation(),
        override=(
            "Environment=\nExecStart=\nExecStart=/opt/new/bin/gateway serve --settings /srv/new.toml\nUser=\nUser=other"
        ),
    )

    assert find_installed(tmp_path) == InstalledUnit(
        name="gateway.service",
        settings=Path("/srv/new.toml"),
        user="other",
        environment={},
        listen="127.0.0.1:8080",
    )


def test_a_file_of_variables_comes_before_those_of_the_unit(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("GATEWAY_LOG_LEVEL=debug\nGATEWAY_SERVER_HOST=::1\n")
    (tmp_path / "second").write_text(
        "# one a line\nGATEWAY_LOG_LEVEL='warning'\nGATEWAY_DASHBOARD_NAME=Two words\n\nX=1\n"
    )
    install(
        tmp_path,
        Installation(credential=""),
        override=f"""\
Environment=GATEWAY_LOG_LEVEL=error
EnvironmentFile={tmp_path}/first
EnvironmentFile=-{tmp_path}/second
EnvironmentFile=-{tmp_path}/missing""",
    )

    assert environment(tmp_path) == {
        "GATEWAY_LOG_LEVEL": "warning",
        "GATEWAY_SERVER_HOST": "::1",
        "GATEWAY_DASHBOARD_NAME": "Two words",
    }


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("ListenStream=\nListenStream=[::1]:9000", "[::1]:9000"),
        ("ListenStream=\nListenStream=/run/gateway.sock", ""),
        ("ListenStream=9000", ""),
    ],
)
def test_a_drop_in_of_the_socket_says_where_it_listens(tmp_path: Path, text: str, listen: str) -> None:
    install(tmp_path, Installation())
    (tmp_path / "gateway.socket.d").mkdir()
    (tmp_path / "gateway.socket.d/override.conf").write_text(f"[Socket]\n{text}\n")

    found = find_installed(tmp_path)

    assert found is not None
    assert found.listen == listen


@pytest.mark.parametrize("what", ["drop-in", "file of variables"])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, what: str) -> None:
    unreadable = tmp_path / ("gateway.service.d/override.conf" if what == "drop-in" else "variables")
    install(tmp_path, Installation(), override=f"EnvironmentFile={unreadable}")
    unreadable.write_bytes(b"\xff")

    with pytest.raises(
        SettingsError, match=f"{unreadable}: this user cannot read what gateway.service takes from there"
    ):
        environment(tmp_path)


@pytest.mark.parametrize(
    "text", [None, "", "[Service]\nExecStart=/bin/gateway serve\n", 'ExecStart="/bin --settings x\n']
)
def test_what_is_no_unit_of_ours_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "gateway.service").write_text(text)

    assert find_installed(tmp_path) is None
