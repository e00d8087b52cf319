"""/dashboard/settings/api-keys/ID, and below a client's page: one API key; rotating and revoking it."""

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from gateway.auth.keys import QUIET, is_safe_to_retire, works
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import SHOWN_ONCE, derived_id
from gateway.dashboard.key_owner import KeyOwner, key_owner_of
from gateway.dashboard.key_states import state_of
from gateway.dashboard.new_key import counted_as_new_key, is_key_created, lead_to_key, show_new_key
from gateway.dashboard.templating import page
from gateway.dashboard.usage_chart import DRAWING, LAST_MONTH, usage_chart
from gateway.dashboard.visitor import actor_of, redirect
from gateway.errors import InvalidInput, NotFound, RateLimitExceeded, UnknownRecord
from gateway.limiter import in_words
from gateway.services import services_of
from gateway.store.tables.key_callers import MOST_KEY_CALLERS
from gateway.times import format_time

NOTICES = {
    "revoked": "The key is revoked. It gets 401 from now on.",
}
AT_ONCE = "0s"
OVERLAPS = {AT_ONCE: "now", "1h": "in 1 hour", "24h": "in 24 hours", "7d": "in 7 days"}
"""When the old key ends: as `rotate_key` takes it, and in words."""
DEFAULT_OVERLAP = "24h"
CALLS_SHOWN = timedelta(hours=24)
CALLERS_SHOWN = timedelta(days=30)


async def show_key(request: Request) -> Response:
    """Show one key. Raises NotFound, for another client's key as for none."""
    return await _key_page(request, await key_owner_of(request))


async def rotate_key(request: Request) -> Response:
    """Rotate the key and show the new one. Raises NotFound as `show_key`, RateLimitExceeded as `create_key`."""
    owner, form = await key_owner_of(request), await read_form(request)
    new_id = derived_id(request, form, "key")
    try:
        overlap = _overlap(form)
        async with counted_as_new_key(request, owner):
            new = await services_of(request).keys.rotate(
                request.path_params["key"],
                overlap=overlap,
                client_id=owner.client.id,
                new_id=new_id,
                by=actor_of(request),
            )
    except UnknownRecord:
        raise NotFound from None
    except RateLimitExceeded:
        if not await is_key_created(request, owner, new_id):
            raise
        return lead_to_key(request, owner, new_id)
    except InvalidInput as error:
        if await is_key_created(request, owner, new_id):
            return lead_to_key(request, owner, new_id)
        return await _key_page(request, owner, status=400, problem=str(error), overlap=form["overlap"])
    return show_new_key(request, owner, new, replaced_id=request.path_params["key"], replaced_works=overlap != AT_ONCE)


async def revoke_key(request: Request) -> Response:
    """Revoke the key. Raises NotFound as `show_key`."""
    owner = await key_owner_of(request)
    try:
        key = await services_of(request).keys.revoke(
            request.path_params["key"], client_id=owner.client.id, by=actor_of(request)
        )
    except UnknownRecord:
        raise NotFound from None
    return redirect(request, f"{owner.path}/{key.id}?done=revoked")


def _overlap(form: Form) -> str:
    if form["overlap"] not in OVERLAPS:
        raise InvalidInput("choose when the old key expires")
    return form["overlap"]


async def _key_page(
    request: Request, owner: KeyOwner, *, status: int = 200, problem: str = "", overlap: str = DEFAULT_OVERLAP
) -> Response:
    services, client = services_of(request), owner.client
    now = services.clock.now()
    try:
        key = await services.store.api_keys.by_id(client.id, request.path_params["key"])
    except UnknownRecord:
        raise NotFound from None
    successor, predecessor = await services.store.key_pages.successor_and_predecessor(key)
    usage = await services.store.usage.of_client(client.id, format_time(now - CALLS_SHOWN))
    month = format_time(LAST_MONTH.begin(now))
    return page(
        request,
        "api-key.html",
        status=status,
        problem=problem,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        overlap=overlap,
        overlaps=OVERLAPS,
        client=client,
        keys_path=owner.path,
        key=key,
        state=state_of(key, now),
        works=works(key, now),
        successor=successor,
        predecessor=predecessor,
        predecessor_works=predecessor is not None and works(predecessor, now),
        calls={each.key_id: each.calls for each in usage},
        rate=in_words(key.rate or client.rate or services.limiter.default),
        safe_to_retire=is_safe_to_retire(key, now),
        quiet_days=QUIET.days,
        drawing=DRAWING,
        chart=usage_chart(LAST_MONTH, await services.store.usage.hours(client.id, month, key_id=key.id), now),
        callers=await services.store.key_callers.of_key(client.id, key.id, since=format_time(now - CALLERS_SHOWN)),
        most_callers=MOST_KEY_CALLERS,
        was_shown=request.query_params.get("done") == SHOWN_ONCE,
    )
