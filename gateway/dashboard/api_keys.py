"""/dashboard/settings/api-keys: the client's API keys, and making a new one."""

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.key_states import state_of, works
from gateway.dashboard.paging import paged
from gateway.dashboard.reveal import put_reveal
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import actor_of, client_of, redirect
from gateway.errors import Invalid, Unknown
from gateway.models import SCOPES, ApiKey, Scope
from gateway.provisioning import NewKey
from gateway.services import services_of

KEYS = "dashboard/settings/api-keys"
MOST_KEYS = 100
"""Of a client's that work, as far as its members make them."""
MOST_ENDED_SHOWN = 50
ON_DATE = "date"
LIVES = {"never": None, "30d": "30d", "90d": "90d", "1y": "365d"}
"""What the form offers, besides ON_DATE, and what `create_key` calls it."""
NEW_KEY = Form(scope="full", expires="never")
TOO_MANY = f"there are {MOST_KEYS} keys that work already; revoke one that nobody uses first"


async def show_keys(request: Request) -> Response:
    return await _keys_page(request)


async def create_key(request: Request) -> Response:
    form = await read_form(request)
    try:
        await check_room(request)
        new = await services_of(request).provisioning.create_key(
            client_of(request).slug,
            name=form["name"],
            scope=_scope(form),
            expires=_expiry(form),
            rate=None,
            client_id=client_of(request).id,
            by=actor_of(request),
        )
    except (Invalid, Unknown) as error:
        return await _keys_page(request, status=400, problem=str(error), form=form)
    return await shown_once(request, new)


async def shown_once(request: Request, new: NewKey) -> Response:
    """To the page of the new key, which this once says what it is."""
    await put_reveal(request, new.record.id, subject=new.record.start, secret=new.text)
    return redirect(request, f"{KEYS}/{new.record.id}?new=1")


async def check_room(request: Request) -> None:
    """Raises Invalid when the client has as many keys as its members may make."""
    services = services_of(request)
    keys = await services.store.api_keys.of_client(client_of(request).id)
    if sum(works(key, services.clock.now()) for key in keys) >= MOST_KEYS:
        raise Invalid(TOO_MANY)


def _scope(form: Form) -> Scope:
    for scope in SCOPES:
        if form["scope"] == scope:
            return scope
    raise Invalid("the scope must be full or read")


def _expiry(form: Form) -> str | None:
    """As `create_key` takes it. Raises Invalid."""
    if form["expires"] == ON_DATE:
        if not form["date"]:
            raise Invalid("choose the date on which the key ends")
        return form["date"]
    if form["expires"] not in LIVES:
        raise Invalid("choose when the key ends")
    return LIVES[form["expires"]]


async def _keys_page(request: Request, *, status: int = 200, problem: str = "", form: Form = NEW_KEY) -> Response:
    services, client = services_of(request), client_of(request)
    now = services.clock.now()
    keys = await services.store.api_keys.of_client(client.id)
    ended = [key for key in reversed(keys) if not works(key, now)]
    return page(
        request,
        "api-keys.html",
        status=status,
        problem=problem,
        form=form,
        client=client,
        keys=paged(request, (key for key in reversed(keys) if works(key, now)), _text_of),
        any=len(ended) < len(keys),
        ended=ended[:MOST_ENDED_SHOWN],
        ended_count=len(ended),
        states={key.id: state_of(key, now) for key in keys},
        starts={key.id: key.start for key in keys},
        earliest=(now + timedelta(days=1)).date(),
    )


def _text_of(key: ApiKey) -> str:
    return f"{key.name} {key.start} {key.id}"
