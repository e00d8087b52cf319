"""A gateway as its operator has it behind nginx: settings that trust it, a client with a key and a person."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cli.conftest import Cli, Program, running
from tests.nginx.support import SERVER_NAME

SETTINGS = """
[server]
trusted_proxies = ["127.0.0.1"]
public_url = "https://{name}"
[airbyte]
base_url = "http://127.0.0.1:9/api/public/v1"
"""


@dataclass(frozen=True)
class Operated:
    """`link` is the address by which the person sets a password."""

    cli: Cli
    key: str
    link: str

    @property
    def bearer(self) -> str:
        return f"Authorization: Bearer {self.key}"

    @contextmanager
    def served(self, port: int) -> Iterator[Program]:
        with running("serve", "--port", str(port), folder=self.cli.folder) as program:
            program.wait_for_line(program.err, r'"event":"listening"')
            yield program


def operated(folder: Path, name: str = SERVER_NAME) -> Operated:
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS.format(name=name), encoding="utf-8")
    cli = Cli(settings)
    cli.ok("init")
    cli.ok("client", "add", "--name", "Acme Inc", "--slug", "acme")
    key = cli.ok("key", "create", "--client", "acme", "--name", "test").stdout.strip()
    link = cli.ok("user", "invite", "--client", "acme", "--email", "ann@acme.example").stdout.split()[0]
    return Operated(cli, key, link)
