"""The operator is told once when something begins and once when it is over, on each channel by itself."""

import os
from pathlib import Path

from gateway.models import Notice
from gateway.notices.channels import NotTold
from gateway.notices.matters import BackupLimit, Matters
from gateway.notices.timings import NoticeTimings
from gateway.notices.watch import NoticeWatch
from gateway.sandbox.faults import Answer
from gateway.store.database import Transaction
from gateway.store.leadership import Leadership, LeasedLeadership, SoleLeadership
from tests.support import World

MINUTE = 60.0
NO_BACKUPS = BackupLimit()


class Ears:
    """A channel that remembers, and that may be deaf."""

    def __init__(self, name: str = "mail") -> None:
        self.name = name
        self.heard: list[Notice] = []
        self.is_deaf = False

    async def tell(self, notice: Notice) -> None:
        if self.is_deaf:
            raise NotTold("nobody listens")
        self.heard.append(notice)

    def told(self) -> list[tuple[str, bool]]:
        """Return what was heard since the last time: each matter, and whether it was over."""
        told = [(notice.matter, notice.is_over) for notice in self.heard]
        self.heard.clear()
        return told


class Outage:
    """From now on Airbyte answers 503, until it is over."""

    def __init__(self, world: World) -> None:
        self.is_over = False
        world.sandbox.faults.answer_with(Answer.html(503), times=1000, when=lambda *_: not self.is_over)


def write_backup(folder: Path, world: World, *, hours_ago: float) -> None:
    """Write a file as old as that, by the world's clock."""
    path = folder / f"{hours_ago}.db"
    path.touch()
    written = world.clock.now().timestamp() - hours_ago * 3600
    os.utime(path, (written, written))


def watch_of(
    world: World, *ears: Ears, backups: BackupLimit = NO_BACKUPS, leadership: Leadership | None = None
) -> NoticeWatch:
    """Return a watch as a gateway has it that was just started."""
    services = world.services
    timings = NoticeTimings()
    path = services.settings.database_path
    matters = Matters(
        services.store,
        services.airbyte,
        services.syncs.last_sync,
        backups,
        clock=world.clock,
        database_path=path,
        timings=timings,
    )
    return NoticeWatch(
        services.store, matters, ears, world.clock, leadership=leadership or SoleLeadership(), timings=timings
    )


async def minutes(world: World, watch: NoticeWatch, count: int) -> None:
    """Let so many minutes pass, with a look after each."""
    for _ in range(count):
        world.clock.advance(MINUTE)
        await watch.look()


async def test_nothing_is_told_while_all_is_well(world: World) -> None:
    await world.client_with_key()
    await world.mapped_connection()
    ears = Ears()

    await minutes(world, watch_of(world, ears), 3)

    assert ears.told() == []


async def test_airbyte_that_is_down_for_five_minutes_is_told_and_that_it_is_back(world: World) -> None:
    await world.client_with_key()
    await world.mapped_connection()
    ears = Ears()
    watch = watch_of(world, ears)
    await minutes(world, watch, 1)
    outage = Outage(world)

    await minutes(world, watch, 5)
    assert ears.told() == []
    await minutes(world, watch, 3)
    assert ears.told() == [("airbyte_down", False)]

    outage.is_over = True
    await minutes(world, watch, 2)
    assert ears.told() == [("airbyte_down", True)]


async def test_a_restart_during_an_outage_tells_nothing_anew(world: World) -> None:
    """What the process does not know yet is not over."""
    await world.services.store.notices.update("mail", {"airbyte_down": "Down."}, now="2026-04-01T03:00:00.000Z")
    ears = Ears()
    await world.services.store.notices.mark_told(
        "mail", Notice("airbyte_down", "Down.", ""), now="2026-04-01T03:00:00.000Z"
    )
    Outage(world)

    await minutes(world, watch_of(world, ears), 2)

    assert ears.told() == []


async def test_of_two_gateways_one_tells_until_it_is_silent(world: World, tmp_path: Path) -> None:
    """What they see differs: one has no backups."""
    ears = Ears()
    holders = [LeasedLeadership(world.services.store, name) for name in ("gateway-1", "gateway-2")]
    first = watch_of(world, ears, backups=BackupLimit(tmp_path / "none"), leadership=holders[0])
    second = watch_of(world, ears, leadership=holders[1])

    for _ in range(3):
        await first.look()
        await second.look()

    assert ears.told() == [("backup_old", False)]


async def test_a_workspace_is_not_over_before_a_reading_has_ended(world: World) -> None:
    told = Notice("workspace_refused:w1", "Refused.", "2026-04-01T03:00:00.000Z")
    await world.services.store.notices.update("mail", {told.matter: told.text}, now=told.since)
    await world.services.store.notices.mark_told("mail", told, now=told.since)
    await world.client_with_key()
    await world.mapped_connection()
    ears = Ears()
    outage = Outage(world)
    await minutes(world, watch_of(world, ears), 1)
    assert ears.told() == []

    outage.is_over = True
    await minutes(world, watch_of(world, ears), 2)
    assert ears.told() == [("workspace_refused:w1", True)]


async def test_syncs_that_fail_are_told_once_for_a_client(world: World) -> None:
    await world.client_with_key()
    for _ in range(2):
        _, airbyte_id = await world.mapped_connection()
        world.sandbox.world.add_job(airbyte_id, status="failed")
    ears = Ears()

    await minutes(world, watch_of(world, ears), 3)

    (notice,) = ears.heard
    assert notice.matter == "syncs_failing:acme"
    assert notice.text == "Syncs of Acme fail: the last of 2 connections did, Shop among them."


async def test_a_channel_that_does_not_answer_is_tried_again_and_hinders_no_other(world: World, tmp_path: Path) -> None:
    mail, hook = Ears("mail"), Ears("webhook")
    watch = watch_of(world, mail, hook, backups=BackupLimit(tmp_path / "none"))
    mail.is_deaf = True

    await minutes(world, watch, 2)
    assert (mail.told(), hook.told()) == ([], [("backup_old", False)])
    mail.is_deaf = False
    await minutes(world, watch, 2)
    assert (mail.told(), hook.told()) == ([("backup_old", False)], [])


async def test_what_ends_before_it_was_told_is_not_told_at_all(world: World, tmp_path: Path) -> None:
    ears = Ears()
    ears.is_deaf = True
    await minutes(world, watch_of(world, ears, backups=BackupLimit(tmp_path / "none")), 1)
    ears.is_deaf = False

    await minutes(world, watch_of(world, ears), 1)

    assert ears.told() == []


async def test_a_backup_is_told_to_be_old_until_there_is_a_newer_one(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    ears = Ears()
    watch = watch_of(world, ears, backups=BackupLimit(folder, 48.0))
    write_backup(folder, world, hours_ago=49)
    await minutes(world, watch, 2)
    assert ears.told() == [("backup_old", False)]

    write_backup(folder, world, hours_ago=1)
    await minutes(world, watch, 1)
    assert ears.told() == [("backup_old", True)]


async def test_a_disabled_webhook_is_told_until_it_is_enabled(world: World) -> None:
    await world.client_with_key()
    endpoints = world.services.webhooks.endpoints
    new = await endpoints.add("acme", url="https://hooks.example/secret")
    ears = Ears()
    watch = watch_of(world, ears)

    async def disable(transaction: Transaction) -> None:
        await transaction.execute_fetchall("UPDATE webhooks SET disabled_at = '2026', disabled_reason = 'gone'")

    await world.services.store.database.write(disable)
    await minutes(world, watch, 3)
    (notice,) = ears.heard
    named = f"hooks.example ({new.record.id}) of Acme"
    assert notice.text == f"The webhook {named} was disabled: it answered 410, which says that it is gone."
    assert ears.told() == [(f"webhook_disabled:{new.record.id}", False)]

    await endpoints.enable(new.record.id)
    await minutes(world, watch, 3)
    assert ears.told() == [(f"webhook_disabled:{new.record.id}", True)]
