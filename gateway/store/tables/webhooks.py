"""Every statement about the table `webhooks`: who is told of events, and with which secrets.

Whatever changes one takes the `entry` that tells of it and writes both or neither. What a client asks for takes
`client_id` first.
"""

import json
from collections.abc import Callable, Collection
from datetime import timedelta

import msgspec

from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.models import ActivityEntry, Webhook
from gateway.settings.secret import Secret
from gateway.store.database import ConstraintViolated, Database, Parameters, Row, Transaction
from gateway.store.tables import activity
from gateway.times import format_time, parse_time

ENABLED = "webhooks.disabled_at IS NULL"
LISTENING = f"{ENABLED} AND webhooks.client_id IN (SELECT id FROM clients WHERE clients.disabled_at IS NULL)"  # noqa: S608 - ours
"""Whether a webhook is told of anything: a disabled client's is not."""
CLOCKS_DIFFER = timedelta(seconds=40)
"""Airbyte tells whole seconds, by a clock of its own: what happens just after a webhook was made may seem older.

The doctor calls clocks good that are 30 seconds apart.
"""


MOST_PREVIOUS_SECRETS = 5
"""That sign beside the present one: each adds a signature to a header of every message."""


class PreviousSecret(msgspec.Struct, frozen=True):
    """A secret before a rotation, as it is stored, which signs until its end."""

    secret: str
    until: str

    def __repr__(self) -> str:
        return f"PreviousSecret(until={self.until})"


class Webhooks:
    """Webhooks of clients. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, forget_connections: Callable[[int], None]) -> None:
        """`forget_connections` is called with a client whose connections are asked for again."""
        self._database = database
        self._forget_connections = forget_connections

    async def add(self, webhook: Webhook, *, secret: Secret, most: int, entry: ActivityEntry) -> None:
        """Add the webhook. Raises Duplicate; InvalidInput if the client has `most`, or not the connections it names.

        The client's connections at which nobody has looked yet are looked at soon: before that they have no events.
        """

        async def write(transaction: Transaction) -> None:
            await _require_room(transaction, webhook, most)
            await self._require_connections(transaction, webhook.client_id, webhook.connections)
            await activity.change(transaction, _ADD, _row(webhook, secret), entry)
            await transaction.execute_fetchall(
                """
                UPDATE connections SET backfilled_at = NULL
                WHERE client_id = :client_id AND watched_since IS NULL AND backfilled_at IS NOT NULL
                """,
                {"client_id": webhook.client_id},
            )

        def forget() -> None:
            self._forget_connections(webhook.client_id)

        try:
            await self._database.write(write, housekeeping=True, committed=forget)
        except ConstraintViolated as error:
            if error.constraint != "webhooks.id":
                raise
            raise Duplicate(f"there already is a webhook {webhook.id}") from None

    async def update(self, webhook: Webhook, *, entry: ActivityEntry) -> None:
        """Change where the webhook leads and what it is told of, at the entry's time; nothing if there is none.

        Raises InvalidInput for a connection that is not the client's; one that it names already may be removed by now.
        """

        async def write(transaction: Transaction) -> None:
            known = await transaction.execute_fetchall(
                "SELECT connections FROM webhooks WHERE client_id = :client_id AND id = :id",
                {"client_id": webhook.client_id, "id": webhook.id},
            )
            for row in known:
                new = set(webhook.connections) - set(json.loads(row["connections"]))
                await self._require_connections(transaction, webhook.client_id, new)
                await change(transaction, webhook, at=entry.at)
                await activity.insert(transaction, entry)

        await self._database.write(write, housekeeping=True)

    async def _require_connections(
        self, transaction: Transaction, client_id: int, connections: Collection[str]
    ) -> None:
        rows = await transaction.execute_fetchall(
            f"""
            SELECT id FROM connections WHERE client_id = :client_id
                AND id IN ({self._database.dialect.texts("ids")})
            """,  # noqa: S608 - ours
            {"client_id": client_id, "ids": json.dumps(list(connections))},
        )
        missing = set(connections) - {row["id"] for row in rows}
        if missing:
            raise InvalidInput(f"the client has no connection {min(missing)!r}")

    async def of_client(self, client_id: int) -> list[Webhook]:
        """Return the client's webhooks, oldest first."""
        return await self._select("WHERE client_id = :client_id ORDER BY number", {"client_id": client_id})

    async def all(self) -> list[Webhook]:
        """Return every client's webhooks, for the operator."""
        return await self._select("ORDER BY client_id, number", {})

    async def by_id(self, client_id: int, webhook_id: str) -> Webhook:
        """Return the webhook. Raises UnknownRecord, for another client's as for none."""
        values = {"client_id": client_id, "id": webhook_id}
        return _only(await self._select("WHERE client_id = :client_id AND id = :id", values), webhook_id)

    async def any_by_id(self, webhook_id: str) -> Webhook:
        """Return the webhook, whosever it is, for the operator. Raises UnknownRecord."""
        return _only(await self._select("WHERE id = :id", {"id": webhook_id}), webhook_id)

    async def is_any_listening(self) -> bool:
        """Return whether any webhook is told of events."""
        row = await self._database.fetch_one(f"SELECT 1 FROM webhooks WHERE {LISTENING} LIMIT 1")  # noqa: S608 - ours
        return row is not None

    async def listening_clients(self) -> list[int]:
        """Return the numbers of the clients that have a webhook which is told of events."""
        rows = await self._database.fetch_all(
            f"SELECT DISTINCT client_id FROM webhooks WHERE {LISTENING} ORDER BY 1"  # noqa: S608 - ours
        )
        return [row["client_id"] for row in rows]

    async def disabled(self) -> list[tuple[Webhook, str]]:
        """Return the webhooks that are told of nothing, each with its client's name; none of a disabled client's."""
        return await self._with_clients("webhooks.disabled_at IS NOT NULL", {})

    async def overflowed(self, *, since: str) -> list[tuple[Webhook, str]]:
        """Return the enabled webhooks of which events were given up after `since`, each as `disabled` does."""
        return await self._with_clients(
            "webhooks.overflowed_at > :since AND webhooks.disabled_at IS NULL", {"since": since}
        )

    async def remove(self, client_id: int, webhook_id: str, *, entry: ActivityEntry) -> None:
        """Forget the webhook and its deliveries."""
        await self._change(
            "DELETE FROM webhooks WHERE client_id = :client_id AND id = :id RETURNING 1",
            {"client_id": client_id, "id": webhook_id},
            entry,
        )

    async def enable(self, client_id: int, webhook_id: str, *, now: str, entry: ActivityEntry) -> None:
        """Have a disabled webhook told of events again, of what happens from `now` on."""
        await self._change(
            """
            UPDATE webhooks SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL,
                overflowed_at = NULL, told_since = :told_since
            WHERE client_id = :client_id AND id = :id AND disabled_at IS NOT NULL RETURNING 1
            """,
            {"client_id": client_id, "id": webhook_id, "told_since": _told_since(now)},
            entry,
        )

    async def rotate(
        self, client_id: int, webhook_id: str, *, secret: Secret, now: str, previous_until: str, entry: ActivityEntry
    ) -> None:
        """Sign with `secret` from now on, and until `previous_until` with the present one too.

        Those before it sign until their own end: it is not known which one the receiver has. Of many, the latest do.
        """
        values = {"client_id": client_id, "id": webhook_id}

        async def write(transaction: Transaction) -> None:
            rows = await transaction.execute_fetchall(
                "SELECT secret, previous_secrets FROM webhooks WHERE client_id = :client_id AND id = :id", values
            )
            for row in rows:
                still = [each for each in previous_secrets(row["previous_secrets"]) if each.until > now]
                kept = [PreviousSecret(row["secret"], previous_until), *still][:MOST_PREVIOUS_SECRETS]
                new = {
                    "secret": secret.reveal(),
                    "previous": msgspec.json.encode(kept).decode(),
                    "previous_until": previous_until,
                }
                await activity.change(transaction, _ROTATE, {**values, **new}, entry)

        await self._database.write(write, housekeeping=True)

    async def _change(self, sql: str, parameters: Parameters, entry: ActivityEntry) -> None:
        await self._database.write(
            lambda transaction: activity.change(transaction, sql, parameters, entry), housekeeping=True
        )

    async def _with_clients(self, condition: str, parameters: Parameters) -> list[tuple[Webhook, str]]:
        rows = await self._database.fetch_all(
            f"""
            SELECT webhooks.*, clients.name AS client_name FROM webhooks JOIN clients ON clients.id = client_id
            WHERE {condition} AND clients.disabled_at IS NULL ORDER BY webhooks.number
            """,  # noqa: S608 - ours
            parameters,
        )
        return [(webhook_from(row), row["client_name"]) for row in rows]

    async def _select(self, condition: str, parameters: Parameters) -> list[Webhook]:
        columns = ", ".join(Webhook.__struct_fields__)
        rows = await self._database.fetch_all(f"SELECT {columns} FROM webhooks {condition}", parameters)  # noqa: S608 - ours
        return [webhook_from(row) for row in rows]


_ROTATE = """
    UPDATE webhooks SET secret = :secret, previous_secrets = :previous, previous_until = :previous_until
    WHERE client_id = :client_id AND id = :id RETURNING 1
    """
_ADD = """
    INSERT INTO webhooks (id, client_id, url, events, connections, secret, created_at, told_since)
    VALUES (:id, :client_id, :url, :events, :connections, :secret, :created_at, :told_since) RETURNING 1
    """


async def change(transaction: Transaction, webhook: Webhook, *, at: str) -> None:
    """Change where a webhook leads and what it is told of. One that leads elsewhere from now on has not failed there.

    What waits for its next attempt there is due at once: whoever mends an address waits for it.
    """
    values: dict[str, object] = {"client_id": webhook.client_id, "id": webhook.id, "url": webhook.url}
    await transaction.execute_fetchall(
        """
        UPDATE deliveries SET next_at = :at WHERE next_at > :at AND webhook_number IN
            (SELECT number FROM webhooks WHERE client_id = :client_id AND id = :id AND url <> :url)
        """,
        {**values, "at": at},
    )
    lists = {"events": json.dumps(webhook.events), "connections": json.dumps(webhook.connections)}
    await transaction.execute_fetchall(
        """
        UPDATE webhooks SET failing_since = CASE WHEN url = :url THEN failing_since END, url = :url,
            events = :events, connections = :connections
        WHERE client_id = :client_id AND id = :id
        """,
        {**values, **lists},
    )


def previous_secrets(stored: str | None) -> list[PreviousSecret]:
    """Return what the column `previous_secrets` holds, the latest first."""
    return [] if stored is None else msgspec.json.decode(stored, type=list[PreviousSecret])


def webhook_from(row: Row) -> Webhook:
    """Return the webhook of a row of the table."""
    values = {name: row[name] for name in Webhook.__struct_fields__}
    lists = {name: tuple(json.loads(row[name])) for name in ("events", "connections")}
    return Webhook(**{**values, **lists})


def _row(webhook: Webhook, secret: Secret) -> dict[str, object]:
    """Return the values of a new webhook, which is told of what happens from its making on."""
    lists = {"events": json.dumps(webhook.events), "connections": json.dumps(webhook.connections)}
    own = {"secret": secret.reveal(), "told_since": _told_since(webhook.created_at)}
    return msgspec.structs.asdict(webhook) | lists | own


def _told_since(now: str) -> str:
    return format_time(parse_time(now) - CLOCKS_DIFFER)


def _only(webhooks: list[Webhook], webhook_id: str) -> Webhook:
    if not webhooks:
        raise UnknownRecord(f"there is no webhook {webhook_id!r}; see: gateway webhook list")
    return webhooks[0]


async def _require_room(transaction: Transaction, webhook: Webhook, most: int) -> None:
    """Raise InvalidInput if the client has as many webhooks as it may have, in the transaction that adds one."""
    (row,) = await transaction.execute_fetchall(
        "SELECT count(*) AS webhooks FROM webhooks WHERE client_id = :client_id", {"client_id": webhook.client_id}
    )
    if row["webhooks"] >= most:
        raise InvalidInput(f"there are {row['webhooks']} webhooks already, and {most} is the most; first remove one")
