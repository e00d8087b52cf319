"""/dashboard/settings/account/second-factor: set one up, switch it on and off, get new recovery codes."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.base_url import base_url
from gateway.auth.one_time_codes import totp_address
from gateway.auth.sessions import Browser
from gateway.dashboard.forms import read_form
from gateway.dashboard.qr_code import qr_code
from gateway.dashboard.refusal import FORM_ERRORS, NOT_REFUSED, Refusal, refusal_of
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import SECOND_FACTOR, accounts_of, browser_of, redirect, visitor_setting_up
from gateway.errors import CodeRefused
from gateway.models import Visitor
from gateway.services import services_of

NOTICES = {
    "shown-once": "The recovery codes were shown once and cannot be shown again. "
    "If you did not keep them, make new ones below.",
    "off": "The second factor is off. Your password alone signs you in.",
}

Change = Callable[[Visitor, str, str, Browser], Awaitable[list[str] | None]]
"""Takes the visitor, his password, a code and his browser; returns recovery codes if there are new ones."""


async def show_second_factor(request: Request) -> Response:
    """Show whether there is one. A secret that is being set up is not shown: a session alone does not tell it."""
    return await _second_factor_page(request)


async def set_up(request: Request) -> Response:
    """Make a new secret and show it, this once. One that is on stays as it is."""
    form = await read_form(request)
    try:
        secret = await accounts_of(request).second_factors.set_up(
            visitor_setting_up(request), form["current"], browser_of(request)
        )
    except FORM_ERRORS as error:
        return await _second_factor_page(request, refusal_of(error))
    return await _second_factor_page(request, secret=secret, asks_for_code=True)


async def switch_on(request: Request) -> Response:
    """Have each sign-in ask for a code, and show the recovery codes."""
    return await _change(request, accounts_of(request).second_factors.switch_on, asks_for_code=True)


async def switch_off(request: Request) -> Response:
    """Have no sign-in ask for a code."""
    return await _change(request, accounts_of(request).second_factors.switch_off)


async def renew_recovery_codes(request: Request) -> Response:
    """Show new recovery codes; the old ones end."""
    return await _change(request, accounts_of(request).second_factors.renew_recovery_codes)


async def _change(request: Request, change: Change, *, asks_for_code: bool = False) -> Response:
    """Do what the form asks for. If it is refused, the page is as `asks_for_code` says.

    A wrong code tells the secret that is being set up, for the password was right.
    """
    visitor, form = visitor_setting_up(request), await read_form(request)
    second_factors = accounts_of(request).second_factors
    try:
        recovery_codes = await change(visitor, form["current"], form["code"], browser_of(request))
    except FORM_ERRORS as error:
        secret = await second_factors.secret_being_set_up(visitor.user) if isinstance(error, CodeRefused) else None
        return await _second_factor_page(request, refusal_of(error), secret=secret, asks_for_code=asks_for_code)
    if recovery_codes is None:
        return redirect(request, f"{SECOND_FACTOR}?done=off")
    next_path = f"{SECOND_FACTOR}?done=shown-once"
    return page(request, "recovery-codes.html", recovery_codes=recovery_codes, next_path=next_path)


async def _second_factor_page(
    request: Request, refusal: Refusal = NOT_REFUSED, *, secret: str | None = None, asks_for_code: bool = False
) -> Response:
    """Return the page; with `asks_for_code` it has the form of a set-up that is under way, and `secret` if given."""
    user, second_factors = visitor_setting_up(request).user, accounts_of(request).second_factors
    address = _address(request, secret, user.email) if secret else ""
    return page(
        request,
        "second-factor.html",
        status=refusal.status,
        headers=refusal.headers,
        problem=refusal.problem,
        wrong=refusal.wrong,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        secret=secret,
        asks_for_code=asks_for_code,
        address=address,
        picture=qr_code(address) if address else "",
        codes_left=await second_factors.count_recovery_codes(user),
    )


def _address(request: Request, secret: str, email: str) -> str:
    """Return what the app reads. It shows the gateway's name and host, and the person's address."""
    name, host = services_of(request).brand.current.name, urlsplit(base_url(request)).netloc
    return totp_address(secret, email=email, issuer=f"{name} ({host})")
