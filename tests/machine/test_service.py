"""The installed service under a real systemd: one command installs it, and mistakes in the settings end nothing."""

import re

import pytest

from tests.machine.conftest import Machine

ASK = """python3 -c '
from http.client import HTTPConnection
connection = HTTPConnection("127.0.0.1", 8080, timeout=15)
connection.request("GET", "/healthz")
answer = connection.getresponse()
print(answer.status, answer.read().decode())
'"""
HEALTHY = '200 {"status":"ok"}\n'
NOT_RUNNING = '503 {"error":"Service is not running"}\n'
SETTINGS = "/etc/gateway/settings.toml"


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Machine:
    """The machine with the service installed, filled in and started, by what the command says is to be typed.

    A root by plain `su` finds no programs of the system's, such as useradd.
    """
    said = machine.ok("PATH=/usr/local/bin:/usr/bin:/bin gateway install --systemd 2>&1")
    machine.ok(f'sed -i \'s/client_id = ""/client_id = "gateway"/\' {SETTINGS}')
    machine.ok("cat > /etc/gateway/airbyte-client-secret", reads="hidden\n")
    machine.ok(said.partition("Then:\n")[2].partition("doctor\n")[2])
    return machine


def test_one_command_makes_what_the_service_needs(installed: Machine) -> None:
    assert installed.ok("systemctl is-active gateway.socket gateway.service") == "active\nactive\n"
    assert installed.ok(ASK) == HEALTHY
    owners = "stat --format '%n %U:%G %a' /etc/gateway /etc/gateway/* /var/lib/gateway /var/backups/gateway"
    assert installed.ok(owners).splitlines() == [
        "/etc/gateway root:gateway 750",
        "/etc/gateway/airbyte-client-secret root:gateway 640",
        "/etc/gateway/settings.toml root:gateway 640",
        "/var/lib/gateway gateway:gateway 700",
        "/var/backups/gateway gateway:gateway 700",
    ]


def test_the_command_again_changes_nothing(installed: Machine) -> None:
    said = installed.ok("gateway install --systemd 2>&1", reads="")

    assert "Once:" not in said
    assert "Done: " not in said
    assert "Wrote " not in said


@pytest.mark.parametrize("user", ["root", "gateway"])
def test_a_command_finds_the_settings_and_the_secret_of_the_service(installed: Machine, user: str) -> None:
    done = installed.run(f"runuser -u {user} -- gateway config")

    assert done.stderr == f"Settings of gateway.service: {SETTINGS}\n"
    assert re.search(r"airbyte.client_secret +set +/etc/gateway/airbyte-client-secret,", done.stdout)


def test_a_backup_can_be_made_as_the_service_s_user(installed: Machine) -> None:
    assert "Backed up to /var/backups/gateway/" in installed.ok(
        "runuser -u gateway -- gateway backup /var/backups/gateway"
    )


def test_the_timer_waits_for_the_night_and_its_service_makes_a_backup(installed: Machine) -> None:
    installed.ok("systemctl daemon-reload && systemctl enable --now gateway-backup.timer")
    installed.ok("rm -f /var/backups/gateway/*")

    installed.ok("systemctl start gateway-backup.service")

    (line,) = installed.ok("stat --format '%n %U %a' /var/backups/gateway/*").splitlines()
    assert re.fullmatch(r"/var/backups/gateway/gateway-\S+\.db gateway 600", line)
    assert "gateway-backup.timer" in installed.ok("systemctl list-timers --no-legend gateway-backup.timer")


@pytest.mark.parametrize("folder", ["/", "/root"])
def test_who_may_not_read_the_settings_is_told_in_one_line(installed: Machine, folder: str) -> None:
    installed.ok("chmod 700 /root")

    done = installed.run("runuser -u nobody -- gateway client list", folder=folder)

    assert done.returncode == 1
    assert done.stderr.startswith("Error: /")
    assert len(done.stderr.splitlines()) == 1


def test_a_reload_with_a_mistake_fails_and_the_gateway_goes_on(installed: Machine) -> None:
    before = installed.ok("systemctl show --property MainPID gateway")
    installed.ok(f"cp {SETTINGS} /run/right.toml; echo 'mistake' >> {SETTINGS}")
    try:
        done = installed.run("systemctl reload gateway")
        status = installed.run("systemctl status gateway").stdout
        answer = installed.ok(ASK)
    finally:
        installed.ok(f"cat /run/right.toml > {SETTINGS}")

    assert done.returncode == 1
    assert before == installed.ok("systemctl show --property MainPID gateway")
    assert "config --check" in status
    assert f"{SETTINGS}: not valid TOML" in installed.journal()
    assert answer == HEALTHY
    installed.ok("systemctl reload gateway")


def test_after_a_restart_with_a_mistake_callers_get_503_until_it_is_mended(installed: Machine) -> None:
    installed.ok(f"cp {SETTINGS} /run/right.toml; echo 'mistake' >> {SETTINGS}")
    try:
        installed.run("systemctl restart gateway")
        answers = [installed.ok(ASK) for _ in range(3)]
    finally:
        installed.ok(f"cat /run/right.toml > {SETTINGS}")

    assert answers == [NOT_RUNNING] * 3
    assert "not valid TOML" in installed.journal()
    installed.ok("systemctl restart gateway")
    assert installed.ok(ASK) == HEALTHY
