"""The pages of a real gateway through nginx over TLS: links, sign-in, cookies and forms of other sites."""

from collections.abc import Iterator
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from gateway.deployment.nginx import Tls
from tests.faults.wire import Answer, request
from tests.nginx.operated import Operated, operated
from tests.nginx.support import SERVER_NAME, Nginx, connect, converse, only, running_nginx, trusting
from tests.ports import free_port
from tests.support import NEVER_OURS

PASSWORD = "orchard lantern gravel tide"
FORM = urlencode({"password": PASSWORD, "again": PASSWORD}).encode()
SIGN_IN = urlencode({"email": "ann@acme.example", "password": PASSWORD}).encode()
OWN = f"Origin: https://{SERVER_NAME}"
OTHER = "Origin: https://evil.example"


class Browser:
    """Keeps the session's cookie."""

    def __init__(self, nginx: Nginx, tls: Tls) -> None:
        self._nginx = nginx
        self._context = trusting(tls)
        self._cookie = ""

    def get(self, path: str, *headers: str) -> Answer:
        return self._ask(request(path, *self._usual(), *headers))

    def post(self, path: str, form: bytes, *headers: str) -> Answer:
        kind = ("Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}")
        return self._ask(request(path, *self._usual(), *kind, *headers, method="POST", body=form))

    def _usual(self) -> tuple[str, ...]:
        return ("Connection: close", "Accept: text/html", *([f"Cookie: {self._cookie}"] if self._cookie else []))

    def _ask(self, vector: bytes) -> Answer:
        answer = only(converse(connect(self._nginx, self._context), vector))
        self._cookie = answer.headers.get("set-cookie", self._cookie).partition(";")[0]
        return answer


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Operated:
    return operated(tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def nginx(gateway: Operated, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    port = free_port()
    with gateway.served(port), running_nginx(tmp_path_factory.mktemp("nginx"), port, tls=tls) as running:
        yield running


@pytest.fixture(scope="module")
def browser(gateway: Operated, nginx: Nginx, tls: Tls) -> Browser:
    """Signed in by the link of the invitation, which it followed as it was printed."""
    browser = Browser(nginx, tls)
    link = urlsplit(gateway.link)
    assert (link.scheme, link.netloc) == ("https", SERVER_NAME)
    assert browser.get(link.path).status == 200
    answer = browser.post(link.path, FORM, "Sec-Fetch-Site: same-origin")
    assert answer.status == 303
    assert urljoin(gateway.link, answer.headers["location"]) == f"https://{SERVER_NAME}/dashboard"
    assert answer.headers["set-cookie"].startswith("__Host-session-")
    assert "Secure" in answer.headers["set-cookie"]
    return browser


@pytest.mark.parametrize("path", ["/dashboard/connections", "/dashboard/settings/api-keys", "/docs/api"])
def test_pages_pass_through(browser: Browser, path: str) -> None:
    answer = browser.get(path)

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_files_pass_through_with_their_own_lifetime(browser: Browser) -> None:
    answer = browser.get("/dashboard/static/style.css")

    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/css")
    assert answer.headers["cache-control"] == "public, max-age=300"


def test_a_visitor_is_led_to_the_sign_in_on_the_same_host(nginx: Nginx, tls: Tls) -> None:
    answer = Browser(nginx, tls).get("/dashboard/connections")

    assert answer.status == 303
    led_to = urlsplit(urljoin(f"https://{SERVER_NAME}/dashboard/connections", answer.headers["location"]))
    assert (led_to.netloc, led_to.path) == (SERVER_NAME, "/dashboard/sign-in")


def test_the_gateway_knows_of_https(nginx: Nginx, tls: Tls) -> None:
    page = Browser(nginx, tls).get("/dashboard/sign-in").body.decode()

    assert 'name="password"' in page
    assert "HTTPS" not in page


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Sec-Fetch-Site: same-origin",), 303),
        ((OWN,), 303),
        (("Sec-Fetch-Site: cross-site", OWN), 403),
        ((OTHER,), 403),
        ((OTHER, "X-Forwarded-Host: evil.example"), 403),
        ((), 403),
    ],
    ids=["own", "own, of an older browser", "other", "other, of an older browser", "a forged host", "silent"],
)
def test_only_forms_of_its_own_pages_are_taken(
    browser: Browser, nginx: Nginx, tls: Tls, headers: tuple[str, ...], status: int
) -> None:
    assert browser.get("/dashboard/connections").status == 200

    assert Browser(nginx, tls).post("/dashboard/sign-in", SIGN_IN, *headers).status == status


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ((), 401, "Unauthorized — invalid or missing API key"),
        (("{bearer}",), 404, "Connection not found"),
        (("{bearer}", "Content-Length: a"), 400, "Bad request"),
    ],
    ids=["401", "404", "400 of nginx"],
)
def test_errors_of_the_api_are_the_gateways_own(
    gateway: Operated, nginx: Nginx, tls: Tls, headers: tuple[str, ...], status: int, message: str
) -> None:
    sent = [header.format(bearer=gateway.bearer) for header in headers]
    vector = request(f"/api/v1/connections/{NEVER_OURS}/jobs", "Connection: close", *sent)

    answer = only(converse(connect(nginx, trusting(tls)), vector))

    assert (answer.status, answer.message) == (status, message)
