"""Why Airbyte gave no good answer, in the words of the doctor."""

import ssl
from pathlib import Path

import msgspec
import pytest

from gateway.airbyte.route import DIRECT, Proxy, Route
from gateway.airbyte.trouble import TroubleLog, trouble_of
from gateway.doctor.base_url import diagnose
from gateway.doctor.timings import DoctorTimings
from gateway.errors import UpstreamBusy, UpstreamError, UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from gateway.models import Trouble, TroubleKind
from gateway.services import build_services
from gateway.settings.secret import SecretUrl
from tests.support import HandClock, settings_in

BASE = "http://airbyte.example/api/public/v1"
AT = "airbyte.example:80"


def unreachable(status: int = 0, detail: str = "") -> UpstreamUnreachable:
    error = UpstreamUnreachable(detail=detail)
    error.upstream_status = status
    return error


@pytest.mark.parametrize(
    ("error", "cause", "kind", "text"),
    [
        (unreachable(), ConnectionRefusedError(), "refused", f"nothing listens at {AT}"),
        (unreachable(), ssl.SSLError(), "no TLS", f"{AT} does not speak TLS"),
        (unreachable(), ConnectionResetError(), "broken", f"{AT} breaks the connection off"),
        (UpstreamTimeout(), None, "timeout", f"{AT} does not answer in time"),
        (unreachable(502), None, "failing", f"{BASE} answers 502: a proxy in front of Airbyte does not reach it"),
        (unreachable(detail="no token"), unreachable(503), "failing", f"{BASE} answers 503: a proxy in front of"),
        (unreachable(detail="no token"), unreachable(500), "other", "Upstream service unreachable: no token"),
        (unreachable(401, "401: no"), None, "credential", "Upstream service unreachable: 401: no"),
        (UpstreamInvalid(detail="HTML"), None, "other", "Upstream service returned an invalid response: HTML"),
    ],
)
def test_each_failure_has_its_cause(
    error: UpstreamError, cause: BaseException | None, kind: TroubleKind, text: str
) -> None:
    trouble = trouble_of(error, cause, base_url=BASE, route=DIRECT)

    assert trouble.kind == kind
    assert trouble.cause.startswith(text)


def test_behind_a_proxy_it_is_the_proxy_that_is_asked() -> None:
    route = Route(proxy=Proxy.of(SecretUrl("http://ann:secret@proxy.example:3128")))

    trouble = trouble_of(unreachable(), ConnectionRefusedError(), base_url=BASE, route=route)

    assert trouble.cause == "nothing listens at proxy.example:3128"


def test_what_was_not_sent_fails_as_the_last_call_did_until_one_is_answered() -> None:
    log = TroubleLog(BASE, DIRECT)
    assert (log.is_any, log.explain(UpstreamBusy()).kind) == (False, "other")

    log.note(UpstreamTimeout())
    assert (log.is_any, log.explain(UpstreamBusy())) == (True, Trouble("timeout", f"{AT} does not answer in time"))

    log.clear()
    assert (log.is_any, log.explain(UpstreamBusy()).kind) == (False, "other")


@pytest.mark.parametrize("auth", ["none", "client_credentials"])
async def test_where_nothing_listens_pages_are_told_what_the_doctor_tells(tmp_path: Path, auth: str) -> None:
    settings = settings_in(tmp_path)
    airbyte = msgspec.structs.replace(settings.airbyte, base_url="http://127.0.0.1:1/api/public/v1", auth=auth)
    services = build_services(msgspec.structs.replace(settings, airbyte=airbyte), HandClock())
    with pytest.raises(UpstreamError) as failed:
        await services.airbyte.lists.workspaces(offset=0)
    found = await diagnose(failed.value, services, DoctorTimings())
    troubles = services.airbyte.troubles
    told = [troubles.explain(error).cause for error in (failed.value, UpstreamBusy())]
    await services.airbyte.close()
    await services.background.close()

    assert told == [found.text, found.text] == ["nothing listens at 127.0.0.1:1"] * 2
