"""deploy/compose.yaml: the same programs with the same settings, started without containers, asked through nginx."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import plain_http
from tests.cli.conftest import Airbyte, Program, environment, invoke, running, wait_until
from tests.faults.installation import key_header, sandbox_airbyte
from tests.nginx.dns import name_server
from tests.nginx.support import Nginx, running_nginx
from tests.ports import free_ports
from tests.postgres import PostgresServer, postgres_server
from tests.support import BOUND_SECONDS, PROGRAM
from tests.together.support import undisturbed
from tests.valkey import valkey_program

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
(ALIAS,) = SERVICES["gateway-1"]["networks"]["front"]["aliases"]
"""The one name that all gateways have."""
GATEWAYS = [name for name in SERVICES if name.startswith("gateway-")]
HOSTS = {name: f"127.0.0.{number}" for number, name in enumerate(GATEWAYS, 91)}
"""Where each has its own address, and all the same port, as in their containers."""
CONTAINERFILE = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
IMAGE = "airbyte-client-gateway"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
PASSWORD = "planted-password"


def image_says(instruction: str) -> list[str]:
    """Return the words of the Containerfile's last such instruction."""
    words: list[str] = json.loads(re.findall(rf"^{instruction} (.*)", CONTAINERFILE, re.MULTILINE)[-1])
    return words


@dataclass
class Machine:
    """Where everything is that containers would have under names and paths of their own."""

    folder: Path
    airbyte: Airbyte
    postgres: PostgresServer
    ports: Mapping[str, int]
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    def write_secrets(self) -> None:
        """As the comment at the top of the file has them written."""
        self.secrets.mkdir()
        contents = {
            "postgres_password": PASSWORD,
            "database_url": f"postgresql://gateway:{PASSWORD}@postgres/gateway",
            "valkey.conf": f"requirepass {PASSWORD}\n",
            "rate_limit_backend": f"redis://:{PASSWORD}@valkey:6379/0",
            "airbyte_client_secret": "sandbox-secret",
        }
        assert contents.keys() == COMPOSE["secrets"].keys()
        for name, content in contents.items():
            (self.secrets / name).write_text(self.here(content))

    def here(self, text: str) -> str:
        """What stands for a container's name, address or path on this machine."""
        text = VARIABLE.sub(self._variable, text)
        text = text.replace("@postgres/", f"@127.0.0.1:{self.postgres.port}/")
        text = text.replace("valkey:6379", f"127.0.0.1:{self.ports['valkey']}")
        text = text.replace("172.28.5.0/24", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")
        return text.replace("/run/secrets", str(self.secrets))

    def _variable(self, match: re.Match[str]) -> str:
        value = self.variables.get(match[1]) or (match[3] if match[2] == "-" else "")
        assert value, match[0]
        return str(value)

    def environment_of(self, service: str) -> dict[str, str]:
        found = {name: self.here(value) for name, value in SERVICES[service]["environment"].items()}
        if service in self.ports:
            found |= {"GATEWAY_SERVER_HOST": HOSTS[service], "GATEWAY_SERVER_PORT": str(self.ports[service])}
        return found

    def command_of(self, service: str) -> list[str]:
        """Return what the container runs, by the service's own words or by its image's."""
        words = SERVICES[service]
        is_ours = words["image"] == IMAGE
        entry = words.get("entrypoint", image_says("ENTRYPOINT") if is_ours else [])
        command = words.get("command", image_says("CMD") if is_ours else [])
        return [self.here(re.sub(r"\bgateway(?= |$)", " ".join(PROGRAM), word)) for word in (*entry, *command)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with sandbox_airbyte() as airbyte, postgres_server() as postgres:
        valkey_port, port = free_ports(2)
        ports = {"valkey": valkey_port, **dict.fromkeys(GATEWAYS, port)}
        variables = {"AIRBYTE_URL": airbyte.base_url, "AIRBYTE_CLIENT_ID": "sandbox-client"}
        machine = Machine(tmp_path, airbyte, postgres, ports, variables)
        machine.write_secrets()
        yield machine


@contextmanager
def started(machine: Machine) -> Iterator[tuple[Nginx, list[Program]]]:
    """All services, in the order in which they depend on each other."""
    with ExitStack() as stack:
        database = SERVICES["postgres"]["environment"]
        machine.postgres.ask(f"CREATE ROLE {database['POSTGRES_USER']} LOGIN PASSWORD '{PASSWORD}'")
        machine.postgres.ask(f"CREATE DATABASE {database['POSTGRES_DB']} OWNER {database['POSTGRES_USER']}")
        stack.enter_context(valkey(machine))
        for _ in range(2):
            # The second time as at the next `up`: the tables are there.
            subprocess.run(
                machine.command_of("tables"),
                cwd=machine.folder,
                env=environment(**machine.environment_of("tables")),
                check=True,
                timeout=BOUND_SECONDS,
            )
        programs: list[Program] = []
        for name in GATEWAYS:
            command = machine.command_of(name)
            assert command[:1] == [" ".join(PROGRAM)]
            program = stack.enter_context(running(*command[1:], folder=machine.folder, **machine.environment_of(name)))
            programs.append(program)
            program.wait_for_line(program.err, rf'"http://{HOSTS[name]}:{machine.ports[name]}",.*"event":"listening"')
        names = stack.enter_context(name_server(*HOSTS.values()))
        text = (DEPLOY / "nginx-compose.conf").read_text(encoding="utf-8")
        for inside, here in ((f"{ALIAS}:8080", f"{ALIAS}:{machine.ports[name]}"), ("127.0.0.11 ", f"{names.address} ")):
            assert inside in text
            text = text.replace(inside, here)
        folder = machine.folder / "nginx"
        folder.mkdir()
        nginx = stack.enter_context(running_nginx(folder, 0, upstreams=["127.0.0.1:9"], edit=lambda _: text))
        yield nginx, programs


@contextmanager
def valkey(machine: Machine) -> Iterator[None]:
    command = machine.command_of("valkey")
    assert command[0] == "valkey-server"
    place = ["--port", str(machine.ports["valkey"]), "--bind", "127.0.0.1", "--dir", str(machine.folder)]
    with subprocess.Popen([valkey_program(), *command[1:], *place], stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_all_of_it_answers_through_nginx(machine: Machine) -> None:
    with started(machine) as (nginx, programs):
        env = machine.environment_of(GATEWAYS[0])
        add = ["client", "add", "--name", "Acme Inc", "--slug", "acme"]
        create = ["key", "create", "--client", "acme", "--name", "test", "--rate", "30/86400"]
        assert invoke(*add, env=env).exit_code == 0
        addresses = [f"http://{HOSTS[name]}:{machine.ports[name]}" for name in GATEWAYS]
        together = {"gateways": len(GATEWAYS), "rate_limit": "shared"}.items()
        with plain_http.client() as client:
            wait_until(lambda: all(client.get(f"{address}/readyz").json().items() >= together for address in addresses))
            url = f"http://127.0.0.1:{nginx.port}/api/v1/status"

            def counted() -> list[int]:
                headers = {**key_header(invoke(*create, env=env).stdout.strip()), "Host": "localhost"}
                return [client.get(url, headers=headers).status_code for _ in range(40)]

            codes = undisturbed(
                counted, lambda: sum("shared_backend_unavailable" in line for each in programs for line in each.err)
            )
            forwarded = [client.get(f"{address}/metrics").text for address in addresses]

    assert codes == [200] * 30 + [429] * 10
    assert all("gateway_forwarded_untrusted_total 0.0" in text for text in forwarded)


def test_nothing_but_nginx_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"nginx": ["127.0.0.1:8080:80"]}
    assert "network_mode" not in str(COMPOSE)


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or "SECRET" in name or name in {"GATEWAY_DATABASE_URL", "GATEWAY_RATE_LIMIT_BACKEND"}:
                assert name.endswith("_FILE"), name
                assert value.startswith("/run/secrets/")
        for secret in service.get("secrets", []):
            assert COMPOSE["secrets"][secret]["file"] == f"./secrets/{secret}"


def test_all_gateways_have_the_one_name_and_nothing_else_has_it() -> None:
    named = [name for name, service in SERVICES.items() if ALIAS in str(service["networks"])]

    assert named == GATEWAYS


def test_nginx_has_what_the_command_prints_for_these_gateways() -> None:
    upstream = ("--upstream", f"{ALIAS}:8080", "--resolver", "127.0.0.11")

    result = invoke("nginx-config", "--server-name", "localhost", *upstream)

    assert result.stdout == (DEPLOY / "nginx-compose.conf").read_text(encoding="utf-8")
