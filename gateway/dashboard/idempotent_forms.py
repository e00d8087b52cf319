"""A form that makes something makes one thing, however often it is sent.

Each page gives such a form a word of its own. The id of what the form makes follows from that word, from the rest of
the form and from who sends it: sent again, by a double click or a reload, it asks for an id that is taken. The database
refuses that, also after a restart, and the visitor is led to what was made.
"""

import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request

from gateway.auth import keys
from gateway.dashboard.forms import Form
from gateway.dashboard.visitor import visitor_of
from gateway.errors import Unknown

FIELD = "once"


def new_word() -> str:
    """For the field of a form that was never sent."""
    return keys.mint_secret(secrets.choice)


def id_made_by(request: Request, form: Form, kind: str, part: str = "") -> str | None:
    """Of what the form makes; `part` tells several of one form apart. None, any will do, for a form without a word."""
    if not form[FIELD]:
        return None
    fields = (text for field in sorted(form.items()) for text in field)
    return keys.derived_id(kind, visitor_of(request).user.id, request.scope["path"], part, *fields)


async def is_made(find: Callable[[str], Awaitable[object]], made_id: str | None) -> bool:
    """Whether the form was sent before and worked; `find` raises Unknown."""
    if made_id is None:
        return False
    try:
        await find(made_id)
    except Unknown:
        return False
    return True
