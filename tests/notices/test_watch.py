"""The operator is told once when something begins and once when it is over, on each channel by itself."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.models import Notice, Trouble
from gateway.notices.channels import NoticeRefused, NotTold, WebhookChannel
from gateway.notices.matters import BackupLimit, Matters
from gateway.notices.timings import NoticeTimings
from gateway.notices.watch import MOST_OF_LOOK, NoticeWatch
from gateway.sandbox.faults import Answer
from gateway.settings.secret import Secret
from gateway.store.database import Transaction
from gateway.store.disk import DiskRoom
from gateway.store.leadership import Leadership, LeasedLeadership, SoleLeadership
from gateway.times import format_time
from gateway.webhooks.receipt import Receipt
from tests.support import World

MINUTE = 60.0
NO_BACKUPS = BackupLimit()


class Ears:
    """A channel that remembers, and that may be deaf."""

    def __init__(self, name: str = "mail") -> None:
        self.name = name
        self.heard: list[Notice] = []
        self.is_deaf = False
        self.refused: set[str] = set()
        """Matters of which it takes no notice."""

    async def tell(self, notice: Notice) -> str:
        if self.is_deaf:
            raise NotTold("nobody listens")
        if notice.matter in self.refused:
            raise NoticeRefused("it is spam")
        self.heard.append(notice)
        return ""

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


def write_backup(folder: Path, world: World, *, hours_ago: float) -> Path:
    """Write a file as old as that, by the world's clock; return its path."""
    path = folder / f"{hours_ago}.db"
    path.touch()
    written = world.clock.now().timestamp() - hours_ago * 3600
    os.utime(path, (written, written))
    return path


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


async def test_an_outage_is_told_by_its_beginning_however_often_the_gateway_begins_anew(world: World) -> None:
    await world.client_with_key()
    await world.mapped_connection()
    ears = Ears()
    four_minutes_ago = format_time(world.clock.now() - timedelta(minutes=4))
    await world.services.store.outages.note(Trouble("failing", "it answers 503"), at=four_minutes_ago)
    Outage(world)

    await minutes(world, watch_of(world, ears), 2)

    assert ears.told() == [("airbyte_down", False)]


async def test_airbyte_that_gives_not_even_a_token_is_told_to_be_down(world: World) -> None:
    """As when the gateway begins while Airbyte is down: no call is made, so none fails."""
    await world.client_with_key()
    await world.mapped_connection()
    ears = Ears()
    watch = watch_of(world, ears)
    world.sandbox.faults.token_endpoint_down = True
    world.clock.advance(world.sandbox.faults.token_lifetime_seconds)

    await minutes(world, watch, 7)
    assert ears.told() == [("airbyte_down", False)]

    world.sandbox.faults.token_endpoint_down = False
    await minutes(world, watch, 2)
    assert ears.told() == [("airbyte_down", True)]


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


async def test_a_credential_that_airbyte_refuses_is_told_until_it_is_taken(world: World) -> None:
    await world.client_with_key()
    await world.mapped_connection()
    ears = Ears()
    watch = watch_of(world, ears)
    await minutes(world, watch, 1)
    world.services.airbyte.change_credential("sandbox-client", Secret("of yesterday"))
    await minutes(world, watch, 3)
    assert ears.told() == [("credential_refused", False)]

    world.services.airbyte.change_credential("sandbox-client", Secret("sandbox-secret"))
    await minutes(world, watch, 3)
    assert ears.told() == [("credential_refused", True)]


async def test_a_workspace_that_airbyte_refuses_is_told_until_it_is_told_of(world: World) -> None:
    await world.client_with_key()
    await world.mapped_connection()
    workspaces = world.sandbox.world.workspaces
    refused = world.sandbox.world.add_workspace("Closed")
    theirs = world.sandbox.world.add_connection(refused.workspace_id).connection_id
    await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=theirs)
    ears = Ears()
    watch = watch_of(world, ears)
    await minutes(world, watch, 1)
    world.sandbox.faults.user_mode = True
    del workspaces[refused.workspace_id]
    await minutes(world, watch, 3)
    assert ears.told() == [(f"workspace_refused:{refused.workspace_id}", False)]

    workspaces[refused.workspace_id] = refused
    await minutes(world, watch, 10)
    assert ears.told() == [(f"workspace_refused:{refused.workspace_id}", True)]


async def test_a_disk_that_is_nearly_full_is_told_until_there_is_ample_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = DiskRoom(free=99_000_000, size=1_000_000)
    monkeypatch.setattr("gateway.notices.matters.disk_room", lambda _path: room)
    ears = Ears()
    watch = watch_of(world, ears)
    await minutes(world, watch, 2)
    assert [notice.text for notice in ears.heard] == ["The database's disk has 99 MB left."]
    assert ears.told() == [("disk_nearly_full", False)]

    room = DiskRoom(free=110_000_000, size=1_000_000)
    await minutes(world, watch, 2)
    assert ears.told() == []
    room = DiskRoom(free=130_000_000, size=1_000_000)
    await minutes(world, watch, 2)
    assert ears.told() == [("disk_nearly_full", True)]


async def test_a_disk_of_which_nothing_can_be_told_keeps_no_other_matter_from_being_told(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_path: Path) -> DiskRoom:
        raise OSError

    monkeypatch.setattr("gateway.notices.matters.disk_room", broken)
    ears = Ears()

    await minutes(world, watch_of(world, ears, backups=BackupLimit(tmp_path / "none")), 2)

    assert ears.told() == [("backup_old", False)]


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


async def test_syncs_that_fail_are_not_over_while_the_next_one_runs(world: World) -> None:
    await world.client_with_key()
    _, airbyte_id = await world.mapped_connection()
    add_job = world.sandbox.world.add_job
    add_job(airbyte_id, status="failed")
    ears = Ears()
    watch = watch_of(world, ears)
    await minutes(world, watch, 1)
    assert [notice.text for notice in ears.heard] == ["Syncs of Acme fail: the last of Shop did."]
    assert ears.told() == [("syncs_failing:acme", False)]

    for status in ("failed", "succeeded"):
        add_job(airbyte_id, status=status, created_at=world.clock.now().timestamp(), duration_seconds=2.5 * MINUTE)
        await minutes(world, watch, 2)
        assert (await world.services.store.connections.all())[0].last_sync_status == "running"
        assert ears.told() == []
        await minutes(world, watch, 2)

    assert ears.told() == [("syncs_failing:acme", True)]


async def test_a_channel_that_does_not_answer_is_tried_again_and_hinders_no_other(world: World, tmp_path: Path) -> None:
    mail, hook = Ears("mail"), Ears("webhook")
    watch = watch_of(world, mail, hook, backups=BackupLimit(tmp_path / "none"))
    mail.is_deaf = True

    await minutes(world, watch, 2)
    assert (mail.told(), hook.told()) == ([], [("backup_old", False)])
    mail.is_deaf = False
    await minutes(world, watch, 2)
    assert (mail.told(), hook.told()) == ([("backup_old", False)], [])


async def test_notices_that_a_channel_never_takes_keep_no_other_waiting(world: World) -> None:
    slugs = [f"client-{number}" for number in range(MOST_OF_LOOK + 2)]
    for slug in slugs:
        await world.client_with_key(slug)
        _, airbyte_id = await world.mapped_connection(slug)
        world.sandbox.world.add_job(airbyte_id, status="failed")
    *others, last = [f"syncs_failing:{slug}" for slug in slugs]
    ears = Ears()
    ears.refused.update(others)
    watch = watch_of(world, ears)

    await minutes(world, watch, 3)
    assert ears.told() == [(last, False)]

    ears.refused = set(others[1:])
    await minutes(world, watch, 3)
    assert ears.told() == [(others[0], False)]


async def test_an_address_that_cannot_be_sent_to_at_all_keeps_no_other_channel_waiting(
    world: World, tmp_path: Path
) -> None:
    class Broken:
        async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Receipt:
            raise ValueError(f"{url} {len(headers)} {len(body)}")

    mail = Ears("mail")
    hook = WebhookChannel(Broken(), Secret("https://a..b/token"), Secret(""), world.clock, lambda: "msg_1")
    watch = watch_of(world, mail, backups=BackupLimit(tmp_path / "none"))
    watch.channels = [hook, mail]

    await minutes(world, watch, 2)

    assert mail.told() == [("backup_old", False)]
    with pytest.raises(NotTold) as raised:
        await hook.tell(Notice("backup_old", "Old.", ""))
    assert str(raised.value) == "it could not be sent: ValueError"


async def test_a_gateway_that_stops_lets_another_tell_at_once(world: World, tmp_path: Path) -> None:
    ears = Ears()
    first, second = (
        watch_of(
            world,
            ears,
            backups=BackupLimit(tmp_path / "none"),
            leadership=LeasedLeadership(world.services.store, name),
        )
        for name in ("gateway-1", "gateway-2")
    )
    await first.look()
    (tmp_path / "none").mkdir()
    write_backup(tmp_path / "none", world, hours_ago=1)
    await second.look()
    assert ears.told() == [("backup_old", False)]

    await first.close()
    await second.look()

    assert ears.told() == [("backup_old", True)]


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

    write_backup(folder, world, hours_ago=1).rename(folder / "gateway-backup.part")
    await minutes(world, watch, 1)
    assert ears.told() == []
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


async def test_a_webhook_whose_oldest_events_were_given_up_is_told_for_a_day(world: World) -> None:
    await world.client_with_key()
    new = await world.services.webhooks.endpoints.add("acme", url="https://hooks.example/secret")
    ears = Ears()
    watch = watch_of(world, ears)

    async def overflow(transaction: Transaction) -> None:
        now = {"now": format_time(world.clock.now())}
        await transaction.execute_fetchall("UPDATE webhooks SET overflowed_at = :now", now)

    await world.services.store.database.write(overflow)
    await minutes(world, watch, 3)
    (notice,) = ears.heard
    assert f"hooks.example ({new.record.id}) of Acme takes events too slowly: more than 20,000 waited" in notice.text
    assert ears.told() == [(f"webhook_queue_full:{new.record.id}", False)]

    world.clock.advance(24 * 60 * MINUTE)
    await minutes(world, watch, 1)
    assert ears.told() == [(f"webhook_queue_full:{new.record.id}", True)]
