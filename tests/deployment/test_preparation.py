"""What a machine lacks before systemd can run the gateway: only that, and nothing that was there unasked."""

import os
from pathlib import Path

import pytest

from gateway.deployment.preparation import (
    NEW_DATABASE,
    NEW_SETTINGS,
    Machine,
    Step,
    closed_programs,
    find_machine,
    missing_steps,
)
from gateway.deployment.systemd import Installation
from gateway.errors import InvalidInput
from gateway.settings import load_settings

NEW = Installation()
OURS = (os.geteuid(), os.getegid())


def machine(root: Path, *, is_ours: bool = True) -> Machine:
    """A machine whose files belong to the service's user, or to somebody else."""
    user, group = OURS if is_ours else (54321, 54321)
    return Machine(root, user, group)


def make(root: Path, *paths: str, mode: int = 0o600) -> None:
    for path in paths:
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        file.chmod(mode)


def test_a_program_that_is_closed_to_the_service_is_told_with_what_opens_it(tmp_path: Path) -> None:
    program = "/opt/gateway/bin/gateway"
    make(tmp_path, program, mode=0o755)
    for folder in (tmp_path / "opt", tmp_path / "opt/gateway/bin"):
        folder.chmod(0o755)
    (tmp_path / "opt/gateway").chmod(0o700)
    warning = "/opt/gateway is closed to gateway: chmod -R go+rX /opt/gateway"

    assert list(closed_programs([program, program], "gateway", machine(tmp_path, is_ours=False))) == [warning]
    assert list(closed_programs([program], "gateway", machine(tmp_path))) == []

    (tmp_path / "opt/gateway").chmod(0o755)

    assert list(closed_programs([program, "/opt/not/there"], "gateway", machine(tmp_path, is_ours=False))) == []


def test_a_home_is_not_opened(tmp_path: Path) -> None:
    make(tmp_path, "/root/venv/bin/gateway")
    (tmp_path / "root").chmod(0o700)

    assert list(closed_programs(["/root/venv/bin/gateway"], "gateway", machine(tmp_path, is_ours=False))) == []


def commands(steps: tuple[Step, ...]) -> list[str]:
    return [" ".join(step.command) for step in steps]


def test_a_new_machine_lacks_everything(tmp_path: Path) -> None:
    assert commands(missing_steps(NEW, NEW_DATABASE, Machine(tmp_path, None, None))) == [
        "useradd --system --home-dir /var/lib/gateway --shell /usr/sbin/nologin gateway",
        "install -d -g gateway -m 750 /etc/gateway",
        "install -g gateway -m 640 /dev/stdin /etc/gateway/settings.toml",
        "install -g gateway -m 640 /dev/null /etc/gateway/airbyte-client-secret",
        "install -d -o gateway -g gateway -m 700 /var/backups/gateway",
        "install -d -o gateway -g gateway -m 700 /var/lib/gateway",
        "runuser -u gateway -- /opt/gateway/bin/gateway init --settings /etc/gateway/settings.toml",
    ]


def test_an_installed_machine_lacks_nothing(tmp_path: Path) -> None:
    make(tmp_path, "/etc/gateway/settings.toml", "/etc/gateway/airbyte-client-secret", NEW_DATABASE)
    (tmp_path / "var/backups/gateway").mkdir(parents=True)

    assert missing_steps(NEW, NEW_DATABASE, machine(tmp_path)) == ()


def test_the_new_settings_name_the_database_absolutely(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(NEW_SETTINGS)

    assert load_settings(path, {}).database_path == Path(NEW_DATABASE)


def test_a_database_of_somebody_else_is_given_to_the_service_with_what_lies_beside_it(tmp_path: Path) -> None:
    make(tmp_path, "/srv/gw/gateway.db", "/srv/gw/gateway.db-wal", "/srv/gw/gateway.db.lock", "/srv/gw/other")

    steps = missing_steps(NEW, "/srv/gw/gateway.db", machine(tmp_path, is_ours=False))

    assert [" ".join(step.command) for step in steps if step.changes_existing] == [
        "chown gateway:gateway /srv/gw",
        "chown gateway:gateway /srv/gw/gateway.db /srv/gw/gateway.db-wal /srv/gw/gateway.db.lock",
    ]
    assert not any("init" in step.command for step in steps)


def test_settings_and_secret_that_the_service_may_not_read_are_opened_to_its_group(tmp_path: Path) -> None:
    make(tmp_path, "/etc/gateway/settings.toml", "/etc/gateway/airbyte-client-secret")

    steps = missing_steps(NEW, None, machine(tmp_path, is_ours=False))

    assert [" ".join(step.command) for step in steps if step.changes_existing] == [
        "chgrp gateway /etc/gateway/settings.toml",
        "chmod g+rX /etc/gateway/settings.toml",
        "chgrp gateway /etc/gateway/airbyte-client-secret",
        "chmod g+rX /etc/gateway/airbyte-client-secret",
    ]


@pytest.mark.parametrize("database", ["/srv/gateway.db", "/gateway.db", "/etc/gateway/gateway.db", "/root/gateway.db"])
def test_a_folder_that_others_use_is_not_given_away(tmp_path: Path, database: str) -> None:
    with pytest.raises(InvalidInput, match="write an absolute path"):
        missing_steps(NEW, database, machine(tmp_path))


def test_a_step_that_reads_is_shown_as_it_is_typed() -> None:
    assert str(Step(("install", "/dev/stdin", "/etc/my file"), reads="a\nb\n")) == (
        "install /dev/stdin '/etc/my file' <<'END'\na\nb\nEND"
    )


def test_the_user_of_this_machine_is_found_and_none_below_another_root(tmp_path: Path) -> None:
    assert find_machine(Path("/"), "root") == Machine(Path("/"), 0, 0)
    assert find_machine(Path("/"), "nobody-of-that-name").user is None
    assert find_machine(tmp_path, "root").user is None
