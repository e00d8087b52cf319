"""gateway doctor."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from gateway.deployment.systemd import Installation, unit_files
from gateway.sandbox import Sandbox
from tests.cli.conftest import Airbyte, Cli, invoke, listens, running, serving, wait_until
from tests.ports import free_port
from tests.support import BOUND_SECONDS

FORWARDING = b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"


@pytest.fixture(autouse=True)
def no_gateway_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep a port taken where nothing listens: on the default one a gateway of this machine's may run."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("GATEWAY_SERVER_PORT", str(taken.getsockname()[1]))
        yield


@pytest.fixture
def doctored(connected: Cli) -> Cli:
    """With a client, and settings that nobody else may read."""
    connected.settings.chmod(0o600)
    connected.ok("client", "add", "--name", "Acme Inc", "--slug", "acme")
    return connected


def set_base_url(cli: Cli, airbyte: Airbyte, base_url: str, **more: str) -> None:
    cli.settings.write_text(airbyte.settings_toml(base_url=base_url, **more))


def test_a_sound_installation_is_told_line_by_line_with_exit_status_0(doctored: Cli, airbyte: Airbyte) -> None:
    lines = doctored.ok("doctor").stdout.splitlines()

    assert lines[0] == f"ok    settings: read; Airbyte is asked at {airbyte.base_url}"
    assert [line.partition(":")[0] for line in lines] == [
        f"ok    {check}"
        for check in (
            "settings",
            "files",
            "database",
            "database",
            "disk",
            "last syncs",
            "proxies",
            "gateway",
            "airbyte release",
            "airbyte",
            "clock",
            "reasons of failures",
            "connections",
        )
    ]
    assert lines[5] == "ok    last syncs: no connection was asked for by itself yet"


def test_a_socket_of_the_service_with_these_settings_is_looked_at(doctored: Cli, tmp_path: Path) -> None:
    for path, text in unit_files(Installation(settings=str(doctored.settings), listen="[::1]:8080")).items():
        (tmp_path / Path(path).name).write_text(text)

    told = invoke("--settings", str(doctored.settings), "doctor", units=tmp_path).stdout

    assert "warn  gateway: gateway.socket listens at [::1]:8080, the settings say 127.0.0.1:" in told


def test_a_warning_is_told_and_is_no_failure(doctored: Cli) -> None:
    doctored.ok("connection", "add", "--client", "acme", "--connector-type", "shopify", "--label", "Shop")

    lines = doctored.ok("doctor").stdout.splitlines()

    (number,) = (number for number, line in enumerate(lines) if line.startswith("warn  connections: 1 without mapping"))
    assert lines[number + 1].startswith("      gateway connection map conn_")


def test_what_is_wrong_is_said_with_advice_and_exit_status_1(cli: Cli) -> None:
    result = cli("doctor")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-2:] == [
        "FAIL  airbyte: nothing listens at 127.0.0.1:9",
        "      Start what should answer there, or correct host and port in airbyte.base_url.",
    ]


def test_a_secret_in_settings_that_everybody_can_read_is_found(doctored: Cli) -> None:
    doctored.settings.chmod(0o644)

    result = doctored("doctor")

    assert result.exit_code == 1
    assert f"FAIL  files: every user of this machine can read the secret in {doctored.settings}" in result.stdout
    assert "sandbox-secret" not in result.output


def test_a_secret_file_that_everybody_can_read_is_found(doctored: Cli, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sandbox-secret")
    secret.chmod(0o644)
    doctored.settings.chmod(0o644)

    result = invoke(
        *("doctor", "--json", "--settings", str(doctored.settings)),
        env={"GATEWAY_AIRBYTE_CLIENT_SECRET_FILE": str(secret)},
    )

    (finding,) = (finding for finding in json.loads(result.stdout) if finding["check"] == "files")
    assert finding["text"] == f"every user of this machine can read the secret in {secret}"


def test_json_has_every_finding(cli: Cli) -> None:
    result = cli("doctor", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [finding["check"] for finding in found][-2:] == ["gateway", "airbyte"]
    assert {finding["level"] for finding in found} == {"ok", "fail"}
    assert all(set(finding) == {"check", "level", "text", "advice"} for finding in found)


@pytest.mark.parametrize("content", [None, b"", b"no database" * 100], ids=["missing", "empty", "foreign"])
def test_a_refused_database_is_a_finding_and_stops_no_other_check(doctored: Cli, content: bytes | None) -> None:
    doctored.database.unlink()
    if content is not None:
        doctored.database.write_bytes(content)

    result = doctored("doctor")

    assert result.exit_code == 1
    assert f"FAIL  database: {doctored.database}: " in result.stdout
    assert "ok    airbyte: answers; the credential sees 0 workspaces" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("", "it shows a web page (200)"),
        ("/", "it shows a web page (200)"),
        ("/v1", "it shows a web page (200)"),
        ("/workspaces/", "it shows a web page (200)"),
        ("/api", "it answers 401"),
        ("/api/public", "it answers 401"),
        ("/api/v1", "it is the older configuration API"),
        ("/api/public/v1/jobs", "it answers 401"),
        ("/api/public/v1/api/public/v1", "it answers 401"),
    ],
)
def test_a_wrong_base_url_is_recognised_and_the_right_one_found(
    doctored: Cli, airbyte: Airbyte, end: str, said: str
) -> None:
    set_base_url(doctored, airbyte, airbyte.address + end)

    lines = doctored("doctor").stdout.splitlines()

    assert lines[-2] == f"FAIL  airbyte: {(airbyte.address + end).rstrip('/')} is not Airbyte's API: {said}"
    assert lines[-1] == f"      Airbyte's API is at {airbyte.base_url}: write that into airbyte.base_url."


def test_https_at_a_plain_port_is_recognised(doctored: Cli, airbyte: Airbyte) -> None:
    set_base_url(doctored, airbyte, airbyte.base_url.replace("http:", "https:"))

    lines = doctored("doctor").stdout.splitlines()

    place = airbyte.address.removeprefix("http://")
    assert lines[-2:] == [
        f"FAIL  tls: {place} does not speak TLS",
        f"      Write http:// in airbyte.base_url, or switch TLS on at {place}.",
    ]


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        ({"client_secret": "wrong"}, "Airbyte shows both under User > Applications."),
        (
            {"auth": "none"},
            "Airbyte wants other credentials: set airbyte.auth to client_credentials and fill in id and secret.",
        ),
        (
            {"auth": "basic", "username": "airbyte", "password": "password"},
            "Airbyte wants other credentials: set airbyte.auth to client_credentials and fill in id and secret.",
        ),
    ],
    ids=["wrong secret", "none", "basic"],
)
def test_wrong_credentials_at_the_right_address_are_recognised(
    doctored: Cli, airbyte: Airbyte, more: dict[str, str], advice: str
) -> None:
    set_base_url(doctored, airbyte, airbyte.base_url, **more)

    assert doctored("doctor").stdout.splitlines()[-1] == f"      {advice}"


def test_credentials_for_an_airbyte_without_sign_in_are_recognised(doctored: Cli) -> None:
    sandbox = Sandbox(empty=True, auth=False)
    with serving(sandbox.app) as (address, loop):
        airbyte = Airbyte(sandbox, address, loop)
        set_base_url(doctored, airbyte, airbyte.base_url)
        refused = doctored("doctor").stdout.splitlines()
        set_base_url(doctored, airbyte, airbyte.base_url, auth="none")
        doctored.ok("doctor")

    assert refused[-1] == "      This Airbyte runs without sign-in: set airbyte.auth to none."


@contextmanager
def proxy(port: int) -> Iterator[str]:
    """In front of `port`: adds who asked, and over what, as nginx does; one request for each connection."""

    def forward(caller: socket.socket) -> None:
        with caller, socket.create_connection(("127.0.0.1", port), BOUND_SECONDS) as gateway:
            head = b""
            while b"\r\n\r\n" not in head:
                head += caller.recv(65536)
            line, _, rest = head.partition(b"\r\n")
            gateway.sendall(line + b"\r\n" + FORWARDING + rest)
            while piece := gateway.recv(65536):
                caller.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                forward(caller)

        thread = Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(BOUND_SECONDS)


@pytest.mark.parametrize(("trusted", "level"), [("[]", "warn"), ('["127.0.0.1"]', "ok")], ids=["forgotten", "declared"])
def test_a_proxy_that_nobody_declared_is_found_by_asking_through_it(
    doctored: Cli, airbyte: Airbyte, monkeypatch: pytest.MonkeyPatch, trusted: str, level: str
) -> None:
    monkeypatch.delenv("GATEWAY_SERVER_PORT")
    port = free_port()
    with proxy(port) as public_url:
        server = f'[server]\nport = {port}\npublic_url = "{public_url}"\ntrusted_proxies = {trusted}\n'
        doctored.settings.write_text(airbyte.settings_toml() + server)
        with running("serve", folder=doctored.folder):
            wait_until(lambda: listens(f"http://127.0.0.1:{port}"))
            found = {finding["check"]: finding for finding in doctored.json("doctor")}

    assert found["gateway"]["text"] == f"runs at http://127.0.0.1:{port}"
    assert found["public url"]["text"] == f"{public_url} leads to a gateway"
    assert found["forwarding"]["level"] == level


def test_ctrl_c_ends_it_in_the_middle_without_a_traceback(doctored: Cli, airbyte: Airbyte) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        set_base_url(doctored, airbyte, f"http://127.0.0.1:{silent.getsockname()[1]}/api/public/v1")
        port = os.environ["GATEWAY_SERVER_PORT"]
        with running("doctor", folder=doctored.folder, GATEWAY_SERVER_PORT=port) as program:
            program.wait_for_line(program.out, "^ok    gateway")
            program.send(signal.SIGINT)
            status = program.wait()

    assert status == 1
    assert not any("airbyte:" in line for line in program.out)
    assert not any("Traceback" in line for line in program.err)
