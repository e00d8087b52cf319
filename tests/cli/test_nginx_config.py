"""gateway nginx-config."""

from pathlib import Path

import pytest

from tests.cli.conftest import invoke, refusal_of

DEPLOYED = Path(__file__).parent.parent.parent / "deploy" / "nginx.conf"
LETSENCRYPT = "/etc/letsencrypt/live/gateway.example.com"
NAMED = ("nginx-config", "--server-name", "gateway.example.com")
ENCRYPTED = (*NAMED, "--tls", f"{LETSENCRYPT}/fullchain.pem", f"{LETSENCRYPT}/privkey.pem")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text("", encoding="utf-8")
    return path


def test_the_file_in_deploy_is_what_the_command_prints_for_the_defaults(settings: Path) -> None:
    result = invoke("--settings", str(settings), *ENCRYPTED)

    assert result.exit_code == 0
    assert result.stdout == DEPLOYED.read_text(encoding="utf-8")


def test_what_the_settings_lack_is_said_beside_the_text(settings: Path) -> None:
    before = invoke("--settings", str(settings), *ENCRYPTED)
    settings.write_text(
        '[server]\ntrusted_proxies = ["127.0.0.1"]\npublic_url = "https://gateway.example.com"\n', encoding="utf-8"
    )
    after = invoke("--settings", str(settings), *ENCRYPTED)

    assert before.stderr.splitlines() == [
        (
            'Note: server.trusted_proxies lacks 127.0.0.1: set trusted_proxies = ["127.0.0.1"], otherwise all callers '
            "seem to have nginx's address, and links use http."
        ),
        'Note: server.public_url is "": set public_url = "https://gateway.example.com", or links are wrong.',
    ]
    assert after.stderr == ""
    assert after.stdout == before.stdout


def test_it_follows_the_settings(settings: Path) -> None:
    settings.write_text('[server]\nhost = "::1"\nport = 9090\n', encoding="utf-8")

    assert "server [::1]:9090 max_fails=0;" in invoke("--settings", str(settings), *NAMED).stdout


def test_settings_without_a_port_are_refused(settings: Path) -> None:
    settings.write_text("[server]\nport = 0\n", encoding="utf-8")

    result = invoke("--settings", str(settings), *NAMED)

    assert refusal_of(result) == "server.port is 0, any free one: nginx has to be told which"
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("nginx-config",),
        ("nginx-config", "--server-name", "a b"),
        ("nginx-config", "--server-name", "a;\nreturn 200"),
        (*NAMED, "--tls", "/a.pem"),
        (*NAMED, "--upstream", "gateways:8080", "--resolver", "dns.example"),
        (*NAMED, "--upstream", "gateways:8080", "--resolver", "127.0.0.11:0"),
        (*NAMED, "--upstream", "gateways:8080", "--resolver", "127.0.0.11; return 200"),
        (*NAMED, "--tls", "a.pem", "/a.key"),
        (*NAMED, "--tls", "/a.pem", "/a.key; include /etc/passwd"),
    ],
)
def test_misuse_is_one_clear_line(settings: Path, arguments: tuple[str, ...]) -> None:
    result = invoke("--settings", str(settings), *arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    *usage, line = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert [each for each in usage if each and not each.startswith(("Usage: ", "Try "))] == []


def test_it_knows_several_gateways(settings: Path) -> None:
    result = invoke("--settings", str(settings), *NAMED, "--upstream", "10.0.0.1:8080", "--upstream", "10.0.0.2:8080")

    assert result.exit_code == 0
    assert "# nginx in front of the gateways at 10.0.0.1:8080, 10.0.0.2:8080, for gateway.example.com." in result.stdout
    assert "trusted_proxies is empty: put this nginx's address there on each gateway" in result.stderr


def test_what_is_no_place_of_a_gateway_is_misuse(settings: Path) -> None:
    result = invoke("--settings", str(settings), *NAMED, "--upstream", "10.0.0.1")

    assert result.exit_code == 2
    assert "'10.0.0.1' is no HOST:PORT" in result.stderr


@pytest.mark.parametrize("upstreams", [[], ["10.0.0.1:8080"], ["[::1]:8080"], ["gateway-1:8080", "gateway-2:8080"]])
def test_a_resolver_needs_one_name_to_ask_for(settings: Path, upstreams: list[str]) -> None:
    options = [word for upstream in upstreams for word in ("--upstream", upstream)]

    result = invoke("--settings", str(settings), *NAMED, *options, "--resolver", "127.0.0.11")

    assert refusal_of(result) == ("--resolver goes with one --upstream, whose name has the addresses of all gateways")
