"""`gateway notice …`: try the ways by which the operator is told what needs him."""

import click

from gateway.cli.options import json_option, settings_option, with_services
from gateway.cli.output import Row, print_rows
from gateway.errors import OperatorError
from gateway.models import Notice
from gateway.notices.channels import Channel, NotTold
from gateway.services import Services
from gateway.settings import Settings
from gateway.times import format_time

TEST_TEXT = "This is a test: notices of the gateway arrive."


@click.group()
def notice() -> None:
    """Try what tells you that something needs you."""


@notice.command()
@json_option
@settings_option
def test(*, settings: Settings, as_json: bool) -> None:
    """Send a test by each way that is set in [notify]. Raises OperatorError, exit status 1, if one failed.

    Example: gateway notice test
    """

    async def work(services: Services) -> list[Row]:
        told = Notice("test", TEST_TEXT, format_time(services.clock.now()))
        return [await _try(channel, told) for channel in services.notices.watch.channels]

    rows = with_services(settings, work)
    print_rows(rows, as_json=as_json, empty="Nothing is set in [notify].")
    if any(row["problem"] for row in rows):
        raise OperatorError("a notice did not arrive")


async def _try(channel: Channel, notice: Notice) -> Row:
    try:
        problem = await channel.tell(notice)
    except NotTold as error:
        problem = str(error)
    return {"channel": channel.name, "problem": problem or None}
