"""/dashboard/admin/users: the people who can sign in; inviting them, new links for them, removing them."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.base_url import base_url
from gateway.dashboard.addressed import addressed_user
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import SHOWN_ONCE, derived_id, is_created
from gateway.dashboard.paging import read_page
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import accounts_of, actor_of, redirect
from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.models import User
from gateway.notices.link_mail import mail_link
from gateway.notices.mail_not_sent import MailNotSent
from gateway.services import services_of

USERS = "dashboard/admin/users"
ADMIN = "*"
"""What the form sends for no client; no slug looks like it."""
INSTEAD_OF = "instead_of"
"""The field that names the link which the new one replaces."""
MAIL = "mail"
"""The field that says to mail the link."""
CHANGED = "changed"
SORTED_BY = ("email", "client", "-signed_in", "-invited")
NOTICES = {
    CHANGED: "No link was made, because the user's link was made, used or replaced after you opened the page. "
    "If you need a link, make a new one below.",
    SHOWN_ONCE: "The link was made already. It was shown once and cannot be shown again. "
    "If you did not copy it, make a new one below.",
    "removed": "The user is removed and signed out everywhere. API keys that the user created keep working.",
}


async def show_users(request: Request) -> Response:
    """Show everybody who can sign in."""
    return await _users_page(request, form=Form(client=request.query_params.get("client", "")))


async def invite(request: Request) -> Response:
    """Create a user and show the link that sets the first password."""
    form = await read_form(request)
    user_id = derived_id(request, form, "user")
    try:
        user, secret = await accounts_of(request).users.invite(
            form.text("email"), _slug(form), by=actor_of(request), user_id=user_id
        )
    except (Duplicate, InvalidInput, UnknownRecord) as error:
        if await is_created(services_of(request).store.users.by_id, user_id):
            return redirect(request, _path_after_link(form["email"]))
        return await _users_page(request, status=400, problem=str(error), form=form)
    return await _show_link(request, user, secret, form)


async def make_link(request: Request) -> Response:
    """Make a link to set a new password with, unless the user's link changed after the form was shown.

    So a form that is submitted again ends no link that was handed over already. Raises NotFound.
    """
    user, form = await addressed_user(request), await read_form(request)
    try:
        secret = await accounts_of(request).users.reset(user, by=actor_of(request), instead_of=form.get(INSTEAD_OF))
    except Duplicate:
        return redirect(request, _path_after_link(user.email, CHANGED))
    return await _show_link(request, user, secret, form)


async def remove_user(request: Request) -> Response:
    """Remove a user, who is signed out everywhere. Raises NotFound."""
    user = await addressed_user(request)
    try:
        await accounts_of(request).users.remove(user, by=actor_of(request))
    except InvalidInput as error:
        return await _users_page(request, status=400, problem=str(error), form=Form())
    return redirect(request, f"{USERS}?done=removed")


def _slug(form: Form) -> str | None:
    """Return the slug of the client whose member the person becomes; None for an admin. Raises InvalidInput."""
    if not form["client"]:
        raise InvalidInput("Choose the client whose member the person becomes, or an admin")
    return None if form["client"] == ADMIN else form["client"]


async def _show_link(request: Request, user: User, secret: str, form: Form) -> Response:
    """Return the page with the link: the answer to the form itself, because nothing stores the link.

    Nothing is read for it, because a read that fails would lose the link. It is mailed too if the form says so.
    """
    link = f"{base_url(request)}/dashboard/link/{secret}"
    return page(
        request,
        "admin/new-link.html",
        user=user,
        link=link,
        mailed=await _mail(request, user, link) if form[MAIL] else "",
        users_path=USERS,
        next_path=_path_after_link(user.email),
    )


async def _mail(request: Request, user: User, link: str) -> str:
    """Mail the link, and return a sentence on what came of it."""
    mailer = services_of(request).notices.mailer
    if mailer is None:
        return "It was not sent by e-mail: notify.smtp_url is not set."
    try:
        await mail_link(mailer, user.email, link, services_of(request).brand.current)
    except MailNotSent as error:
        return f"It was not sent by e-mail: {error}."
    return "It was sent by e-mail too."


def _path_after_link(email: str, done: str = SHOWN_ONCE) -> str:
    """Return where the person can get a new link."""
    return f"{USERS}?{urlencode({'q': email, 'done': done})}"


async def _users_page(request: Request, *, status: int = 200, problem: str = "", form: Form) -> Response:
    store = services_of(request).store
    clients = {client.id: client for client in await store.clients.all()}
    return page(
        request,
        "admin/users.html",
        status=status,
        problem=problem,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        form=form,
        page=await read_page(request, store.user_pages.all, orders=SORTED_BY),
        last_admin=await store.users.only_able_admin(),
        clients=clients,
        admin=ADMIN,
        links=await store.links.names(),
        instead_of=INSTEAD_OF,
        can_mail=services_of(request).notices.mailer is not None,
    )
