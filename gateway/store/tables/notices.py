"""Every statement about the table `notices`: what the operator was told, or is to be told, by each channel.

No cache holds any of it, so each write is housekeeping.
"""

from collections.abc import Collection, Mapping

import msgspec

from gateway.models import Notice
from gateway.store.database import Database, Transaction


class OpenNotice(msgspec.Struct, frozen=True):
    """A matter that a channel tells of; `is_told` once its beginning was."""

    notice: Notice
    is_told: bool


class Notices:
    """Matters that last, by channel. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def update(
        self, channel: str, texts: Mapping[str, str], *, unknown: Collection[str] = (), now: str
    ) -> list[OpenNotice]:
        """Note which matters last now, each with its text, and return what there is to tell.

        A matter is over if it is missing in `texts`, unless its kind, what stands before its colon, is `unknown` now.
        One that ended before its beginning was told is forgotten: nobody misses its end.
        """
        kept = {*texts, *unknown}

        async def write(transaction: Transaction) -> list[OpenNotice]:
            rows = await transaction.execute_fetchall(
                "SELECT matter, text, since, told_at FROM notices WHERE channel = :channel", {"channel": channel}
            )
            known = {
                row["matter"]: OpenNotice(
                    Notice(
                        row["matter"],
                        row["text"],
                        row["since"],
                        is_over=kept.isdisjoint((row["matter"], row["matter"].partition(":")[0])),
                    ),
                    is_told=row["told_at"] is not None,
                )
                for row in rows
            }
            missed = [matter for matter, found in known.items() if found.notice.is_over and not found.is_told]
            await _forget(transaction, channel, missed)
            new = {matter: Notice(matter, text, now) for matter, text in texts.items() if matter not in known}
            for notice in new.values():
                await transaction.execute_fetchall(
                    "INSERT INTO notices (channel, matter, text, since) VALUES (:channel, :matter, :text, :since)",
                    {"channel": channel, "matter": notice.matter, "text": notice.text, "since": notice.since},
                )
            lasting = [found for matter, found in known.items() if matter not in missed]
            return [*lasting, *(OpenNotice(notice, is_told=False) for notice in new.values())]

        return await self._database.write(write, housekeeping=True)

    async def mark_told(self, channel: str, notice: Notice, *, now: str) -> None:
        """Note that the channel told of it. One that is over is forgotten."""

        async def write(transaction: Transaction) -> None:
            if notice.is_over:
                await _forget(transaction, channel, [notice.matter])
                return
            await transaction.execute_fetchall(
                "UPDATE notices SET told_at = :now WHERE channel = :channel AND matter = :matter",
                {"now": now, "channel": channel, "matter": notice.matter},
            )

        await self._database.write(write, housekeeping=True)


async def _forget(transaction: Transaction, channel: str, matters: Collection[str]) -> None:
    for matter in matters:
        await transaction.execute_fetchall(
            "DELETE FROM notices WHERE channel = :channel AND matter = :matter", {"channel": channel, "matter": matter}
        )
