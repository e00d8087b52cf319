"""The unit files: what deploy/ holds, what differs from machine to machine, and what systemd thinks of them."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from gateway.deployment.systemd import Credential, Installation, instance_name, service_unit, socket_unit, unit_files
from gateway.deployment.systemd_backup import BACKUP_SERVICE, KEPT_BACKUPS, backup_unit_files
from gateway.errors import InvalidInput
from gateway.settings import load_settings
from gateway.web.server.listener import MOST_CONNECTIONS, RESERVED_DESCRIPTORS
from tests.programs import required_program
from tests.support import BOUND_SECONDS

DEPLOY = Path(__file__).parents[2] / "deploy"
WORST_EXPOSURE = 2.0
EXPOSURE = re.compile(r"Overall exposure level for gateway(?:@i|-backup)?\.service: ([0-9.]+)")
SEVERAL = (8080, 8081)


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE)


def analyze(*arguments: str) -> str:
    """Return what systemd-analyze says."""
    program = required_program("systemd-analyze")
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=BOUND_SECONDS)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("gateway.service", ()),
        ("gateway.socket", ()),
        ("gateway@.service", SEVERAL),
        ("gateway-backup.service", ()),
        ("gateway-backup.timer", SEVERAL),
    ],
)
def test_what_is_shipped_is_what_the_defaults_make(name: str, ports: tuple[int, ...]) -> None:
    installation = Installation(ports=ports)
    text = (unit_files(installation) | backup_unit_files(installation))[f"/etc/systemd/system/{name}"]

    assert (DEPLOY / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("name", "installation"),
    [
        ("gateway.service", Installation(program=("/bin/true",))),
        ("gateway.service", Installation(program=("/bin/true",), credential="password")),
        ("gateway.service", Installation(program=("/bin/true",), credential="")),
        ("gateway@.service", Installation(program=("/bin/true",), ports=SEVERAL)),
    ],
)
def test_it_exposes_little(tmp_path: Path, name: str, installation: Installation) -> None:
    unit = tmp_path / name
    unit.write_text(service_unit(installation))

    (level,) = EXPOSURE.findall(analyze("security", "--offline=true", str(unit)))

    assert float(level) <= WORST_EXPOSURE


def test_the_backup_exposes_little_and_writes_to_its_folder_only(tmp_path: Path) -> None:
    installation = Installation(program=("/bin/true",))
    text = next(text for path, text in backup_unit_files(installation).items() if path.endswith(BACKUP_SERVICE))
    unit = tmp_path / BACKUP_SERVICE
    unit.write_text(text)

    (level,) = EXPOSURE.findall(analyze("security", "--offline=true", str(unit)))

    assert float(level) <= WORST_EXPOSURE
    assert values(text, "ReadWritePaths") == ["/var/backups/gateway"]
    assert values(text, "ExecStart") == [
        f"/bin/true backup /var/backups/gateway --keep {KEPT_BACKUPS} --settings /etc/gateway/settings.toml"
    ]


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    odd = Installation(
        program=("/bin/true", 'a "b" $c %d'),
        settings="/srv/my settings/settings.toml",
        listen="[::1]:8080",
        database_folder="/srv/my data",
    )
    several = msgspec.structs.replace(odd, ports=SEVERAL)
    for path, text in {**unit_files(odd), **unit_files(several), **backup_unit_files(odd)}.items():
        (tmp_path / Path(path).name).write_text(text)

    assert analyze("verify", *(str(path) for path in tmp_path.iterdir())) == ""


def test_an_instance_listens_on_the_port_it_is_named_for(tmp_path: Path) -> None:
    unit = service_unit(Installation(ports=SEVERAL))
    environment = dict(line.replace("%i", "8081").split("=", 1) for line in values(unit, "Environment"))
    del environment["GATEWAY_AIRBYTE_CLIENT_SECRET_FILE"]

    assert instance_name(8081) == "gateway@8081.service"
    assert load_settings(None, environment, working_directory=tmp_path).server.port == 8081
    assert "gateway.socket" not in unit


def test_an_instance_differs_from_the_service_in_nothing_else() -> None:
    lines = [set(service_unit(Installation(ports=ports)).splitlines()) for ports in ((), SEVERAL)]

    assert {line.partition("=")[0] for line in lines[0] ^ lines[1] if not line.startswith("#")} == {
        *("After", "Also", "Description", "Environment", "Requires", "Sockets")
    }


def test_there_are_descriptors_for_all_socket_connections() -> None:
    assert int(*values(service_unit(Installation()), "LimitNOFILE")) >= MOST_CONNECTIONS + RESERVED_DESCRIPTORS


def test_words_with_a_meaning_to_systemd_are_escaped() -> None:
    unit = service_unit(Installation(program=("/opt/my gate/way", "$HOME", "100%", 'say "hi"', "back\\slash")))

    assert values(unit, "ExecStart") == [
        '"/opt/my gate/way" $$HOME 100%% "say \\"hi\\"" "back\\\\slash" serve --settings /etc/gateway/settings.toml'
    ]


@pytest.mark.parametrize(
    ("credential", "folder", "assignments"),
    [
        ("client_secret", "/srv", ["GATEWAY_AIRBYTE_CLIENT_SECRET_FILE=/srv/airbyte-client-secret"]),
        ("password", "/srv/my $5%", ['"GATEWAY_AIRBYTE_PASSWORD_FILE=/srv/my $5%%/airbyte-password"']),
        ("", "/srv", []),
    ],
)
def test_the_secret_that_airbyte_wants_has_a_file(credential: Credential, folder: str, assignments: list[str]) -> None:
    unit = service_unit(Installation(settings=f"{folder}/settings.toml", credential=credential))

    assert values(unit, "Environment") == assignments


def test_a_reload_checks_the_settings_first() -> None:
    assert values(service_unit(Installation()), "ExecReload") == [
        "/opt/gateway/bin/gateway config --check --settings /etc/gateway/settings.toml",
        "/bin/kill -HUP $MAINPID",
    ]


def test_a_database_elsewhere_may_be_written_to() -> None:
    assert values(service_unit(Installation()), "ReadWritePaths") == []
    assert values(service_unit(Installation(database_folder="/srv/data")), "ReadWritePaths") == ["/srv/data"]


@pytest.mark.parametrize(
    ("installation", "expected"),
    [
        (Installation(), "yes"),
        (Installation(program=("/home/ann/gateway",)), "read-only"),
        (Installation(settings="/root/settings.toml"), "read-only"),
    ],
)
def test_homes_are_hidden_unless_something_of_the_gateway_lies_there(installation: Installation, expected: str) -> None:
    assert values(service_unit(installation), "ProtectHome") == [expected]


def test_the_socket_listens_where_the_settings_say() -> None:
    assert values(socket_unit(Installation(listen="[::1]:80")), "ListenStream") == ["[::1]:80"]


@pytest.mark.parametrize(
    "installation",
    [
        Installation(user="root\nUser=x"),
        Installation(user=""),
        Installation(user="Ann Smith"),
        Installation(settings="/etc/a\nb"),
        Installation(program=("/bin/\x00",)),
        Installation(database_folder="/srv/\n"),
    ],
)
def test_what_no_unit_can_name_is_refused(installation: Installation) -> None:
    with pytest.raises(InvalidInput):
        unit_files(installation)
