"""List the records of one client, or of all: what the listings with --client have in common."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from gateway.cli.options import slugs_of, with_services
from gateway.cli.output import Row
from gateway.services import Services
from gateway.settings import Settings
from gateway.store import Store


class OwnedRecord(Protocol):
    """A record that is one client's. Of a removed client's activity nobody's."""

    @property
    def client_id(self) -> int | None: ...


Record = TypeVar("Record", bound=OwnedRecord)


def listed(
    settings: Settings,
    slug: str | None,
    *,
    of_client: Callable[[Store, int], Awaitable[Sequence[Record]]],
    of_all: Callable[[Store], Awaitable[Sequence[Record]]],
    row: Callable[[Record, str | None], Row],
) -> list[Row]:
    """Return a row for each record, made with its client's slug: of one client where a slug is given.

    The slug is None where there is no such client any more. Raises UnknownRecord if there is none of the given slug.
    """

    async def work(services: Services) -> list[Row]:
        store = services.store
        if slug is None:
            records = await of_all(store)
        else:
            records = await of_client(store, (await store.clients.by_slug(slug)).id)
        slugs = await slugs_of(services)
        return [row(each, None if each.client_id is None else slugs.get(each.client_id)) for each in records]

    return with_services(settings, work)
