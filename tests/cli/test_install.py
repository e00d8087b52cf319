"""gateway install: shows, writes, and replaces nothing unasked."""

import json
from pathlib import Path

import pytest

from gateway.deployment.systemd import Installation, service_unit, unit_files
from gateway.deployment.systemd_backup import backup_unit_files
from tests.cli.conftest import finished, invoke, refusal_of

DEFAULTS = unit_files(Installation()) | backup_unit_files(Installation())
DATABASE = '[database]\nurl = "sqlite:////var/lib/gateway/gateway.db"\n'
PROGRAM = ("--program", "/opt/gateway/bin/gateway")


def install(root: Path, *more: str, answer: str | None = None, ok: bool = True) -> str:
    """What is said on both streams."""
    result = invoke("install", "--systemd", "--root", str(root), *PROGRAM, *more, answer=answer)
    assert not ok or result.exit_code == 0, result.output
    return result.stdout + result.stderr


def unit(root: Path, name: str) -> Path:
    return root / "etc/systemd/system" / name


def contents(root: Path) -> dict[str, str]:
    return {f"/{path.relative_to(root)}": path.read_text() for path in root.rglob("*") if path.is_file()}


def with_settings(root: Path, toml: str) -> Path:
    path = root / "etc/gateway/settings.toml"
    path.parent.mkdir(parents=True)
    path.write_text(toml if "[database]" in toml else f"{toml}\n{DATABASE}")
    return path


def test_the_defaults_are_written_and_what_is_next_is_said(tmp_path: Path) -> None:
    said = install(tmp_path)

    assert contents(tmp_path) == DEFAULTS
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("gateway*.*") if path.is_file()} == {0o644}
    assert "systemctl daemon-reload\n  systemctl enable --now gateway.socket gateway.service\n" in said
    assert "/etc/gateway/settings.toml is not there yet" in said


def test_a_dry_run_shows_path_and_content_and_writes_nothing(tmp_path: Path) -> None:
    result = invoke("install", "--systemd", "--root", str(tmp_path), *PROGRAM, "--dry-run")

    assert result.exit_code == 0
    assert result.stdout == "".join(f"# {tmp_path}{path}\n{text}\n" for path, text in DEFAULTS.items())
    assert "Once:\n  useradd --system" in result.stderr
    assert (
        "runuser -u gateway -- /opt/gateway/bin/gateway init --settings /etc/gateway/settings.toml\n" in result.stderr
    )
    assert list(tmp_path.iterdir()) == []


def test_json_tells_the_state_of_each_file(tmp_path: Path) -> None:
    install(tmp_path)
    unit(tmp_path, "gateway.socket").unlink()
    unit(tmp_path, "gateway.service").write_text("[Unit]\n")

    result = invoke("install", "--systemd", "--root", str(tmp_path), *PROGRAM, "--dry-run", "--json")
    service, listener, backup, timer = DEFAULTS.values()

    assert json.loads(result.stdout) == [
        {"path": str(unit(tmp_path, "gateway.service")), "state": "different", "content": service},
        {"path": str(unit(tmp_path, "gateway.socket")), "state": "new", "content": listener},
        {"path": str(unit(tmp_path, "gateway-backup.service")), "state": "same", "content": backup},
        {"path": str(unit(tmp_path, "gateway-backup.timer")), "state": "same", "content": timer},
    ]


def test_again_nothing_is_to_be_done(tmp_path: Path) -> None:
    install(tmp_path)

    said = install(tmp_path, answer="")

    assert said.count("is as it should be.") == len(DEFAULTS)


@pytest.mark.parametrize(
    ("airbyte", "secret", "left"),
    [
        ('client_id = ""', "", ["vi /etc/gateway/settings.toml", "cat > /etc/gateway/airbyte-client-secret"]),
        ('client_id = "gateway"', "", ["cat > /etc/gateway/airbyte-client-secret"]),
        ('client_id = ""', "hidden", ["vi /etc/gateway/settings.toml"]),
        ('client_id = "gateway"', "hidden", []),
        ('auth = "basic"', "", ["vi /etc/gateway/settings.toml", "cat > /etc/gateway/airbyte-password"]),
    ],
)
def test_only_what_is_left_to_fill_in_is_asked_for(tmp_path: Path, airbyte: str, secret: str, left: list[str]) -> None:
    settings = with_settings(tmp_path, f"[airbyte]\n{airbyte}\n")
    settings.with_name("airbyte-client-secret").write_text(secret)

    said = install(tmp_path)

    assert [
        line.partition("   #")[0].strip() for line in said.splitlines() if "   # b" in line or "   # t" in line
    ] == left


def test_a_file_that_differs_is_shown_and_stays_without_a_yes(tmp_path: Path) -> None:
    install(tmp_path)
    changed = unit(tmp_path, "gateway.service")
    changed.write_text(changed.read_text().replace("WatchdogSec=30s", "WatchdogSec=5s"))
    unit(tmp_path, "gateway.socket").unlink()
    before = contents(tmp_path)

    result = invoke("install", "--systemd", "--root", str(tmp_path), *PROGRAM, answer="n\n")

    assert refusal_of(result) == "nothing was changed"
    assert "\n-WatchdogSec=5s\n+WatchdogSec=30s\n" in result.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("more", "answer"), [([], "y\n"), (["--yes"], None)])
def test_with_a_yes_it_is_replaced(tmp_path: Path, more: list[str], answer: str | None) -> None:
    install(tmp_path)
    unit(tmp_path, "gateway.service").write_text("[Unit]\n")

    install(tmp_path, *more, answer=answer)

    assert contents(tmp_path) == DEFAULTS


def test_the_settings_of_the_installation_are_filled_in(tmp_path: Path) -> None:
    with_settings(
        tmp_path,
        '[server]\nhost = "::1"\nport = 9000\n[airbyte]\nauth = "basic"\n[database]\nurl = "sqlite:////srv/g/gateway.db"\n',
    )
    install(tmp_path, "--user", "airbyte-gw")

    service, listener = (unit(tmp_path, name).read_text() for name in ("gateway.service", "gateway.socket"))
    assert "ListenStream=[::1]:9000\n" in listener
    assert "User=airbyte-gw\nGroup=airbyte-gw\n" in service
    assert "ReadWritePaths=/srv/g\n" in service
    assert "Environment=GATEWAY_AIRBYTE_PASSWORD_FILE=/etc/gateway/airbyte-password\n" in service


def test_systemd_looks_no_names_up(tmp_path: Path) -> None:
    path = with_settings(tmp_path, '[server]\nhost = "localhost"\n')
    install(tmp_path)
    assert "ListenStream=127.0.0.1:8080\n" in unit(tmp_path, "gateway.socket").read_text()

    path.write_text('[server]\nhost = "gateway.example.com"\n')
    message = refusal_of(invoke("install", "--systemd", "--root", str(tmp_path), *PROGRAM, "--yes"))
    assert message == "server.host: a socket unit needs an address, not 'gateway.example.com'"


SHARED = '[database]\nurl = "postgresql://db/gateway"\n[rate_limit]\nbackend = "redis://cache/0"\n'


def test_several_gateways_are_a_template_a_unit_each_and_a_line_for_nginx(tmp_path: Path) -> None:
    with_settings(tmp_path, f'[server]\nhost = "0.0.0.0"\nport = 9000\n{SHARED}')

    said = install(tmp_path, "--instances", "2")

    names = {path.name for path in (tmp_path / "etc/systemd/system").iterdir()}
    assert names == {"gateway@.service", "gateway-backup.service", "gateway-backup.timer"}
    assert "systemctl enable --now gateway@9000.service gateway@9001.service\n" in said
    assert (
        "/opt/gateway/bin/gateway nginx-config --server-name NAME --settings /etc/gateway/settings.toml "
        "--upstream 127.0.0.1:9000 --upstream 127.0.0.1:9001\n"
    ) in said


@pytest.mark.parametrize(
    "toml", ["", SHARED.replace("redis://cache/0", "memory"), SHARED.replace("postgresql://db/", "sqlite:///")]
)
def test_without_what_they_share_several_are_refused(tmp_path: Path, toml: str) -> None:
    with_settings(tmp_path, toml)

    message = refusal_of(invoke("install", "--systemd", "--root", str(tmp_path), *PROGRAM, "--instances", "2"))

    assert message == (
        "several gateways need a database and a limit that they share: "
        "set database.url to postgresql://… and rate_limit.backend to redis://…"
    )
    assert not (tmp_path / "etc/systemd").exists()


@pytest.mark.parametrize("port", [0, 1023, 65535])
def test_a_port_that_an_instance_cannot_have_is_refused(tmp_path: Path, port: int) -> None:
    with_settings(tmp_path, f"[server]\nport = {port}\n{SHARED}")

    message = refusal_of(invoke("install", "--systemd", "--root", str(tmp_path), *PROGRAM, "--instances", "2"))

    assert message == "server.port: the instances' ports must be from 1024 to 65535"


def test_a_database_that_would_lie_beside_the_settings_is_refused(tmp_path: Path) -> None:
    with_settings(tmp_path, '[database]\nurl = "sqlite:///gateway.db"\n')

    assert refusal_of(invoke("install", "--systemd", "--root", str(tmp_path), *PROGRAM)) == (
        "database.url: /etc/gateway/gateway.db would lie in /etc/gateway, which cannot belong to gateway: "
        'write an absolute path into [database], as url = "sqlite:////var/lib/gateway/gateway.db"'
    )


@pytest.mark.parametrize("toml", ['[airbyte]\nauth = "none"\n', '[airbyte]\nclient_secret = "hidden"\n'])
def test_a_secret_that_is_not_wanted_or_in_the_settings_is_not_handed_over(tmp_path: Path, toml: str) -> None:
    with_settings(tmp_path, toml)

    said = install(tmp_path)

    assert "Environment" not in unit(tmp_path, "gateway.service").read_text()
    assert "cat > " not in said
    assert "hidden" not in said + str(contents(tmp_path / "etc/systemd"))


def test_what_drop_ins_set_holds_when_the_service_is_installed_again(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[airbyte]\n")
    (tmp_path / "gateway.service").write_text(service_unit(Installation(settings=str(settings))))
    (tmp_path / "gateway.service.d").mkdir()
    (tmp_path / "gateway.service.d/override.conf").write_text(
        "[Service]\nEnvironment=GATEWAY_DATABASE_URL=postgresql://db/gateway\n"
    )

    result = invoke("install", "--systemd", "--settings", str(settings), *PROGRAM, "--dry-run", units=tmp_path)

    assert result.exit_code == 0, result.output
    assert "ReadWritePaths=/var/backups/gateway\nProtectHome" in result.stdout
    assert f"GATEWAY_AIRBYTE_CLIENT_SECRET_FILE={tmp_path}/airbyte-client-secret\n" in result.stdout


def test_bad_settings_and_a_bad_user_are_one_line(tmp_path: Path) -> None:
    arguments = ("install", "--systemd", "--root", str(tmp_path))
    assert refusal_of(invoke(*arguments, "--user", "no one")) == "'no one' is no name of a system user"

    path = with_settings(tmp_path, "[nonsense]\n")
    assert refusal_of(invoke(*arguments)).startswith(f"{path}: unknown table [nonsense]")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file")

    message = refusal_of(invoke("install", "--systemd", "--root", str(tmp_path), *PROGRAM))

    assert "Not a directory" in message


@pytest.mark.parametrize(
    ("program", "warning"),
    [
        ("/tmp/venv/bin/gateway", "the service has a /tmp of its own and cannot see this"),  # noqa: S108 - not written
        ("/home/ann/venv/bin/gateway", "as a rule a home is closed to other users, so to gateway"),
        ("/root/venv/bin/gateway", "as a rule a home is closed to other users, so to gateway"),
    ],
)
def test_a_program_that_the_service_may_be_unable_to_run_is_warned_of(
    tmp_path: Path, program: str, warning: str
) -> None:
    said = install(tmp_path, "--program", program)

    assert f"Warning: {program}: {warning}; move it" in said
    assert said.count("Warning: ") == 1
    assert unit(tmp_path, "gateway.service").exists()


def test_a_database_that_the_service_cannot_see_is_warned_of(tmp_path: Path) -> None:
    with_settings(tmp_path, '[database]\nurl = "sqlite:////tmp/data/gateway.db"\n')

    assert "Warning: /tmp/data: the service has a /tmp of its own" in install(tmp_path)


def test_an_installation_of_its_own_is_not_warned_of(tmp_path: Path) -> None:
    assert "Warning: " not in install(tmp_path)


def test_what_to_install_must_be_said() -> None:
    assert invoke("install").exit_code == 2


def test_the_program_that_runs_is_the_one_that_is_started_later(tmp_path: Path) -> None:
    result = finished("install", "--systemd", "--root", str(tmp_path), "--dry-run", folder=tmp_path)

    assert result.returncode == 0, result.stderr
    assert "/bin/python -m gateway serve --settings /etc/gateway/settings.toml\n" in result.stdout
