"""A self-signed certificate, and an application that tells what reached it through nginx."""

from collections.abc import Iterator

import pytest

from gateway.deployment.nginx import Tls
from gateway.web.server.limits import ConnectionLimits
from tests.faults.wire import Recorder, Running, serving
from tests.nginx.support import SERVER_NAME, self_signed
from tests.support import BOUND_SECONDS


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return self_signed(tmp_path_factory.mktemp("certificate"), SERVER_NAME, "gateway.example.com")


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def server(recorder: Recorder) -> Iterator[Running]:
    """Trusts nginx."""
    limits = ConnectionLimits(receive_seconds=BOUND_SECONDS, linger_seconds=0.2)
    with serving(recorder, limits, trusted_proxies=("127.0.0.1",)) as running:
        yield running
