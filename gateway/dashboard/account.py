"""/dashboard/settings/account: the visitor's password, whether he has a second factor, and his sessions."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.auth.passwords import LONGEST, SHORTEST
from gateway.dashboard.browser_name import browser_name
from gateway.dashboard.forms import new_password, read_form
from gateway.dashboard.paging import paged
from gateway.dashboard.refusal import FORM_ERRORS, NOT_REFUSED, Refusal, refusal_of
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import (
    SIGN_IN,
    accounts_of,
    browser_of,
    redirect,
    session_cookie_of,
    visitor_of,
)
from gateway.models import Session

ACCOUNT = "dashboard/settings/account"
NOTICES = {
    "password": "Your password is changed. You are signed out everywhere else.",
    "session": "The session is ended.",
}


async def show_account(request: Request) -> Response:
    """Show the visitor's sessions and the form for a new password."""
    return await _account_page(request)


async def change_password(request: Request) -> Response:
    """Set a new password, end every session and start a new one for this browser."""
    form = await read_form(request)
    visitor = visitor_of(request)
    try:
        secret = await accounts_of(request).sign_in.change_password(
            visitor, form["current"], new_password(form), browser_of(request)
        )
    except FORM_ERRORS as error:
        return await _account_page(request, refusal_of(error))
    answer = redirect(request, f"{ACCOUNT}?done=password")
    (await session_cookie_of(request)).keep(answer, secret)
    return answer


async def end_session(request: Request) -> Response:
    """End one of the visitor's sessions."""
    form = await read_form(request)
    visitor = visitor_of(request)
    await accounts_of(request).sessions.end(visitor.user, form["session"])
    return redirect(request, f"{ACCOUNT}?done=session")


async def sign_out_everywhere(request: Request) -> Response:
    """End all of the visitor's sessions."""
    await accounts_of(request).sessions.end_all(visitor_of(request).user)
    answer = redirect(request, f"{SIGN_IN}?signed-out=1")
    (await session_cookie_of(request)).forget(answer)
    return answer


async def _account_page(request: Request, refusal: Refusal = NOT_REFUSED) -> Response:
    """Return the page; the field that is wrong has the focus."""
    visitor = visitor_of(request)
    return page(
        request,
        "account.html",
        status=refusal.status,
        headers=refusal.headers,
        problem=refusal.problem,
        wrong=refusal.wrong,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        page=paged(request, await accounts_of(request).sessions.of_user(visitor.user), _text_of),
        shortest=SHORTEST,
        longest=LONGEST,
    )


def _text_of(session: Session) -> str:
    return f"{browser_name(session.agent)} {session.address}"
