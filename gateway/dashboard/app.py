"""Build the pages as one ASGI application: their routes, and who may see which."""

import secrets
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from gateway.auth.accounts import build_accounts
from gateway.auth.passwords import Passwords
from gateway.dashboard import (
    account,
    activity,
    admin,
    api_key,
    api_keys,
    connection,
    connections,
    docs,
    job,
    job_csv,
    overview,
    second_factor,
    sign_in,
    sign_in_code,
    static,
    usage,
    volume_csv,
    volume_page,
    webhook,
    webhooks,
)
from gateway.dashboard.counterparts import for_members
from gateway.dashboard.cross_origin import CrossOriginMiddleware
from gateway.dashboard.key_owner import KEYS
from gateway.dashboard.page_errors import PageErrorMiddleware
from gateway.dashboard.session_cookie import PENDING_NAME, SessionCookies, new_database_id
from gateway.dashboard.shortcuts import TYPED, lead_to, lead_to_settings, lead_up, without_slashes
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.visitor import (
    SECOND_FACTOR,
    Handler,
    RenderWait,
    VisitorMiddleware,
    for_admins,
    for_admins_at_home,
    for_users,
    for_users_setting_up,
)
from gateway.dashboard.webhooks import WEBHOOKS
from gateway.services import Services


def create_pages(services: Services, timings: PageTimings, wait_to_render: RenderWait) -> ASGIApp:
    """Build the application that answers at `/`, at `/llms.txt`, below `/docs` and below `/dashboard`.

    `wait_to_render` returns when a page of the user may be rendered.
    """
    auth = services.timings.auth
    accounts = build_accounts(
        services.store,
        Passwords(),
        services.clock,
        secrets.choice,
        auth,
        tries=services.cluster.tries(),
        admins_need_second_factor=services.settings.dashboard.admin_second_factor == "required",
    )
    cookies = partial(SessionCookies, services.store.database_id, new_database_id)
    app: ASGIApp = Router(_one_for_each_path(routes(timings)), redirect_slashes=False)
    app = VisitorMiddleware(
        app,
        accounts=accounts,
        cookies=cookies(life=auth.session.life),
        pending_cookies=cookies(life=auth.code_wait, name=PENDING_NAME),
        wait_to_render=wait_to_render,
    )
    app = CrossOriginMiddleware(app)
    return PageErrorMiddleware(app)


def routes(timings: PageTimings) -> list[Route]:
    """Return the routes of all pages."""
    pages = [*_for_everybody(), *_for_users(), *_for_members(timings), *_for_admins(timings)]
    return [*pages, Route("/{path:path}/", without_slashes)]


def _for_everybody() -> list[Route]:
    return [
        Route("/", docs.show_root),
        Route("/docs", docs.show_root),
        Route("/llms.txt", docs.show_contents),
        Route("/docs/{page}", docs.show_page),
        Route("/dashboard/static/{name}", static.show_static),
        Route("/dashboard/sign-in", sign_in.show_sign_in),
        Route("/dashboard/sign-in", sign_in.sign_in, methods=["POST"]),
        Route("/dashboard/sign-in/code", sign_in_code.show_code_form),
        Route("/dashboard/sign-in/code", sign_in_code.sign_in_with_code, methods=["POST"]),
        Route("/dashboard/sign-out", sign_in.sign_out, methods=["POST"]),
        Route("/dashboard/link/{secret}", sign_in.show_link),
        Route("/dashboard/link/{secret}", sign_in.accept_link, methods=["POST"]),
    ]


def _for_users() -> list[Route]:
    settings = "/dashboard/settings"
    return [
        _get(settings, lead_to_settings),
        *(_get(path, lead_to(page)) for path, page in TYPED.items()),
        _get(f"{settings}/account", for_users(account.show_account)),
        _post(f"{settings}/account/password", for_users(account.change_password)),
        _post(f"{settings}/account/session", for_users(account.end_session)),
        _post(f"{settings}/account/sign-out-everywhere", for_users(account.sign_out_everywhere)),
        _get(f"/{SECOND_FACTOR}", for_users_setting_up(second_factor.show_second_factor)),
        *(
            _post(f"/{SECOND_FACTOR}/{name}", for_users_setting_up(handler))
            for name, handler in (
                ("set-up", second_factor.set_up),
                ("on", second_factor.switch_on),
                ("off", second_factor.switch_off),
                ("recovery-codes", second_factor.renew_recovery_codes),
            )
        ),
    ]


def _for_members(timings: PageTimings) -> list[Route]:
    return [
        _get("/dashboard", for_members(partial(overview.show_overview, timings=timings))),
        _get("/dashboard/connections", for_members(partial(connections.show_connections, timings=timings))),
        _get("/dashboard/connections/volume", for_members(volume_page.show_volume)),
        _get("/dashboard/connections/volume.csv", for_members(volume_csv.download_volume)),
        _get("/dashboard/connections/{id}", for_members(partial(connection.show_connection, timings=timings))),
        _get("/dashboard/connections/{id}/jobs.csv", for_members(partial(job_csv.download_jobs, timings=timings))),
        _get("/dashboard/connections/{id}/jobs/{job}", for_members(partial(job.show_job, timings=timings))),
        _post("/dashboard/connections/{id}/sync", for_members(partial(connection.trigger_sync, timings=timings))),
        *_about_keys(f"/{KEYS}", for_members),
        *_about_webhooks(f"/{WEBHOOKS}", for_members, timings),
        _get("/dashboard/usage", for_members(usage.show_usage)),
        _get("/dashboard/usage.csv", for_members(usage.download_usage)),
        _get("/dashboard/activity", for_members(activity.show_activity)),
        _get("/dashboard/activity.csv", for_members(activity.download_activity)),
    ]


def _about_keys(keys: str, only_for: Callable[[Handler], Handler]) -> list[Route]:
    """Return the routes of API keys below `keys`: members and admins have the same pages at different addresses."""
    return [
        _get(keys, only_for(api_keys.show_keys)),
        _post(keys, only_for(api_keys.create_key)),
        _get(f"{keys}/{{key}}", only_for(api_key.show_key)),
        _post(f"{keys}/{{key}}/rotate", only_for(api_key.rotate_key)),
        _post(f"{keys}/{{key}}/revoke", only_for(api_key.revoke_key)),
    ]


def _about_webhooks(webhooks_path: str, only_for: Callable[[Handler], Handler], timings: PageTimings) -> list[Route]:
    """Return the routes of webhooks below a path, as `_about_keys` does."""
    return [
        _get(webhooks_path, only_for(webhooks.show_webhooks)),
        _post(webhooks_path, only_for(webhooks.add_webhook)),
        _get(f"{webhooks_path}/{{webhook}}", only_for(partial(webhook.show_webhook, timings=timings))),
        *(
            _post(f"{webhooks_path}/{{webhook}}/{name}", only_for(handler))
            for name, handler in (
                ("update", webhook.update_webhook),
                ("test", webhook.test_webhook),
                ("rotate", webhook.rotate_webhook),
                ("enable", webhook.enable_webhook),
                ("remove", webhook.remove_webhook),
                ("send-again", webhook.send_again),
            )
        ),
    ]


def _for_admins(timings: PageTimings) -> list[Route]:
    users = "/dashboard/admin/users"
    return [
        _get("/dashboard/admin", for_admins_at_home(admin.overview.show_overview)),
        *_clients_for_admins(timings),
        *_connections_for_admins(timings),
        _get(users, for_admins(admin.users.show_users)),
        _post(users, for_admins(admin.users.invite)),
        _post(f"{users}/{{id}}/link", for_admins(admin.users.make_link)),
        _post(f"{users}/{{id}}/remove", for_admins(admin.users.remove_user)),
        _get("/dashboard/admin/activity", for_admins(admin.activity.show_activity)),
        _get("/dashboard/admin/activity.csv", for_admins(admin.activity.download_activity)),
        _get("/dashboard/admin/system", for_admins(partial(admin.system.show_system, timings=timings))),
    ]


def _clients_for_admins(timings: PageTimings) -> list[Route]:
    clients = "/dashboard/admin/clients"
    return [
        _get(clients, for_admins(admin.clients.show_clients)),
        _post(clients, for_admins(admin.clients.create_client)),
        _get(f"{clients}/{{slug}}", for_admins(admin.client.show_client)),
        _post(f"{clients}/{{slug}}/connections", for_admins(admin.client.add_connection)),
        _get(f"{clients}/{{slug}}/volume", for_admins(volume_page.show_volume)),
        _get(f"{clients}/{{slug}}/volume.csv", for_admins(volume_csv.download_volume)),
        _get(f"{clients}/{{slug}}/users", for_admins(admin.client_users.show_users)),
        _get(f"{clients}/{{slug}}/settings", for_admins(admin.client_settings.show_settings)),
        _post(f"{clients}/{{slug}}/settings", for_admins(admin.client_settings.update_client)),
        _post(f"{clients}/{{slug}}/disable", for_admins(admin.client_settings.disable_client)),
        _post(f"{clients}/{{slug}}/enable", for_admins(admin.client_settings.enable_client)),
        _post(f"{clients}/{{slug}}/remove", for_admins(admin.client_settings.remove_client)),
        _get(f"{clients}/{{slug}}/usage.csv", for_admins(usage.download_usage_of_any_client)),
        *_about_keys(f"{clients}/{{slug}}/api-keys", for_admins),
        *_about_webhooks(f"{clients}/{{slug}}/webhooks", for_admins, timings),
    ]


def _connections_for_admins(timings: PageTimings) -> list[Route]:
    connections = "/dashboard/admin/connections"
    download_any_jobs = partial(job_csv.download_jobs_of_any_client, timings=timings)
    return [
        _get(connections, for_admins(admin.connections.show_connections)),
        _post(connections, for_admins(admin.connections.assign_ticked)),
        _get(f"{connections}/assign", for_admins(admin.assignment.show_assignment)),
        _post(f"{connections}/assign", for_admins(admin.assignment.assign_all)),
        _get(f"{connections}/of-clients", for_admins(admin.connections_of_clients.show_connections_of_clients)),
        _get(f"{connections}/{{id}}", for_admins(partial(admin.connection.show_connection, timings=timings))),
        _get(f"{connections}/{{id}}/jobs.csv", for_admins(download_any_jobs)),
        _get(f"{connections}/{{id}}/jobs/{{job}}", for_admins(partial(admin.job.show_job, timings=timings))),
        _post(f"{connections}/{{id}}/rename", for_admins(partial(admin.connection.rename_connection, timings=timings))),
        _post(f"{connections}/{{id}}/map", for_admins(partial(admin.connection.map_connection, timings=timings))),
        _post(f"{connections}/{{id}}/sync", for_admins(partial(admin.connection.trigger_sync, timings=timings))),
        _post(f"{connections}/{{id}}/remove", for_admins(admin.connection.remove_connection)),
    ]


def _one_for_each_path(routes: list[Route]) -> list[Route]:
    """Join the routes of a path, so that the `Allow` of a 405 names all its methods.

    A path that only takes forms leads to the page above it: whoever reloads a refused form's answer gets there.
    """
    methods_of: dict[str, dict[str, Handler]] = {}
    for route in routes:
        methods_of.setdefault(route.path, {}).update(dict.fromkeys(route.methods or (), route.endpoint))
    pages = {path for path, handlers in methods_of.items() if "GET" in handlers}
    for path in methods_of.keys() - pages:
        methods_of[path] |= dict.fromkeys(("GET", "HEAD"), lead_up(path, pages))
    return [_route(path, handlers) for path, handlers in methods_of.items()]


def _route(path: str, handlers: dict[str, Handler]) -> Route:
    async def answer(request: Request) -> ASGIApp:
        return await handlers[request.method](request)

    return Route(path, answer, methods=list(handlers))


def _get(path: str, handler: Handler) -> Route:
    return Route(path, handler)


def _post(path: str, handler: Handler) -> Route:
    return Route(path, handler, methods=["POST"])
