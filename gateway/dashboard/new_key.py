"""Creating an API key by a form: how often members may, and the answer, with the key in full, once and never again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.base_url import base_url
from gateway.dashboard.client_token import require_allowed
from gateway.dashboard.idempotent_forms import SHOWN_ONCE, is_created
from gateway.dashboard.key_owner import KeyOwner
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import redirect, visitor_of
from gateway.errors import OperatorError
from gateway.provisioning.keys import NewKey
from gateway.services import services_of


@asynccontextmanager
async def counted_as_new_key(request: Request, owner: KeyOwner) -> AsyncIterator[None]:
    """Take one of the tokens that members have for new keys, and give it back if the form is refused.

    Admins need none. Raises RateLimitExceeded on entry.
    """
    if visitor_of(request).user.is_admin:
        yield
        return
    limiter = services_of(request).limiter
    require_allowed(await limiter.take_new_key(owner.client.id), "new keys")
    try:
        yield
    except OperatorError:
        await limiter.give_back_new_key(owner.client.id)
        raise


def show_new_key(
    request: Request, owner: KeyOwner, new: NewKey, *, replaced_id: str = "", replaced_works: bool = False
) -> Response:
    """Return the page with the key in full: the answer to the form itself, because nothing stores the key.

    Nothing is read for it, because a read that fails would lose the key.
    """
    return page(
        request,
        "new-key.html",
        client=owner.client,
        keys_path=owner.path,
        next_path=_path_after_key(owner, new.record.id),
        key=new.record,
        secret=new.text,
        base_url=base_url(request),
        replaced_id=replaced_id,
        replaced_works=replaced_works,
    )


def lead_to_key(request: Request, owner: KeyOwner, key_id: str | None) -> Response:
    """Redirect to the key that the same form created before; its page says that it is not shown again."""
    return redirect(request, _path_after_key(owner, key_id))


async def is_key_created(request: Request, owner: KeyOwner, key_id: str | None) -> bool:
    """Return whether this very form, submitted before, created the key."""
    return await is_created(partial(services_of(request).store.api_keys.by_id, owner.client.id), key_id)


def _path_after_key(owner: KeyOwner, key_id: str | None) -> str:
    """Return the address of the key's page that says that the key was shown once."""
    return f"{owner.path}/{key_id}?done={SHOWN_ONCE}"
