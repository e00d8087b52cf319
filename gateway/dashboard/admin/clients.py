"""/dashboard/admin/clients: the list of clients, and creating one."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.field_problems import (
    NAME_CHECK,
    NO_PROBLEMS,
    PLAN_CHECK,
    SLUG_CHECK,
    Problems,
    field_problems,
    in_short,
)
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.paging import read_page
from gateway.dashboard.templating import page
from gateway.dashboard.usage_chart import LAST_DAY
from gateway.dashboard.visitor import actor_of, redirect
from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.services import services_of
from gateway.times import format_time

CLIENTS = "dashboard/admin/clients"
NOTICES = {"removed": "The client is removed. Airbyte keeps its connections and their syncs."}
SORTED_BY = ("name", "plan", "-connections", "-keys", "-users", "-calls", "-state")
NEW_CLIENT = Form(plan="free")


async def show_clients(request: Request) -> Response:
    """Show the clients with their figures."""
    return await _clients_page(request)


async def create_client(request: Request) -> Response:
    """Create a client; the same form submitted again leads to it."""
    form = await read_form(request)
    try:
        client = await services_of(request).clients.add(
            slug=form.text("slug"), name=form.text("name"), plan=form.text("plan"), by=actor_of(request)
        )
    except (InvalidInput, Duplicate) as error:
        if await _is_known(request, form):
            return redirect(request, f"{CLIENTS}/{form['slug']}?done=known")
        problems = field_problems(form, {"name": NAME_CHECK, "slug": SLUG_CHECK, "plan": PLAN_CHECK})
        if isinstance(error, Duplicate):
            problems = {"slug": str(error)}
        return await _clients_page(request, status=400, problem=in_short(problems, error), problems=problems, form=form)
    return redirect(request, f"{CLIENTS}/{client.slug}?done=created")


async def _is_known(request: Request, form: Form) -> bool:
    """Return whether just this client exists already: the form was submitted twice, or somebody else was faster."""
    try:
        client = await services_of(request).store.clients.by_slug(form["slug"])
    except UnknownRecord:
        return False
    return (client.name, client.plan) == (form["name"], form["plan"])


async def _clients_page(
    request: Request, *, status: int = 200, problem: str = "", problems: Problems = NO_PROBLEMS, form: Form = NEW_CLIENT
) -> Response:
    services = services_of(request)
    now = services.clock.now()
    moment, since = format_time(now), format_time(LAST_DAY.begin(now))
    clients = partial(services.store.client_pages.all, now=moment, calls_since=since)
    found = await read_page(request, clients, orders=SORTED_BY)
    return page(
        request,
        "admin/clients.html",
        status=status,
        problem=problem,
        problems=problems,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        form=form,
        any=found.total > 0 or bool(found.query),
        page=found,
        totals=await services.store.totals.of_clients(
            [client.id for client in found.rows], now=moment, calls_since=since
        ),
    )
