"""/dashboard/sign-in/code: the second step of a sign-in, for people who have a second factor."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.entry import HOME, let_in, own_path
from gateway.dashboard.forms import read_form
from gateway.dashboard.refusal import FORM_ERRORS, NOT_REFUSED, Refusal, refusal_of
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import SIGN_IN, accounts_of, browser_of, pending_cookies_of, redirect
from gateway.errors import SignInEnded

SIGN_IN_CODE = "dashboard/sign-in/code"
TOO_LATE = "ended"
"""In the sign-in's query: says that the second step came too late."""


async def ask_for_code(request: Request, pending: str, following: str = HOME) -> Response:
    """Lead to the second step, with the secret of the pending sign-in in a cookie of its own."""
    answer = redirect(request, f"{SIGN_IN_CODE}?{urlencode({'next': own_path(following)})}")
    (await pending_cookies_of(request).cookie_for(request)).keep(answer, pending)
    return answer


async def show_code_form(request: Request) -> Response:
    """Show the form; without a pending sign-in redirect to the first step."""
    try:
        await accounts_of(request).sign_in.user_of_pending(await _pending_in(request))
    except SignInEnded:
        return await _back_to_the_first_step(request)
    return _code_page(request, following=request.query_params.get("next", ""))


async def sign_in_with_code(request: Request) -> Response:
    """Check the code and start the session."""
    form = await read_form(request)
    pending, following = await _pending_in(request), form["next"]
    try:
        session = await accounts_of(request).sign_in.by_code(pending, form["code"], browser_of(request))
    except SignInEnded:
        return await _back_to_the_first_step(request)
    except FORM_ERRORS as error:
        return _code_page(request, refusal_of(error), following=following)
    answer = await let_in(request, session, following)
    (await pending_cookies_of(request).cookie_for(request)).forget(answer)
    return answer


async def _pending_in(request: Request) -> str:
    """Return the secret of the pending sign-in that the browser has; empty for none."""
    return await pending_cookies_of(request).secret_in(request) or ""


async def _back_to_the_first_step(request: Request) -> Response:
    answer = redirect(request, f"{SIGN_IN}?{TOO_LATE}=1")
    (await pending_cookies_of(request).cookie_for(request)).forget(answer)
    return answer


def _code_page(request: Request, refusal: Refusal = NOT_REFUSED, *, following: str) -> Response:
    return page(
        request,
        "sign-in-code.html",
        status=refusal.status,
        headers=refusal.headers,
        problem=refusal.problem,
        following=own_path(following),
    )
