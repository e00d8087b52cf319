"""gateway connection …"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from click.testing import Result

from gateway.sandbox import Answer, Connection
from tests import plain_http
from tests.cli.conftest import Airbyte, Cli, refusal_of

ROW = [
    "id",
    "client",
    "connector_type",
    "label",
    "status",
    "airbyte_id",
    "last_sync_at",
    "last_sync_status",
    "created_at",
]
UNKNOWN = "00000000-0000-4000-8000-000000000000"
FORGED = ["", " ", " Shop", "Sh\nop", "Sh\x1b[31mop", "Sh\u202eop", "x" * 201]
NOWHERE = "http://127.0.0.1:9/api/public/v1"


def add_client(cli: Cli, *slugs: str) -> None:
    for slug in slugs:
        cli.ok("client", "add", "--name", slug.title(), "--slug", slug)


def adding(slug: str = "acme", *, airbyte_id: str | None = None, label: str = "Web shop") -> list[str]:
    words = ["connection", "add", f"--client={slug}", "--connector-type=shopify", f"--label={label}"]
    return words if airbyte_id is None else [*words, f"--airbyte-id={airbyte_id}"]


def theirs(airbyte: Airbyte, status: Literal["active", "inactive"] = "active") -> Connection:
    """A new connection in Airbyte."""
    world = airbyte.sandbox.world
    workspace = next(iter(world.workspaces), None) or world.add_workspace("Work").workspace_id
    return world.add_connection(workspace, status=status)


def importing(workspace: str, slug: str = "acme") -> list[str]:
    return ["connection", "import", "--client", slug, "--workspace", workspace]


def rows(cli: Cli) -> list[dict[str, str | None]]:
    listed = cli.json("connection", "list")
    assert isinstance(listed, list)
    return listed


@contextmanager
def unreachable(cli: Cli) -> Iterator[None]:
    """Nothing listens where Airbyte should be."""
    before = cli.settings.read_text()
    cli.settings.write_text(f"[airbyte]\nbase_url = {json.dumps(NOWHERE)}\n")
    yield
    cli.settings.write_text(before)


def test_add_without_a_mapping_is_pending_and_asks_airbyte_nothing(cli: Cli) -> None:
    add_client(cli, "acme")

    record = cli.json(*adding())

    assert list(record) == ROW
    assert re.fullmatch(r"conn_[0-9A-Za-z]{16}", record.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("created_at"))
    assert record == {
        "client": "acme",
        "connector_type": "shopify",
        "label": "Web shop",
        "status": "pending",
        "airbyte_id": None,
        "last_sync_at": None,
        "last_sync_status": None,
    }


def test_add_says_the_id(cli: Cli) -> None:
    add_client(cli, "acme")

    result = cli.ok(*adding())

    assert result.stdout == f"Added connection {rows(cli)[0]['id']}.\n"
    assert result.stderr == ""


@pytest.mark.parametrize("status", ["active", "inactive"])
def test_add_with_a_mapping_takes_airbytes_status(
    connected: Cli, airbyte: Airbyte, status: Literal["active", "inactive"]
) -> None:
    add_client(connected, "acme")
    connection = theirs(airbyte, status)

    record = connected.json(*adding(airbyte_id=connection.connection_id))

    assert record["status"] == status
    assert record["airbyte_id"] == connection.connection_id
    assert f"'{connection.workspace_id}'" in "".join(connected.dump())


def test_add_with_a_mapping_learns_the_last_sync(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme")
    connection = theirs(airbyte)
    airbyte.sandbox.world.add_job(connection.connection_id, created_at=1_775_044_800.0)

    connected.ok(*adding(airbyte_id=connection.connection_id))

    assert rows(connected)[0]["last_sync_at"] == "2026-04-01T12:00:00.000Z"


def test_an_upper_case_uuid_is_the_same_connection(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme")
    connection = theirs(airbyte)

    record = connected.json(*adding(airbyte_id=connection.connection_id.upper()))

    assert record["airbyte_id"] == connection.connection_id


@pytest.mark.parametrize(
    "airbyte_id",
    ["", "7", "9924bcd0-99be-453d-ba47", "9924bcd099be453dba47c2c9766f7da5", f"{UNKNOWN}x", f"{UNKNOWN}\n", "../jobs"],
)
def test_a_malformed_uuid_is_refused_unasked(connected: Cli, airbyte: Airbyte, airbyte_id: str) -> None:
    add_client(connected, "acme")

    line = connected.refusal(*adding(airbyte_id=airbyte_id))

    assert line == "the Airbyte id must be a UUID such as 9924bcd0-99be-453d-ba47-c2c9766f7da5"
    assert rows(connected) == []
    assert not airbyte.sandbox.requests


def test_an_unknown_client_is_refused(cli: Cli) -> None:
    assert cli.refusal(*adding("nobody")) == "there is no client with the slug 'nobody'; see: gateway client list"


def test_a_connection_airbyte_does_not_know_is_refused(connected: Cli) -> None:
    add_client(connected, "acme")

    line = connected.refusal(*adding(airbyte_id=UNKNOWN))

    assert line.startswith(f"Airbyte has no connection {UNKNOWN}")
    assert rows(connected) == []


def test_a_connection_mapped_to_another_client_is_refused_and_nothing_is_lost(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme", "globex")
    connection = theirs(airbyte)
    connected.ok(*adding("acme", airbyte_id=connection.connection_id))
    before = connected.dump()

    line = connected.refusal(*adding("globex", airbyte_id=connection.connection_id))

    assert line == f"the Airbyte connection {connection.connection_id} is already mapped to a connection"
    assert connected.dump() == before


def test_an_airbyte_that_cannot_be_reached_hinders_nobody(cli: Cli) -> None:
    add_client(cli, "acme")

    result = cli.ok(*adding(airbyte_id=UNKNOWN), "--json")

    record = json.loads(result.stdout)
    assert (record["airbyte_id"], record["status"]) == (UNKNOWN, "pending")
    assert result.stderr.startswith("Warning: Airbyte could not be asked (Upstream service unreachable")
    assert len(result.stderr.splitlines()) == 1
    assert [row["airbyte_id"] for row in rows(cli)] == [UNKNOWN]


@pytest.mark.parametrize("label", FORGED, ids=ascii)
def test_a_label_that_could_forge_or_hide_a_line_is_refused(cli: Cli, label: str) -> None:
    add_client(cli, "acme")

    line = cli.refusal(*adding(label=label))

    assert line == "the label must be 1 to 200 printable characters, without space at either end"
    assert rows(cli) == []


@pytest.mark.parametrize("kind", ["", "Shopify", "shop ify", "shop\nify", "x" * 64])
def test_a_connector_type_is_a_slug(cli: Cli, kind: str) -> None:
    add_client(cli, "acme")

    line = cli.refusal("connection", "add", "--client", "acme", f"--connector-type={kind}", "--label", "Shop")

    assert line.startswith("the connector type must be ")


def test_list_tells_every_client_or_one(cli: Cli) -> None:
    add_client(cli, "acme", "globex")
    for slug, label in (("globex", "Billing"), ("acme", "Shop"), ("acme", "Ads")):
        cli.ok(*adding(slug, label=label))

    everyone = [(row["client"], row["label"]) for row in rows(cli)]
    acme = cli.json("connection", "list", "--client", "acme")

    assert everyone == [("acme", "Shop"), ("acme", "Ads"), ("globex", "Billing")]
    assert [(row["client"], row["label"]) for row in acme] == [("acme", "Shop"), ("acme", "Ads")]
    assert all(list(row) == ROW for row in acme)


def test_list_is_a_table_for_people(cli: Cli) -> None:
    add_client(cli, "acme")
    cli.ok(*adding())

    head, row = cli.ok("connection", "list").stdout.splitlines()

    assert head.split() == ROW
    assert row[head.index("label") :].startswith("Web shop")
    assert row[head.index("airbyte_id") :].startswith("-")


def test_list_of_an_unknown_client_is_refused(cli: Cli) -> None:
    assert cli.refusal("connection", "list", "--client", "nobody").startswith("there is no client")


def test_rename_changes_the_label_and_nothing_else(cli: Cli) -> None:
    add_client(cli, "acme")
    before = cli.json(*adding())

    record = cli.json("connection", "rename", before["id"], "--label", "Web shop, new")

    assert record == before | {"label": "Web shop, new"}
    assert rows(cli) == [record]


@pytest.mark.parametrize("label", ["", "two\nlines", "x" * 1000])
def test_rename_to_no_label_is_refused_and_nothing_is_lost(cli: Cli, label: str) -> None:
    add_client(cli, "acme")
    own = cli.json(*adding())["id"]
    before = cli.dump()

    assert cli.refusal("connection", "rename", own, "--label", label).startswith("the label")
    assert cli.dump() == before


def test_map_points_a_connection_at_airbytes(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme")
    own = connected.json(*adding())["id"]
    connection = theirs(airbyte)

    record = connected.json("connection", "map", own, "--airbyte-id", connection.connection_id)

    assert list(record) == ROW
    assert (record["id"], record["airbyte_id"], record["status"]) == (own, connection.connection_id, "active")


def test_map_to_another_forgets_what_was_known_of_the_first(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme")
    first, second = theirs(airbyte), theirs(airbyte, "inactive")
    airbyte.sandbox.world.add_job(first.connection_id)
    own = connected.json(*adding(airbyte_id=first.connection_id))["id"]
    assert rows(connected)[0]["last_sync_at"] is not None

    result = connected.ok("connection", "map", own, "--airbyte-id", second.connection_id)

    assert result.stdout == f"Mapped {own} to {second.connection_id}.\n"
    row = rows(connected)[0]
    assert (row["airbyte_id"], row["status"], row["last_sync_at"]) == (second.connection_id, "inactive", None)


def test_map_to_the_same_again_is_no_error(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme")
    connection = theirs(airbyte)
    own = connected.json(*adding(airbyte_id=connection.connection_id))["id"]

    record = connected.json("connection", "map", own, "--airbyte-id", connection.connection_id)

    assert record["airbyte_id"] == connection.connection_id


def test_map_to_what_belongs_to_another_is_refused_and_nothing_is_lost(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme", "globex")
    taken, own = theirs(airbyte), theirs(airbyte)
    connected.ok(*adding("globex", airbyte_id=taken.connection_id))
    acme = connected.json(*adding("acme", airbyte_id=own.connection_id))["id"]
    before = connected.dump()

    line = connected.refusal("connection", "map", acme, "--airbyte-id", taken.connection_id)

    assert line.endswith("is already mapped to a connection")
    assert connected.dump() == before


def test_map_while_airbyte_is_unavailable_is_kept_with_a_warning(connected: Cli) -> None:
    add_client(connected, "acme")
    own = connected.json(*adding())["id"]

    with unreachable(connected):
        result = connected.ok("connection", "map", own, "--airbyte-id", UNKNOWN)

    assert result.stderr.startswith("Warning: ")
    assert rows(connected)[0]["airbyte_id"] == UNKNOWN


@pytest.mark.parametrize(
    "words",
    [
        ["connection", "map", "conn_unknown", "--airbyte-id", UNKNOWN],
        ["connection", "remove", "conn_unknown", "--yes"],
        ["connection", "rename", "conn_unknown", "--label", "Shop"],
    ],
)
def test_an_unknown_connection_is_refused(cli: Cli, words: list[str]) -> None:
    assert cli.refusal(*words) == "there is no connection 'conn_unknown'; see: gateway connection list"


def test_remove_asks_and_names_label_id_and_client(cli: Cli) -> None:
    add_client(cli, "acme")
    own = cli.json(*adding())["id"]

    result = cli.ok("connection", "remove", own, answer="y\n")

    assert f"Remove Web shop ({own}) from acme? [y/N]" in result.stderr
    assert result.stdout == f"Removed connection {own}.\n"
    assert rows(cli) == []


def test_remove_answered_with_no_changes_nothing_and_exits_1(cli: Cli) -> None:
    add_client(cli, "acme")
    own = cli.json(*adding())["id"]
    before = cli.dump()

    assert cli.refusal("connection", "remove", own, answer="n\n") == "nothing was changed"
    assert cli.dump() == before


def test_remove_leaves_the_others_and_airbyte_alone(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme")
    connection = theirs(airbyte)
    own = connected.json(*adding(airbyte_id=connection.connection_id))["id"]
    connected.ok(*adding(label="Other"))
    airbyte.sandbox.requests.clear()

    record = connected.json("connection", "remove", own, "--yes")

    assert list(record) == ROW
    assert [row["label"] for row in rows(connected)] == ["Other"]
    assert not airbyte.sandbox.requests


def test_a_removed_mapping_may_be_given_to_another_client(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme", "globex")
    connection = theirs(airbyte)
    own = connected.json(*adding("acme", airbyte_id=connection.connection_id))["id"]
    connected.ok("connection", "remove", own, "--yes")

    connected.ok(*adding("globex", airbyte_id=connection.connection_id))

    assert [row["client"] for row in rows(connected)] == ["globex"]


@pytest.fixture
def workspace(airbyte: Airbyte) -> str:
    """A workspace with a shop, a database and a connector of the operator's own making, and one beside it."""
    world = airbyte.sandbox.world
    workspace = world.add_workspace("Acme").workspace_id
    world.add_connection(workspace, "shopify", name="Web shop → BigQuery")
    world.add_connection(workspace, "postgres", name="Orders -> BigQuery", status="inactive")
    world.add_connection(workspace, "", name="In-house ERP <> BigQuery")
    world.add_connection(world.add_workspace("Globex").workspace_id, "stripe")
    return workspace


def test_import_takes_all_of_one_workspace_with_the_types_of_their_sources(connected: Cli, workspace: str) -> None:
    add_client(connected, "acme")

    done = connected.json(*importing(workspace))

    assert list(done) == ["imported", "skipped"]
    assert all(list(row) == ROW for row in done["imported"])
    assert sorted((row["connector_type"], row["label"], row["status"]) for row in done["imported"]) == [
        ("custom", "In-house ERP", "active"),
        ("postgres", "Orders", "inactive"),
        ("shopify", "Web shop", "active"),
    ]
    assert done["skipped"] == []


def test_import_from_a_workspace_that_airbyte_does_not_have_is_refused(connected: Cli) -> None:
    add_client(connected, "acme")
    nobodys = "11111111-0525-49e4-a635-b2b490d981b1"

    refusal = connected.refusal(*importing(nobodys))

    assert refusal == f"Airbyte has no workspace {nobodys}, or the gateway's credential may not read it"


def test_import_tells_its_progress_on_stderr_and_the_sum_on_stdout(connected: Cli, workspace: str) -> None:
    add_client(connected, "acme")

    result = connected.ok(*importing(workspace))

    assert result.stdout == "Imported 3, skipped 0 already mapped.\n"
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(re.match(r"imported conn_[0-9A-Za-z]{16}  (shopify|postgres|custom)  ", line) for line in lines)


def test_import_leaves_out_what_is_mapped_already_whoever_has_it(
    connected: Cli, airbyte: Airbyte, workspace: str
) -> None:
    add_client(connected, "acme", "globex")
    mapped = next(iter(airbyte.sandbox.world.connections))
    connected.ok(*adding("globex", airbyte_id=mapped))

    done = connected.json(*importing(workspace))

    assert len(done["imported"]) == 2
    assert done["skipped"] == [mapped]
    assert [row["client"] for row in rows(connected) if row["airbyte_id"] == mapped] == ["globex"]


def test_a_second_import_imports_nothing(connected: Cli, workspace: str) -> None:
    add_client(connected, "acme", "globex")
    connected.ok(*importing(workspace))
    before = rows(connected)

    again = connected.ok(*importing(workspace))
    other = connected.ok(*importing(workspace, "globex"))

    assert again.stdout == other.stdout == "Imported 0, skipped 3 already mapped.\n"
    assert all(line.startswith("skipped  ") for line in again.stderr.splitlines())
    assert rows(connected) == before


def test_import_leaves_out_what_airbyte_has_deleted(connected: Cli, airbyte: Airbyte, workspace: str) -> None:
    add_client(connected, "acme")
    airbyte.sandbox.world.remove_connection(next(iter(airbyte.sandbox.world.connections)))

    assert len(connected.json(*importing(workspace))["imported"]) == 2


def test_import_of_an_empty_workspace_imports_nothing(connected: Cli, airbyte: Airbyte) -> None:
    add_client(connected, "acme")
    workspace = airbyte.sandbox.world.add_workspace("Empty").workspace_id

    done = connected.ok(*importing(workspace))

    assert done.stdout == "Imported 0, skipped 0 already mapped.\n"
    assert done.stderr == f"Airbyte shows no connection in workspace {workspace}.\n"


@pytest.mark.parametrize("workspace", ["", "7", "not-a-uuid", f"{UNKNOWN},{UNKNOWN}"])
def test_import_from_a_malformed_workspace_is_refused(connected: Cli, airbyte: Airbyte, workspace: str) -> None:
    add_client(connected, "acme")

    line = connected.refusal("connection", "import", "--client=acme", f"--workspace={workspace}")

    assert line.startswith("the workspace must be a UUID")
    assert not airbyte.sandbox.requests


def test_import_for_an_unknown_client_is_refused_unasked(connected: Cli, airbyte: Airbyte, workspace: str) -> None:
    assert connected.refusal(*importing(workspace, "nobody")).startswith("there is no client")
    assert not airbyte.sandbox.requests


def test_nothing_of_a_sources_configuration_is_kept_or_shown(connected: Cli, airbyte: Airbyte, workspace: str) -> None:
    add_client(connected, "acme")
    for source in airbyte.sandbox.world.sources.values():
        source.configuration["credentials"] = {"password": "planted-secret-7f3a"}

    result = connected.ok(*importing(workspace), "--json")

    assert any(request.path.startswith("/api/public/v1/sources/") for request in airbyte.sandbox.requests)
    for place in (result.stdout, result.stderr, connected.ok("connection", "list", "--json").stdout):
        assert "planted-secret-7f3a" not in place
        assert "internal.example.com" not in place
    for file in connected.folder.iterdir():
        assert b"planted-secret-7f3a" not in file.read_bytes()
        assert b"internal.example.com" not in file.read_bytes()


def test_a_name_in_airbyte_cannot_forge_a_line_of_ours(connected: Cli, airbyte: Airbyte, workspace: str) -> None:
    add_client(connected, "acme")
    airbyte.sandbox.world.add_connection(workspace, name="Evil\n\x1b[2Jimported conn_x -> BigQuery")

    result = connected.ok(*importing(workspace))

    assert len(result.stderr.splitlines()) == 4
    assert "\x1b" not in result.stderr
    assert "Evil [2Jimported conn_x" in {row["label"] for row in rows(connected)}


@pytest.mark.parametrize("count", [21, 45, 120])
@pytest.mark.parametrize("unordered", [False, True], ids=["ordered", "unordered"])
def test_import_is_complete_however_many_and_in_whatever_order(
    connected: Cli, airbyte: Airbyte, count: int, unordered: bool
) -> None:
    add_client(connected, "acme")
    world = airbyte.sandbox.world
    workspace = world.add_workspace("Large").workspace_id
    expected = {world.add_connection(workspace).connection_id for _ in range(count)}
    airbyte.sandbox.faults.unordered = unordered

    done = connected.json(*importing(workspace))

    imported = [row["airbyte_id"] for row in done["imported"]]
    assert len(imported) == len(set(imported))
    assert set(imported) == expected
    assert done["skipped"] == []


def test_what_was_imported_before_airbyte_failed_stays_and_the_next_run_goes_on(
    connected: Cli, airbyte: Airbyte
) -> None:
    add_client(connected, "acme")
    world = airbyte.sandbox.world
    workspace = world.add_workspace("Work").workspace_id
    for kind in ("shopify", "postgres", "stripe"):
        world.add_connection(workspace, kind)
    asked: list[str] = []

    def second_source(method: str, path: str) -> bool:
        if "/sources/" not in path:
            return False
        asked.append(path)
        return path != asked[0]

    airbyte.sandbox.faults.answer_with(Answer.html(404), when=second_source)

    failed = connected(*importing(workspace))

    assert failed.exit_code == 1
    assert len(rows(connected)) == 1
    assert connected.ok(*importing(workspace)).stdout == "Imported 2, skipped 1 already mapped.\n"


def one_clear_line(result: Result) -> str:
    """The only line there is; what it says."""
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    return refusal_of(result)


@pytest.mark.parametrize("form", [400, 401, 500])
def test_wrong_airbyte_credentials_are_one_clear_line(
    connected: Cli, airbyte: Airbyte, workspace: str, form: Literal[400, 401, 500]
) -> None:
    add_client(connected, "acme")
    connected.settings.write_text(airbyte.settings_toml(client_secret="planted-secret-7f3a"))
    airbyte.sandbox.faults.wrong_credentials = form

    line = one_clear_line(connected(*importing(workspace)))

    assert "token" in line
    assert str(form) in line
    assert "planted-secret-7f3a" not in line
    assert rows(connected) == []


@pytest.mark.parametrize("path", ["", "/some/page"])
def test_a_base_url_that_serves_pages_is_one_clear_line(
    connected: Cli, airbyte: Airbyte, workspace: str, path: str
) -> None:
    add_client(connected, "acme")
    connected.settings.write_text(airbyte.settings_toml(base_url=airbyte.address + path, auth="none"))

    line = one_clear_line(connected(*importing(workspace)))

    assert "an HTML page instead of JSON" in line
    assert "airbyte.base_url" in line
    assert plain_http.get(f"{airbyte.address}{path}/connections").headers["content-type"].startswith("text/html")


def test_a_base_url_that_serves_pages_is_one_clear_line_with_credentials_too(
    connected: Cli, airbyte: Airbyte, workspace: str
) -> None:
    add_client(connected, "acme")
    connected.settings.write_text(airbyte.settings_toml(base_url=f"{airbyte.address}/some/page"))

    line = one_clear_line(connected(*importing(workspace)))

    assert "no token" in line
    assert "airbyte.base_url" in line


def test_import_from_an_airbyte_that_cannot_be_reached_is_one_clear_line(connected: Cli, workspace: str) -> None:
    add_client(connected, "acme")
    with unreachable(connected):
        line = one_clear_line(connected(*importing(workspace)))

    assert line.startswith("Upstream service unreachable")


def test_move_gives_a_connection_to_another_client(cli: Cli) -> None:
    for slug in ("acme", "globex"):
        cli.ok("client", "add", "--name", slug, "--slug", slug)
    own = cli.json("connection", "add", "--client", "acme", "--connector-type", "shopify", "--label", "Shop")["id"]

    result = cli.ok("connection", "move", own, "--to", "globex", "--yes")

    assert result.stdout == f"Moved connection {own} to globex.\n"
    assert [row["id"] for row in cli.json("connection", "list", "--client", "globex")] == [own]
    assert cli.json("connection", "move", own, "--to", "acme", "--new-id", "--yes")["id"] != own
