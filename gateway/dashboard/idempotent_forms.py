"""Forms that create one record, however often they are submitted.

Each page gives such a form a random token. The id of the new record is derived from that token, from the other fields
and from who submits them. A second submission (a double click, a reload) asks for an id that is taken: the database
refuses it, also after a restart, and the visitor is led to the record of the first.
"""

import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request

from gateway.auth import keys
from gateway.dashboard.forms import Form
from gateway.dashboard.visitor import visitor_of
from gateway.errors import UnknownRecord

TOKEN_FIELD = "token"  # noqa: S105 - the name of a field
SHOWN_ONCE = "shown-once"
"""The `done` of the page that a second submission, or a reload of the first answer, leads to."""


def new_token() -> str:
    """Return the token of a form that was never submitted."""
    return keys.mint_secret(secrets.choice)


def derived_id(request: Request, form: Form, kind: str, part: str = "") -> str | None:
    """Return the id, `kind_…`, of the record that the form creates; `part` tells several records of one form apart.

    None for a form without a token: any id will do.
    """
    if not form[TOKEN_FIELD]:
        return None
    fields = (text for field in sorted(form.items()) for text in field)
    return keys.derived_id(kind, visitor_of(request).user.id, request.scope["path"], part, *fields)


async def is_created(find: Callable[[str], Awaitable[object]], record_id: str | None) -> bool:
    """Return whether an earlier submission of the form created its record; `find` raises UnknownRecord if not."""
    if record_id is None:
        return False
    try:
        await find(record_id)
    except UnknownRecord:
        return False
    return True
