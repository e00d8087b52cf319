"""An installation that root ran in a folder of its own is taken over by the service, where it is."""

from tests.machine.conftest import Machine

INSTALL = "gateway install --systemd --settings /srv/gateway/settings.toml 2>&1"
BEFORE = """
mkdir -m 700 /srv/gateway && cd /srv/gateway
printf '[airbyte]\\nclient_id = "x"\\nclient_secret = "y"\\n' >settings.toml && chmod 600 settings.toml
gateway init && gateway client add --name "Acme Inc" --slug acme
"""
OWNERS = "stat --format '%n %U' /srv/gateway /srv/gateway/gateway.db"


def test_a_folder_of_root_s_is_given_to_the_service_after_a_yes_and_served(machine: Machine) -> None:
    machine.ok(BEFORE)

    refused = machine.run(INSTALL, reads="n\n")
    assert refused.returncode == 1
    assert machine.ok(OWNERS) == "/srv/gateway root\n/srv/gateway/gateway.db root\n"

    machine.ok(INSTALL, reads="y\n" * 9)
    machine.ok("systemctl daemon-reload && systemctl enable --now gateway.socket gateway.service")

    assert machine.ok(OWNERS) == "/srv/gateway gateway\n/srv/gateway/gateway.db gateway\n"
    assert "Acme Inc" in machine.ok("runuser -u gateway -- gateway client list")
    assert machine.ok("systemctl is-active gateway.service") == "active\n"
