"""What operators do with clients, each told in the activity log: add, update, rename, disable, enable, remove."""

import msgspec

from gateway import validation
from gateway.models import COMMAND_LINE, Actor, Client, activity_entry
from gateway.store import Store
from gateway.times import Clock, format_time


class ClientService:
    """Clients, by slug. `by` is who the activity log says it was."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clients = store.clients
        self._clock = clock

    async def add(self, *, slug: str, name: str, plan: str, by: Actor = COMMAND_LINE) -> Client:
        """Add a client without connections and keys. Raises InvalidInput, Duplicate."""
        new = Client(
            id=0,  # The store chooses it, for the client and its entry.
            slug=validation.slug("the slug", slug),
            name=validation.text("the name", name),
            plan=validation.text("the plan", plan),
            created_at=self._now(),
        )
        return await self._clients.add(
            slug=new.slug,
            name=new.name,
            plan=new.plan,
            created_at=new.created_at,
            entry=activity_entry(by, "client.create", new, at=self._now()),
        )

    async def update(
        self,
        slug: str,
        *,
        name: str,
        plan: str,
        rate: str | None,
        rate_total: str | None,
        most_keys: str | None,
        by: Actor = COMMAND_LINE,
    ) -> Client:
        """Change all that is told of the client. Raises InvalidInput, UnknownRecord.

        `rate` and `most_keys` None or empty: what the settings say. `rate_total` None or empty: what its keys need.
        """
        known = await self._clients.by_slug(slug)
        changed = msgspec.structs.replace(
            known,
            name=validation.text("the name", name),
            plan=validation.text("the plan", plan),
            rate=validation.rate(rate) if rate else None,
            rate_total=validation.rate(rate_total) if rate_total else None,
            most_keys=validation.most_keys(most_keys) if most_keys else None,
        )
        await self._clients.update(changed, entry=activity_entry(by, "client.update", changed, at=self._now()))
        return await self._clients.by_slug(slug)

    async def rename(self, slug: str, new_slug: str, *, by: Actor = COMMAND_LINE) -> Client:
        """Give the client another slug; keys and connections live on. Raises InvalidInput, UnknownRecord, Duplicate."""
        known = await self._clients.by_slug(slug)
        renamed = msgspec.structs.replace(known, slug=validation.slug("the new slug", new_slug))
        if renamed != known:
            entry = activity_entry(by, "client.rename", renamed, at=self._now(), former_slug=known.slug)
            await self._clients.rename(known.id, slug=renamed.slug, entry=entry)
        return renamed

    async def disable(self, slug: str, *, by: Actor = COMMAND_LINE) -> Client:
        """Refuse the client's keys from the next request on. Raises UnknownRecord."""
        client = await self._clients.by_slug(slug)
        entry = activity_entry(by, "client.disable", client, at=self._now())
        await self._clients.disable(client.id, at=self._now(), entry=entry)
        return await self._clients.by_slug(slug)

    async def enable(self, slug: str, *, by: Actor = COMMAND_LINE) -> Client:
        """Accept the client's keys again from the next request on. Raises UnknownRecord."""
        client = await self._clients.by_slug(slug)
        await self._clients.enable(client.id, entry=activity_entry(by, "client.enable", client, at=self._now()))
        return await self._clients.by_slug(slug)

    async def remove(self, slug: str, *, by: Actor = COMMAND_LINE) -> Client:
        """Remove the client with its connections and keys; Airbyte keeps what it has. Raises UnknownRecord."""
        client = await self._clients.by_slug(slug)
        await self._clients.remove(client.id, entry=activity_entry(by, "client.remove", client, at=self._now()))
        return client

    def _now(self) -> str:
        return format_time(self._clock.now())
