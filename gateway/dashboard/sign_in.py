"""/dashboard/sign-in, /dashboard/sign-out and /dashboard/link/SECRET, the address of an invitation."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.auth.passwords import LONGEST, SHORTEST
from gateway.auth.sign_in import SignedIn
from gateway.dashboard.entry import HOME, end_present_session, let_in
from gateway.dashboard.forms import new_password, read_form
from gateway.dashboard.refusal import FORM_ERRORS, NOT_REFUSED, Refusal, refusal_of
from gateway.dashboard.session_cookie import is_own_machine, is_unencrypted
from gateway.dashboard.sign_in_code import TOO_LATE, ask_for_code
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import (
    SIGN_IN,
    accounts_of,
    browser_of,
    redirect,
    session_cookie_of,
    visitor_or_none,
)
from gateway.errors import Duplicate, InvalidInput, RetryableError, SignInEnded


async def show_sign_in(request: Request) -> Response:
    """Show the form; redirect who is signed in to the dashboard."""
    if visitor_or_none(request) is not None:
        return redirect(request, HOME)
    return _sign_in_page(request, following=request.query_params.get("next", ""))


async def sign_in(request: Request) -> Response:
    """Check the password and start a session, or ask for the code of a second factor."""
    form = await read_form(request)
    try:
        signed_in = await accounts_of(request).sign_in.by_password(form["email"], form["password"], browser_of(request))
    except FORM_ERRORS as error:
        return _sign_in_page(request, refusal_of(error), email=form["email"], following=form["next"])
    return await _next_step(request, signed_in, form["next"])


async def sign_out(request: Request) -> Response:
    """End the present session."""
    await end_present_session(request)
    answer = redirect(request, f"{SIGN_IN}?signed-out=1")
    (await session_cookie_of(request)).forget(answer)
    return answer


async def show_link(request: Request) -> Response:
    """Ask for a password, or sign in at once by a `visit` link. Raises LinkEnded."""
    accounts, secret = accounts_of(request), request.path_params["secret"]
    link, user = await accounts.links.find(secret)
    if link.purpose != "visit":
        return _link_page(request, email=user.email if user else "", is_new=user is None)
    session = await accounts.sign_in.by_link(secret, browser_of(request))
    return await let_in(request, session)


async def accept_link(request: Request) -> Response:
    """Set the password and start a session, or ask for the code of a second factor. Raises LinkEnded."""
    accounts, secret = accounts_of(request), request.path_params["secret"]
    form = await read_form(request)
    _, user = await accounts.links.find(secret)
    email = user.email if user else form["email"]
    try:
        signed_in = await accounts.sign_in.set_password(secret, new_password(form), browser_of(request), email=email)
    except (InvalidInput, Duplicate, RetryableError) as error:
        return _link_page(request, refusal_of(error), email=email, is_new=user is None)
    return await _next_step(request, signed_in, HOME)


async def _next_step(request: Request, signed_in: SignedIn, following: str) -> Response:
    step = ask_for_code if signed_in.needs_code else let_in
    return await step(request, signed_in.secret, following)


def _sign_in_page(
    request: Request, refusal: Refusal = NOT_REFUSED, *, email: str = "", following: str = ""
) -> Response:
    return page(
        request,
        "sign-in.html",
        status=refusal.status,
        headers=refusal.headers,
        problem=refusal.problem or (str(SignInEnded()) if TOO_LATE in request.query_params else ""),
        email=email,
        following=following,
        is_signed_out="signed-out" in request.query_params,
        is_insecure=_is_insecure(request),
    )


def _link_page(request: Request, refusal: Refusal = NOT_REFUSED, *, email: str, is_new: bool) -> Response:
    return page(
        request,
        "link.html",
        status=refusal.status,
        headers=refusal.headers,
        problem=refusal.problem,
        email=email,
        is_new=is_new,
        is_email_wrong=refusal.wrong == "email",
        shortest=SHORTEST,
        longest=LONGEST,
        is_insecure=_is_insecure(request),
    )


def _is_insecure(request: Request) -> bool:
    """Return whether the browser refuses our cookie: it keeps a Secure one only over HTTPS."""
    return is_unencrypted(request) and not is_own_machine(request)
