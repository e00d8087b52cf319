"""Check that Airbyte's Config API can be asked why jobs fail."""

from collections.abc import AsyncGenerator
from http import HTTPStatus

from gateway.airbyte import OwnCalls
from gateway.doctor.finding import Finding, passed, warning
from gateway.errors import UpstreamError, UpstreamRefused
from gateway.services import Services

REASONS = "reasons of failures"
LOST = "callers get no reasons of failures, attempts and streams"
ADVICE = 'Correct airbyte.config_url, or set it to "off" if this Airbyte has no Config API.'
FORBIDDEN = 'Let the credential read jobs in the Config API, or set airbyte.config_url to "off".'


async def check_config_api(services: Services) -> AsyncGenerator[Finding, None]:
    """Ask for the jobs of one mapped connection, if there is a Config API to ask and a connection to ask about."""
    if not services.airbyte.config.is_known:
        yield passed(REASONS, f"airbyte.config_url names no Config API: {LOST}")
        return
    connections = await services.store.connections.all()
    airbyte_id = next((each.airbyte_id for each in connections if each.mapping == "mapped"), None)
    if airbyte_id is None:
        yield passed(REASONS, "not checked: no connection is mapped")
        return
    try:
        await services.airbyte.config.check(airbyte_id, caller=OwnCalls.ROUTINE)
    except UpstreamError as error:
        is_forbidden = isinstance(error, UpstreamRefused) and error.upstream_status == HTTPStatus.FORBIDDEN
        url = services.settings.airbyte.config_api_url
        text = f"the Config API at {url} cannot be asked ({error.detail}): {LOST}"
        yield warning(REASONS, text, FORBIDDEN if is_forbidden else ADVICE)
    else:
        yield passed(REASONS, "the Config API tells why jobs failed")
