"""gateway workspace …"""

from tests.cli.conftest import Airbyte, Cli


def test_list_names_the_workspaces_and_the_clients_in_them(connected: Cli, airbyte: Airbyte) -> None:
    world = airbyte.sandbox.world
    ours, theirs = world.add_workspace("Acme Inc").workspace_id, world.add_workspace("Globex").workspace_id
    world.add_connection(ours)
    connected.ok("client", "add", "--name", "Acme", "--slug", "acme")
    connected.ok("connection", "import", "--client", "acme", "--workspace", ours)

    rows = connected.json("workspace", "list")

    assert sorted(rows, key=lambda row: str(row["name"])) == [
        {"id": ours, "name": "Acme Inc", "clients": ["acme"]},
        {"id": theirs, "name": "Globex", "clients": []},
    ]
    assert f"{ours}  Acme Inc  acme" in connected.ok("workspace", "list").stdout


def test_list_without_airbyte_is_one_line(cli: Cli) -> None:
    assert cli.refusal("workspace", "list").startswith("Upstream service unreachable")
