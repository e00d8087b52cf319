"""/dashboard/settings/api-keys, and below a client's page for admins: its API keys, and creating one."""

from datetime import timedelta
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway import validation
from gateway.auth.keys import is_safe_to_retire
from gateway.dashboard.field_problems import NAME_CHECK, NO_PROBLEMS, Problems, field_problems, in_short
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import derived_id
from gateway.dashboard.key_owner import KeyOwner, key_owner_of
from gateway.dashboard.key_states import state_of
from gateway.dashboard.new_key import counted_as_new_key, is_key_created, lead_to_key, show_new_key
from gateway.dashboard.paging import read_page
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import actor_of, visitor_of
from gateway.errors import Duplicate, InvalidInput, RateLimitExceeded, UnknownRecord
from gateway.limiter import in_words
from gateway.models import SCOPES, Scope
from gateway.services import services_of
from gateway.times import format_time

ON_DATE = "date"
LIFETIMES = {"never": None, "30d": "30d", "90d": "90d", "1y": "365d"}
"""What the form offers besides ON_DATE: as the form sends it, and as `create_key` takes it."""
SORTED_BY = ("name", "scope", "-last_used", "-created", "ends")
NEW_KEY = Form(scope="full", expires="never")


async def show_keys(request: Request) -> Response:
    """Show the client's keys."""
    return await _keys_page(request, await key_owner_of(request))


async def create_key(request: Request) -> Response:
    """Create a key and show it. Raises RateLimitExceeded for a member's too many."""
    owner, form = await key_owner_of(request), await read_form(request)
    key_id = derived_id(request, form, "key")
    try:
        async with counted_as_new_key(request, owner):
            new = await services_of(request).keys.create(
                owner.client.slug,
                name=form["name"],
                scope=_scope(form),
                expires=_expiry(form),
                rate=_rate(request, form),
                client_id=owner.client.id,
                key_id=key_id,
                by=actor_of(request),
            )
    except RateLimitExceeded:
        if not await is_key_created(request, owner, key_id):
            raise
        return lead_to_key(request, owner, key_id)
    except (Duplicate, InvalidInput, UnknownRecord) as error:
        if await is_key_created(request, owner, key_id):
            return lead_to_key(request, owner, key_id)
        problems = field_problems(form, {"name": NAME_CHECK}, {"rate": validation.rate})
        problem = in_short(problems, error)
        return await _keys_page(request, owner, status=400, problem=problem, problems=problems, form=form)
    return show_new_key(request, owner, new)


def _scope(form: Form) -> Scope:
    for scope in SCOPES:
        if form["scope"] == scope:
            return scope
    raise InvalidInput("the scope must be full or read")


def _expiry(form: Form) -> str | None:
    """Return when the key expires, as `create_key` takes it. Raises InvalidInput."""
    if form["expires"] == ON_DATE:
        if not form["date"]:
            raise InvalidInput("choose the date on which the key expires")
        return form["date"]
    if form["expires"] not in LIFETIMES:
        raise InvalidInput("choose when the key expires")
    return LIFETIMES[form["expires"]]


def _rate(request: Request, form: Form) -> str | None:
    """Return the key's own rate, which only admins may give."""
    return form["rate"] or None if visitor_of(request).user.is_admin else None


async def _keys_page(
    request: Request,
    owner: KeyOwner,
    *,
    status: int = 200,
    problem: str = "",
    problems: Problems = NO_PROBLEMS,
    form: Form = NEW_KEY,
) -> Response:
    services = services_of(request)
    pages, now = services.store.key_pages, services.clock.now()
    moment = format_time(now)
    shows_ended = request.query_params.get("show") == "ended"
    read = pages.ended if shows_ended else pages.working
    keys = await read_page(request, partial(read, owner.client.id, now=moment), orders=SORTED_BY)
    return page(
        request,
        "api-keys.html",
        status=status,
        problem=problem,
        problems=problems,
        form=form,
        client=owner.client,
        path=owner.path,
        default_rate=in_words(owner.client.rate or services.limiter.default),
        keys=keys,
        shows_ended=shows_ended,
        ended_count=await pages.count_ended(owner.client.id, now=moment),
        safe_to_retire={key.id for key in keys.rows if is_safe_to_retire(key, now)},
        states={key.id: state_of(key, now) for key in keys.rows},
        starts=await pages.starts(owner.client.id, [key.successor_id for key in keys.rows if key.successor_id]),
        earliest=(now + timedelta(days=1)).date(),
    )
