"""What is printed for nginx, as text. A real nginx reads it in tests/nginx."""

import re

import pytest

from gateway.app import MAX_BODY_BYTES
from gateway.auth.keys import PREFIX
from gateway.deployment.nginx import Tls, missing_settings, nginx_config
from gateway.errors import InvalidInput, SettingsError
from gateway.web.middleware.request_log import SAFE_ID
from gateway.web.server.limits import ConnectionLimits
from gateway.web.server.request_head import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from tests.nginx.support import server_settings

NAME = "gateway.example.com"
TLS = Tls("/etc/ssl/gateway.pem", "/etc/ssl/gateway.key")
UNITS = {"s": 1, "k": 1024}


def text_of(*, tls: Tls | None = TLS, **server: object) -> str:
    return nginx_config(server_settings(**server), NAME, tls)  # type: ignore[arg-type]  # a table of settings


def directives(text: str, name: str) -> set[str]:
    return set(re.findall(rf"^ *{name} (.+);$", text, re.MULTILINE))


def amount(text: str, name: str) -> int:
    """Of the one value that the directive has throughout, in seconds or bytes."""
    (value,) = directives(text, name)
    match = re.fullmatch(r"(?:\d+ )?(\d+)([sk])", value)
    assert match, value
    return int(match[1]) * UNITS[match[2]]


@pytest.mark.parametrize("tls", [TLS, None], ids=["tls", "plain"])
def test_the_limits_fit_those_of_the_gateway(tls: Tls | None) -> None:
    text, wire = text_of(tls=tls), ConnectionLimits()

    assert amount(text, "client_max_body_size") == amount(text, "client_body_buffer_size") == MAX_BODY_BYTES
    assert amount(text, "client_header_timeout") == amount(text, "client_body_timeout") == wire.receive_seconds
    assert amount(text, "send_timeout") == wire.unread_seconds
    assert amount(text, "large_client_header_buffers") > max(MAX_TARGET_BYTES, MAX_HEADER_BYTES) + len(
        "GET  HTTP/1.1\r\n"
    )


@pytest.mark.parametrize("tls", [TLS, None], ids=["tls", "plain"])
def test_every_server_refuses_in_json_within_the_same_limits(tls: Tls | None) -> None:
    text = text_of(tls=tls)
    servers = text.count("\nserver {\n")

    assert servers == (3 if tls else 2)
    for line in ("server_tokens off;", "underscores_in_headers off;", "location /_refused/ {", "error_page 400 403 "):
        assert text.count(line) == servers, line


def test_the_rule_for_request_ids_is_the_gateways() -> None:
    assert f'"~^(?!.*{PREFIX}){SAFE_ID.pattern.decode()}$" $http_x_request_id;' in text_of()


@pytest.mark.parametrize("tls", [TLS, None], ids=["tls", "plain"])
def test_nothing_is_rewritten_cached_named_or_repeated(tls: Tls | None) -> None:
    commands = "\n".join(line for line in text_of(tls=tls).splitlines() if not line.lstrip().startswith("#"))

    assert re.findall(r"\b(rewrite|non_idempotent|proxy_cache_path|location @|if \(|301|302|308)\b", commands) == []
    assert directives(commands, "proxy_next_upstream") == {"error timeout"}
    assert directives(commands, "proxy_pass") == {"http://gateway"}
    assert directives(commands, "return") == {"421", "200 $gateway_refusal_body"} | ({"403"} if tls else set())


@pytest.mark.parametrize("tls", [TLS, None], ids=["tls", "plain"])
def test_it_is_a_pleasure_to_read(tls: Tls | None) -> None:
    text = text_of(tls=tls)
    lines = text.splitlines()

    assert text.endswith("}\n")
    assert "\n\n\n" not in text
    assert [line for line in lines if line != line.rstrip() or "\t" in line] == []
    assert [line for line in lines if len(line) > 120 and "ssl_ciphers" not in line] == []
    assert text.count("{") == text.count("}")


def test_without_tls_it_says_so_and_names_no_certificate() -> None:
    plain = text_of(tls=None)

    assert "WITHOUT ENCRYPTION" in plain
    assert "WITHOUT ENCRYPTION" not in text_of()
    assert "ssl_" not in plain
    assert 'public_url = "http://gateway.example.com"' in plain


def test_it_says_which_command_printed_it() -> None:
    command = "gateway nginx-config --server-name gateway.example.com"

    assert f"# Printed by: {command}\n" in text_of(tls=None)
    assert f"# Printed by: {command} --tls /etc/ssl/gateway.pem /etc/ssl/gateway.key\n" in text_of()


@pytest.mark.parametrize(
    ("host", "upstream", "source"),
    [
        ("127.0.0.1", "127.0.0.1:8080", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1:8080", "127.0.0.1"),
        ("", "127.0.0.1:8080", "127.0.0.1"),
        ("localhost", "127.0.0.1:8080", "127.0.0.1"),
        ("::", "[::1]:8080", "::1"),
        ("0:0::1", "[::1]:8080", "::1"),
        ("10.0.0.5", "10.0.0.5:8080", "10.0.0.5"),
        ("gateway.internal", "gateway.internal:8080", "gateway.internal"),
    ],
)
def test_the_upstream_is_where_the_gateway_listens(host: str, upstream: str, source: str) -> None:
    text = text_of(host=host)

    assert f"    server {upstream} max_fails=0;\n" in text
    assert f"at {upstream}, for" in text
    assert f'trusted_proxies = ["{source}"]' in text


@pytest.mark.parametrize("host", ["a b", "a;b", "a{", "a$b", "a\nb", '"', "fe80::1%eth0"])
def test_a_host_that_nginx_cannot_take_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^server\.host: .* is neither an address nor a name$"):
        text_of(host=host)


def test_any_free_port_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^server\.port is 0"):
        text_of(port=0)


NO_NAMES = [
    "",
    " ",
    "a b",
    "a;b",
    "a\n",
    "a\nb",
    "a{",
    "a}",
    "$host",
    "a'",
    'a"',
    "a#",
    "a\\",
    "_",
    "*.example.com",
    ".example.com",
    "example.com.",
    "a..b",
    "-a",
    "a-",
    "~^a$",
    "bücher.example",
    "a/b",
    "a:80",
    "[::1]",
    "a" * 64,
    ".".join(["a" * 63] * 4),
]


def test_what_is_no_name_is_refused() -> None:
    for name in NO_NAMES:
        with pytest.raises(InvalidInput, match=r"^['\"].*['\"] is no host name such as .*$"):
            nginx_config(server_settings(), name)


@pytest.mark.parametrize("name", ["a", "gateway", "192.0.2.1", "xn--bcher-kva.example", ".".join(["a" * 61] * 4)])
def test_every_name_is_taken(name: str) -> None:
    assert f"    server_name {name};\n" in nginx_config(server_settings(), name)


def test_names_are_in_small_letters() -> None:
    assert nginx_config(server_settings(), "Gateway.Example.COM") == nginx_config(server_settings(), NAME)


PATHS_TO_REFUSE = ["", "gateway.pem", "/a b", "/a;", "/a\n", "/a$b", "/a{", '/"', "/'", "/a#", "/a\\", "/ä", "engine:x"]


def test_a_path_that_nginx_would_read_differently_is_refused() -> None:
    for path in PATHS_TO_REFUSE:
        for tls in (Tls(path, TLS.key), Tls(TLS.certificate, path)):
            with pytest.raises(InvalidInput, match=r"^['\"].*['\"] is no absolute path"):
                nginx_config(server_settings(), NAME, tls)


@pytest.mark.parametrize(
    ("host", "trusted", "is_missing"),
    [
        ("127.0.0.1", (), True),
        ("127.0.0.1", ("10.0.0.0/8", "::1"), True),
        ("127.0.0.1", ("127.0.0.1",), False),
        ("0.0.0.0", ("127.0.0.0/8",), False),
        ("::", ("127.0.0.1",), True),
        ("::", ("::1",), False),
        ("gateway.internal", (), True),
        ("gateway.internal", ("10.0.0.5",), False),
    ],
)
def test_an_untrusted_proxy_is_remarked_on(host: str, trusted: tuple[str, ...], is_missing: bool) -> None:
    server = server_settings(host=host, trusted_proxies=trusted, public_url=f"https://{NAME}/")

    assert [sentence.partition(" ")[0] for sentence in missing_settings(server, NAME, TLS)] == (
        ["server.trusted_proxies"] if is_missing else []
    )


@pytest.mark.parametrize(("url", "is_right"), [("", False), (f"http://{NAME}", False), (f"https://{NAME}", True)])
def test_another_public_url_is_remarked_on(url: str, is_right: bool) -> None:
    server = server_settings(trusted_proxies=("127.0.0.1",), public_url=url)

    sentences = list(missing_settings(server, NAME, TLS))

    assert sentences == (
        [] if is_right else [f'server.public_url is "{url}": set public_url = "https://{NAME}", or links are wrong']
    )


def test_several_gateways_share_the_requests_and_one_that_fails_is_left_out() -> None:
    text = nginx_config(server_settings(), NAME, None, ["10.0.0.1:8080", "[fd00::1]:8080", "gateway-3:9090"])

    (upstream,) = re.findall(r"^upstream gateway \{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    assert re.findall(r"^    server (.*);$", upstream, re.MULTILINE) == [
        "10.0.0.1:8080 max_fails=3 fail_timeout=5s",
        "[fd00::1]:8080 max_fails=3 fail_timeout=5s",
        "gateway-3:9090 max_fails=3 fail_timeout=5s",
    ]
    # The order matters to nginx.
    assert upstream.index("least_conn;") < upstream.index("keepalive 64;")
    assert "max_fails=0" not in text
    assert "--upstream 10.0.0.1:8080 --upstream '[fd00::1]:8080' --upstream gateway-3:9090" in text
    assert "non_idempotent" not in text.replace('for want of "non_idempotent"', "")


def test_one_gateway_elsewhere_is_never_left_out() -> None:
    assert "    server 10.0.0.1:8080 max_fails=0;\n" in nginx_config(server_settings(), NAME, None, ["10.0.0.1:8080"])


@pytest.mark.parametrize(
    "upstream",
    ["", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "::1:8080", "[::1", "a b:1", "a;b:1", "a:٣"],
)
def test_what_is_no_place_of_a_gateway_is_refused(upstream: str) -> None:
    with pytest.raises(InvalidInput, match="HOST:PORT"):
        nginx_config(server_settings(), NAME, None, [upstream])


@pytest.mark.parametrize(
    ("upstreams", "trusted", "remarks"),
    [
        (["127.0.0.1:8081", "127.0.0.1:8082"], ("127.0.0.1",), 0),
        (["127.0.0.1:8081", "127.0.0.1:8082"], (), 1),
        (["[::1]:8081", "[::1]:8082"], ("::1",), 0),
        (["[::1]:8081", "[::1]:8082"], ("10.0.0.9",), 1),
        (["10.0.0.1:8080", "10.0.0.2:8080"], ("10.0.0.9",), 0),
        (["10.0.0.1:8080", "10.0.0.2:8080"], (), 1),
    ],
)
def test_of_several_gateways_too_an_untrusted_proxy_is_remarked_on(
    upstreams: list[str], trusted: tuple[str, ...], remarks: int
) -> None:
    server = server_settings(trusted_proxies=trusted, public_url=f"http://{NAME}")

    assert len(list(missing_settings(server, NAME, None, upstreams))) == remarks


def test_with_a_resolver_the_name_is_looked_up_as_long_as_nginx_runs() -> None:
    text = nginx_config(server_settings(), NAME, TLS, ["gateways:8080"], resolver="127.0.0.11")

    assert "upstream gateway {" not in text
    assert directives(text, "resolver") == {"127.0.0.11 valid=5s"}
    assert directives(text, "set") == {"$gateway_address gateways:8080"}
    assert directives(text, "proxy_pass") == {"http://$gateway_address"}
    assert directives(text, "proxy_next_upstream_timeout") == {"10s"}
    assert f"--tls {TLS.certificate} {TLS.key} --upstream gateways:8080 --resolver 127.0.0.11\n" in text
