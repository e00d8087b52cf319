"""Read the JSON of a call of the Config API, where everything is asked for in the body."""

from typing import TypeVar

import msgspec
from starlette.requests import Request

from gateway.errors import BadRequest
from gateway.syncs.job_details import job_number

Body = TypeVar("Body", bound=msgspec.Struct)


class OneJob(msgspec.Struct, frozen=True):
    """A job by its id, which some programs write as text."""

    id: int | str

    @property
    def number(self) -> int:
        """The id. Raises JobNotFound for what is no id of a job."""
        return job_number(str(self.id))


class OneConnection(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a call about one connection."""

    connection_id: str


class SeveralConnections(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a call about the connections that are named."""

    connection_ids: list[str]


class OneWorkspace(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a call about a workspace."""

    workspace_id: str


class Pagination(msgspec.Struct, frozen=True, rename="camel"):
    """Which page of a list is asked for, in Airbyte's defaults."""

    page_size: int = 20
    row_offset: int = 0


class JobsOfConnection(msgspec.Struct, frozen=True, rename="camel"):
    """Jobs of one connection, which `config_id` names. Those after `pagination` are other filters of Airbyte's."""

    config_id: str
    config_types: list[str] = []
    statuses: list[str] | None = None
    pagination: Pagination = Pagination()
    including_job_id: object = None
    created_at_start: object = None
    created_at_end: object = None
    updated_at_start: object = None
    updated_at_end: object = None
    order_by_field: object = None
    order_by_method: object = None

    @property
    def is_served(self) -> bool:
        """Whether nothing else is asked for than what the gateway can tell."""
        names = [field.name for field in msgspec.structs.fields(type(self))]
        return all(getattr(self, name) is None for name in names[names.index("pagination") + 1 :])


async def read_body(request: Request, kind: type[Body]) -> Body:
    """Return what the body says. Raises BadRequest."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        needed = ", ".join(field.encode_name for field in msgspec.structs.fields(kind) if field.required)
        raise BadRequest(f"The body must be JSON with {needed}") from None
