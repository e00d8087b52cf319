"""Every statement about second factors: a user's secret that makes codes, and recovery codes that stand in for them.

The secret stands in `users`, readable, because a code is compared with what it makes. Writes are housekeeping, as for
users.
"""

from collections.abc import Iterable

import msgspec

from gateway.models import ActivityEntry
from gateway.store.database import Database, Transaction
from gateway.store.tables import activity, users


class TotpSecret(msgspec.Struct, frozen=True):
    """What makes a user's codes. `is_on`: sign-ins ask for one; else it is being set up."""

    text: str
    is_on: bool

    def __repr__(self) -> str:
        return f"TotpSecret(is_on={self.is_on})"


class TimeCode(msgspec.Struct, frozen=True):
    """A code that `secret` makes for a time step."""

    secret: str
    step: int

    def __repr__(self) -> str:
        return f"TimeCode(step={self.step})"


class RecoveryCode(msgspec.Struct, frozen=True):
    """A code that was given out before, by its digest. `entry` tells of its use."""

    digest: bytes
    entry: ActivityEntry


Proof = TimeCode | RecoveryCode
"""What a user typed: good once, and only while it is his."""


class SecondFactors:
    """Second factors by the id of their user. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def secret_of(self, user_id: str) -> TotpSecret | None:
        """Return what makes the user's codes; None if nothing does."""
        row = await self._database.fetch_one(
            "SELECT totp_secret, totp_since FROM users WHERE id = :id", {"id": user_id}
        )
        if row is None or row["totp_secret"] is None:
            return None
        return TotpSecret(row["totp_secret"], is_on=row["totp_since"] is not None)

    async def count_recovery_codes(self, user_id: str) -> int:
        """Return how many of the user's recovery codes are left."""
        rows = await self._database.fetch_all("SELECT 1 FROM recovery_codes WHERE user_id = :id", {"id": user_id})
        return len(rows)

    async def set_up(self, user_id: str, secret: str) -> bool:
        """Keep a new secret, for which no code is asked yet; False if one that is asked for is there."""
        sql = """
            UPDATE users SET totp_secret = :secret, totp_last_step = NULL
            WHERE id = :id AND totp_since IS NULL RETURNING 1
            """
        return await self._change(sql, {"id": user_id, "secret": secret})

    async def switch_on(
        self, user_id: str, code: TimeCode, digests: Iterable[bytes], *, staying: str, at: str, entry: ActivityEntry
    ) -> bool:
        """Ask for codes from now on; `digests` are the recovery codes'. All sessions end but the one `staying`.

        Return False if the secret was replaced meanwhile, or codes are asked for already.
        """
        sql = """
            UPDATE users SET totp_since = :at, totp_last_step = :step
            WHERE id = :id AND totp_secret = :secret AND totp_since IS NULL RETURNING 1
            """
        parameters = {"id": user_id, "at": at, "secret": code.secret, "step": code.step}

        async def write(transaction: Transaction) -> bool:
            changed = await activity.change(transaction, sql, parameters, entry)
            if changed:
                await _replace_recovery_codes(transaction, user_id, digests)
                await transaction.execute_fetchall(
                    "DELETE FROM sessions WHERE user_id = :user_id AND id <> :staying",
                    {"user_id": user_id, "staying": staying},
                )
            return bool(changed)

        return await self._database.write(write, housekeeping=True)

    async def switch_off(self, user_id: str, proof: Proof | None, *, entry: ActivityEntry) -> bool:
        """Ask for no code any more; False if the proof is not good."""

        async def write(transaction: Transaction) -> bool:
            return await spend(transaction, user_id, proof) and await _forget(transaction, user_id, entry)

        return await self._database.write(write, housekeeping=True)

    async def renew_recovery_codes(
        self, user_id: str, proof: Proof | None, digests: Iterable[bytes], *, entry: ActivityEntry
    ) -> bool:
        """Put new recovery codes in the place of all there are; False if the proof is not good."""

        async def write(transaction: Transaction) -> bool:
            if not await spend(transaction, user_id, proof):
                return False
            await _replace_recovery_codes(transaction, user_id, digests)
            await activity.insert(transaction, entry)
            return True

        return await self._database.write(write, housekeeping=True)

    async def reset(self, user_id: str, *, entry: ActivityEntry) -> bool:
        """Ask for no code any more, without a proof; False if none was asked for."""
        return await self._database.write(lambda transaction: _forget(transaction, user_id, entry), housekeeping=True)

    async def _change(self, sql: str, parameters: dict[str, str]) -> bool:
        changed = await self._database.write(
            lambda transaction: activity.change(transaction, sql, parameters, None), housekeeping=True
        )
        return bool(changed)


async def spend(transaction: Transaction, user_id: str, proof: Proof | None) -> bool:
    """Use the proof up in the transaction that is under way; False if it is not good any more. None never is."""
    if isinstance(proof, TimeCode):
        used = await transaction.execute_fetchall(
            """
            UPDATE users SET totp_last_step = :step WHERE id = :id AND totp_secret = :secret
            AND totp_since IS NOT NULL AND (totp_last_step IS NULL OR totp_last_step < :step) RETURNING 1
            """,
            {"id": user_id, "secret": proof.secret, "step": proof.step},
        )
        return bool(used)
    if proof is None:
        return False
    sql = "DELETE FROM recovery_codes WHERE user_id = :id AND digest = :digest RETURNING 1"
    return bool(await activity.change(transaction, sql, {"id": user_id, "digest": proof.digest}, proof.entry))


async def _forget(transaction: Transaction, user_id: str, entry: ActivityEntry) -> bool:
    sql = """
        UPDATE users SET totp_secret = NULL, totp_last_step = NULL, totp_since = NULL
        WHERE id = :id AND totp_since IS NOT NULL RETURNING 1
        """
    forgotten = await activity.change(transaction, sql, {"id": user_id}, entry)
    if forgotten:
        await _replace_recovery_codes(transaction, user_id, ())
        await users.end_pending_sign_ins(transaction, user_id)
    return bool(forgotten)


async def _replace_recovery_codes(transaction: Transaction, user_id: str, digests: Iterable[bytes]) -> None:
    await transaction.execute_fetchall("DELETE FROM recovery_codes WHERE user_id = :id", {"id": user_id})
    for digest in digests:
        await transaction.execute_fetchall(
            "INSERT INTO recovery_codes (user_id, digest) VALUES (:id, :digest)", {"id": user_id, "digest": digest}
        )
