"""What clients' connections lead to."""

import pytest

from gateway.doctor import Finding, run_checks
from gateway.sandbox import Answer
from tests.support import World


async def findings(world: World) -> list[Finding]:
    found = [finding async for finding in run_checks(world.services, is_serving=True)]
    return [finding for finding in found if finding.check.startswith("connection")]


async def test_connections_without_mapping_are_a_warning_with_the_command_that_mends_it(world: World) -> None:
    await world.client_with_key()
    ids = [
        (
            await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=None)
        ).connection.id
        for _ in range(6)
    ]

    finding, _ = await findings(world)

    assert finding == Finding(
        "connections",
        "warn",
        f"6 without mapping, which no client can sync: {', '.join(ids[:5])} and 1 more",
        f"gateway connection map {ids[0]} --airbyte-id UUID",
    )


async def test_airbyte_s_connections_that_are_nobody_s_are_counted_for_each_workspace(world: World) -> None:
    await world.client_with_key()
    await world.mapped_connection()
    first = next(iter(world.sandbox.world.workspaces))
    second = world.sandbox.world.add_workspace("Globex").workspace_id
    for workspace in (first, second, second):
        world.sandbox.world.add_connection(workspace)

    counted, *told = await findings(world)

    assert counted.text == "1 mapped connections looked for in Airbyte"
    assert sorted((finding.level, finding.text, finding.advice) for finding in told) == [
        (
            "ok",
            "1 without a client in Airbyte's workspace Work",
            f"To assign them to a client: gateway connection import --client SLUG --workspace {first}",
        ),
        (
            "ok",
            "2 without a client in Airbyte's workspace Globex",
            f"To assign them to a client: gateway connection import --client SLUG --workspace {second}",
        ),
    ]


async def test_many_connections_cost_few_calls(world: World) -> None:
    await world.client_with_key()
    for _ in range(45):
        await world.mapped_connection()
    world.sandbox.requests.clear()

    (finding,) = await findings(world)

    assert finding.text == "45 mapped connections looked for in Airbyte"
    assert len(world.sandbox.requests) < 12


async def test_a_list_that_changes_its_order_makes_nothing_vanish(world: World) -> None:
    await world.client_with_key()
    for _ in range(30):
        await world.mapped_connection()
    world.sandbox.faults.unordered = True

    assert [finding.level for finding in await findings(world)] == ["ok"]


@pytest.mark.parametrize("status", [403, 404])
async def test_a_mapping_that_airbyte_denies_is_a_failure(world: World, status: int) -> None:
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.forget_connection(theirs)
    world.sandbox.faults.user_mode = status == 403

    failed, _ = await findings(world)

    assert (failed.check, failed.level) == (f"connection {ours}", "fail")
    assert failed.text == f"Shop: Airbyte does not show {theirs} ({status} from Airbyte)"


async def test_an_airbyte_that_fails_in_the_middle_is_told(world: World) -> None:
    await world.client_with_key()
    await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer(404), times=9, when=lambda _, path: path.endswith("/connections"))

    (finding,) = await findings(world)

    assert finding.level == "fail"
    assert finding.text.startswith("workspace Work cannot be read (404 from Airbyte)")


async def test_a_workspace_that_cannot_be_read_is_named_and_the_others_are_looked_at(world: World) -> None:
    await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.world.add_connection(world.sandbox.world.add_workspace("Other").workspace_id)
    world.sandbox.faults.answer_with(Answer(403), when=lambda _, path: path.endswith("/connections"))

    refused, *others = await findings(world)

    assert refused.level == "fail"
    assert refused.text in {
        f"workspace Work cannot be read (403 from Airbyte); 1 mapped connections are in it: {ours}",
        "workspace Other cannot be read (403 from Airbyte); 0 mapped connections are in it",
    }
    assert [finding.level for finding in others] in (["ok"], ["ok", "ok"])


async def test_a_workspace_that_airbyte_no_longer_lists_is_named_with_its_connections(world: World) -> None:
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    workspace = world.sandbox.world.connections[theirs].workspace_id
    del world.sandbox.world.workspaces[workspace]

    refused, *_ = await findings(world)

    assert refused.text == (
        f"workspace {workspace} cannot be read (Airbyte does not list it); 1 mapped connections are in it: {ours}"
    )


async def test_odd_rows_are_a_warning(world: World) -> None:
    world.services.metrics.count_odd_rows(2)

    found = [finding async for finding in run_checks(world.services, is_serving=True)]

    (odd,) = [finding for finding in found if finding.check == "airbyte rows"]
    assert (odd.level, odd.text[:6]) == ("warn", "2 rows")
