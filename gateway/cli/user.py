"""`gateway user …`: invite, list and remove the people who sign in, make new links, reset lost second factors."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import click

from gateway.cli.options import (
    accounts_of,
    confirm,
    json_option,
    settings_option,
    slugs_of,
    with_services,
    yes_option,
)
from gateway.cli.output import Row, print_json, print_record, print_rows, require_output
from gateway.errors import OperatorError
from gateway.models import COMMAND_LINE, User
from gateway.notices.link_mail import mail_link
from gateway.notices.mail_not_sent import MailNotSent
from gateway.services import Services
from gateway.settings import Settings


@click.group()
def user() -> None:
    """Manage people who sign in to the dashboard."""


def user_row(record: User, slugs: dict[int, str]) -> Row:
    """Return what listings show of a user, and `--json` prints; `slugs` are the clients' by their ids."""
    return {
        "email": record.email,
        "id": record.id,
        "client": None if record.client_id is None else slugs[record.client_id],
        "role": "admin" if record.is_admin else "member",
        "has_password": record.has_password,
        "created_at": record.created_at,
        "last_sign_in_at": record.last_sign_in_at,
        "has_second_factor": record.has_second_factor,
    }


mail_option = click.option("--mail", is_flag=True, help="Send the link by e-mail too; needs notify.smtp_url.")


async def _mail(services: Services, email: str, link: str) -> str:
    """Mail the link; return why it was not sent, or nothing."""
    if services.notices.mailer is None:
        return ""
    try:
        await mail_link(services.notices.mailer, email, link, services.brand.current)
    except MailNotSent as error:
        return str(error)
    return ""


def _show_link(row: Row, link: str, *, as_json: bool) -> None:
    """Print the link, or say how to get another. Raises OperatorError."""
    try:
        _print_link(row, link, as_json=as_json)
    except OSError as error:
        raise OperatorError(
            f"the link cannot be shown ({error.strerror}); make another with: gateway user reset {row['email']}"
        ) from None


def _print_link(row: Row, link: str, *, as_json: bool) -> None:
    """Print the link alone on stdout, so that it can be piped into a mail."""
    if as_json:
        print_json({**row, "link": link})
    else:
        click.echo(link)
        click.echo(f"This is for {row['email']}: it sets a password, once, within 24 hours.", err=True)


def _make_link(
    settings: Settings, make: Callable[[Services], Awaitable[tuple[User, str]]], *, mail: bool, as_json: bool
) -> None:
    """Make a link for somebody and show it; with `mail` send it too. Raises OperatorError."""
    require_output()
    if mail and not settings.notify.smtp_url:
        raise OperatorError("--mail: notify.smtp_url is not set")

    async def work(services: Services) -> tuple[Row, str, str]:
        record, secret = await make(services)
        link = f"{settings.server.address}/dashboard/link/{secret}"
        problem = await _mail(services, record.email, link) if mail else ""
        return user_row(record, await slugs_of(services)), link, problem

    row, link, problem = with_services(settings, work)
    _show_link(row, link, as_json=as_json)
    if problem:
        raise OperatorError(f"the link was not sent by e-mail: {problem}; hand it over yourself")


def existing_email(function: Callable[..., None]) -> Callable[..., None]:
    """Add EMAIL, which may also be given as it is to `invite`, by `--email`."""

    @functools.wraps(function)
    def with_email(*args: Any, argument: str | None, option: str | None, **options: Any) -> None:
        email = argument or option
        if email is None or (argument and option):
            raise click.UsageError("give one e-mail address")
        function(*args, email=email, **options)

    with_option = click.option("--email", "option", help="The same as the argument EMAIL.")(with_email)
    return click.argument("argument", metavar="EMAIL", required=False)(with_option)


@user.command()
@click.option("--email", required=True, help="Set the e-mail address to sign in with.")
@click.option("--client", "slug", help="Make this a member of the client, by its slug.")
@click.option("--admin", is_flag=True, help="Make this an admin, who sees and changes everything of every client.")
@mail_option
@json_option
@settings_option
def invite(*, settings: Settings, email: str, slug: str | None, admin: bool, mail: bool, as_json: bool) -> None:
    """Invite a person to sign in: print a link to set a password with, once.

    Example: gateway user invite --client acme --email ann@acme.example
    """
    if admin == (slug is not None):
        raise click.UsageError("give either --client or --admin")

    async def work(services: Services) -> tuple[User, str]:
        return await accounts_of(services).users.invite(email, slug, by=COMMAND_LINE)

    _make_link(settings, work, mail=mail, as_json=as_json)


@user.command()
@existing_email
@mail_option
@json_option
@settings_option
def reset(*, settings: Settings, email: str, mail: bool, as_json: bool) -> None:
    """Print a link to set a new password with. The old one holds until then.

    Example: gateway user reset ann@acme.example
    """

    async def work(services: Services) -> tuple[User, str]:
        record = await services.store.users.by_email(email)
        return record, await accounts_of(services).users.reset(record, by=COMMAND_LINE)

    _make_link(settings, work, mail=mail, as_json=as_json)


@user.command("list")
@json_option
@settings_option
def list_users(*, settings: Settings, as_json: bool) -> None:
    """List users: admins first, then members by client.

    Example: gateway user list --json
    """

    async def work(services: Services) -> list[Row]:
        slugs = await slugs_of(services)
        return [user_row(record, slugs) for record in await services.store.users.all()]

    print_rows(with_services(settings, work), as_json=as_json, empty="No users yet; see: gateway user invite --help")


@user.command()
@existing_email
@yes_option
@json_option
@settings_option
def remove(*, settings: Settings, email: str, yes: bool, as_json: bool) -> None:
    """Remove a user. His sessions end with his next click; keys he made stay.

    Example: gateway user remove ann@acme.example
    """

    async def work(services: Services) -> Row:
        record = await services.store.users.by_email(email)
        confirm(f"Remove {record.email}?", yes=yes)
        await accounts_of(services).users.remove(record, by=COMMAND_LINE)
        return user_row(record, await slugs_of(services))

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"Removed {row['email']}.")


@user.group("second-factor")
def second_factor() -> None:
    """Help people who have lost their second factor."""


@second_factor.command("reset")
@existing_email
@yes_option
@json_option
@settings_option
def reset_second_factor(*, settings: Settings, email: str, yes: bool, as_json: bool) -> None:
    """Switch a lost second factor off: the password alone signs in then.

    Example: gateway user second-factor reset ann@acme.example
    """

    async def work(services: Services) -> Row:
        record = await services.store.users.by_email(email)
        confirm(f"Switch off the second factor of {record.email}? Be sure who asks for it.", yes=yes)
        await accounts_of(services).second_factors.reset(record, by=COMMAND_LINE)
        return user_row(await services.store.users.by_email(email), await slugs_of(services))

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"Switched off the second factor of {row['email']}.")
