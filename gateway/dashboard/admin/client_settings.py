"""/dashboard/admin/clients/SLUG/settings: what a client is called and may do; disabling and removing it."""

from starlette.requests import Request
from starlette.responses import Response

from gateway import validation
from gateway.dashboard.addressed import addressed_client, totals_of
from gateway.dashboard.admin.clients import CLIENTS
from gateway.dashboard.field_problems import NAME_CHECK, NO_PROBLEMS, PLAN_CHECK, Problems, field_problems, in_short
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import actor_of, redirect
from gateway.errors import InvalidInput
from gateway.limiter import in_words
from gateway.models import Client
from gateway.services import services_of

RATES = {"rate": validation.rate, "rate_total": validation.rate, "most_keys": validation.most_keys}
NOTICES = {
    "updated": "Saved. The change applies from the next request on.",
    "disabled": "The client is disabled. Its keys get 401 and its users are signed out.",
    "enabled": "The client is enabled. Its keys work again.",
}


async def show_settings(request: Request) -> Response:
    """Show the client's settings. Raises NotFound."""
    return await _settings_page(request, await addressed_client(request))


async def update_client(request: Request) -> Response:
    """Change what the client is called and what its keys may do. Raises NotFound."""
    client, form = await addressed_client(request), await read_form(request)
    try:
        await services_of(request).clients.update(
            client.slug,
            name=form.text("name"),
            plan=form.text("plan"),
            rate=form.text("rate"),
            rate_total=form.text("rate_total"),
            most_keys=form.text("most_keys"),
            by=actor_of(request),
        )
    except InvalidInput as error:
        problems = field_problems(form, {"name": NAME_CHECK, "plan": PLAN_CHECK}, RATES)
        problem = in_short(problems, error)
        return await _settings_page(request, client, status=400, problem=problem, problems=problems, form=form)
    return _back(request, client, "updated")


async def disable_client(request: Request) -> Response:
    """Disable the client. Raises NotFound."""
    client = await addressed_client(request)
    await services_of(request).clients.disable(client.slug, by=actor_of(request))
    return _back(request, client, "disabled")


async def enable_client(request: Request) -> Response:
    """Enable the client. Raises NotFound."""
    client = await addressed_client(request)
    await services_of(request).clients.enable(client.slug, by=actor_of(request))
    return _back(request, client, "enabled")


async def remove_client(request: Request) -> Response:
    """Remove the client if its slug was typed to confirm. Raises NotFound."""
    client, form = await addressed_client(request), await read_form(request)
    if form.text("slug") != client.slug:
        problem = f"Nothing was removed: type {client.slug} to confirm"
        return await _settings_page(request, client, status=400, problem=problem)
    await services_of(request).clients.remove(client.slug, by=actor_of(request))
    return redirect(request, f"{CLIENTS}?done=removed")


def _back(request: Request, client: Client, done: str) -> Response:
    return redirect(request, f"{CLIENTS}/{client.slug}/settings?done={done}")


async def _settings_page(
    request: Request,
    client: Client,
    *,
    status: int = 200,
    problem: str = "",
    problems: Problems = NO_PROBLEMS,
    form: Form | None = None,
) -> Response:
    services = services_of(request)
    totals = await totals_of(request, client)
    return page(
        request,
        "admin/client-settings.html",
        status=status,
        problem=problem,
        problems=problems,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        client=client,
        form=form or _form_of(client),
        default_rate=in_words(services.limiter.default),
        total_rate=in_words(services.limiter.rate_of_client(await services.store.api_keys.limit_of(client))),
        default_most_keys=services.settings.keys.most_active,
        totals=totals,
    )


def _form_of(client: Client) -> Form:
    return Form(
        name=client.name,
        plan=client.plan,
        rate=validation.rate_text(client.rate) or "",
        rate_total=validation.rate_text(client.rate_total) or "",
        most_keys="" if client.most_keys is None else str(client.most_keys),
    )
