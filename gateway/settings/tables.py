"""What settings there are: a structure for each table of the file, with each value's type and range."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from gateway.errors import SettingsError
from gateway.models import SocketAddress
from gateway.settings.addresses import LARGEST_PORT
from gateway.settings.secret import Secret, SecretUrl

SQLITE_PREFIX = "sqlite:///"
MEMORY = "memory"
OFF = "off"
WEBHOOK_CA_FILE = "webhooks.ca_file"
"""As errors name it whose file cannot be used."""
PUBLIC_API_PATH, CONFIG_API_PATH = "/api/public/v1", "/api/v1"
CLOUD_API_URL, CLOUD_PAGES_URL = "https://api.airbyte.com/v1", "https://cloud.airbyte.com"
"""Where a self-managed Airbyte has its two APIs."""

Port = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_PORT)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the file."""


class ServerSettings(Table, frozen=True):
    """Where the gateway listens, and which proxies it believes."""

    host: str
    port: Port
    trusted_proxies: tuple[str, ...]
    public_url: str
    metrics_networks: tuple[str, ...]

    @property
    def address(self) -> str:
        """Where people and callers find the gateway, without a slash at the end."""
        return self.public_url.rstrip("/") or f"http://{SocketAddress(self.host, self.port)}"


class DatabaseSettings(Table, frozen=True):
    """Where the records are."""

    url: SecretUrl

    @property
    def is_file(self) -> bool:
        """Whether they are in a file of SQLite's."""
        return self.url.reveal().startswith(SQLITE_PREFIX)


class AirbyteSettings(Table, frozen=True):
    """Where Airbyte is, who we are to it, and how much is asked of it."""

    base_url: str
    config_url: str
    failure_messages: Literal["masked", "plain"]
    auth: Literal["client_credentials", "basic", "none"]
    client_id: str
    client_secret: Secret
    username: str
    password: Secret
    max_in_flight: Annotated[int, msgspec.Meta(ge=2, le=64)]
    freshness_seconds: Annotated[float, msgspec.Meta(ge=0, le=86400)]
    late_grace_seconds: Annotated[float, msgspec.Meta(ge=0, le=86400)]
    ca_file: str
    proxy: SecretUrl

    @property
    def config_api_url(self) -> str | None:
        """Where the Config API is; None if it is turned off, or `base_url` does not show where it is, as Cloud's."""
        if self.config_url:
            return None if self.config_url == OFF else self.config_url
        base_url = self.base_url.rstrip("/")
        is_known = base_url.endswith(PUBLIC_API_PATH)
        return base_url.removesuffix(PUBLIC_API_PATH) + CONFIG_API_PATH if is_known else None

    @property
    def pages_url(self) -> str | None:
        """Where Airbyte's own pages are; None if `base_url` does not show it."""
        base_url = self.base_url.rstrip("/")
        if base_url == CLOUD_API_URL:
            return CLOUD_PAGES_URL
        return base_url.removesuffix(PUBLIC_API_PATH) if base_url.endswith(PUBLIC_API_PATH) else None

    @property
    def late_grace(self) -> timedelta:
        """How long after its time a sync may begin without being late."""
        return timedelta(seconds=self.late_grace_seconds)

    @property
    def credential(self) -> tuple[str, Secret]:
        """Id and secret of the kind that `auth` asks for."""
        if self.auth == "client_credentials":
            return self.client_id, self.client_secret
        return self.username, self.password


class RateLimitSettings(Table, frozen=True):
    """How many calls a key may make, and where they are counted."""

    requests: Positive
    per_seconds: Positive
    backend: SecretUrl

    @property
    def is_shared(self) -> bool:
        """Whether all gateways count together."""
        return self.backend.reveal() != MEMORY


class LogSettings(Table, frozen=True):
    """What is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"]
    format: Literal["json", "console"]


class TracingSettings(Table, frozen=True):
    """Where spans are sent; nowhere, if it is empty."""

    endpoint: str


class KeysSettings(Table, frozen=True):
    """How many keys a client may have."""

    most_active: Annotated[int, msgspec.Meta(ge=1, le=999_999)]


class DashboardSettings(Table, frozen=True):
    """What the pages are called and look like, and how admins sign in."""

    name: str
    logo_file: str
    color: str
    support: str
    admin_second_factor: Literal["optional", "required"]


class WebhookSettings(Table, frozen=True):
    """Where webhooks may lead besides the public Internet."""

    allowed_networks: tuple[str, ...]
    allow_http: bool
    ca_file: str


class NotifySettings(Table, frozen=True):
    """How the operator is told what needs him."""

    smtp_url: SecretUrl
    mail_from: str
    mail_to: tuple[str, ...]
    webhook_url: Secret
    webhook_secret: Secret
    backup_folder: str
    backup_max_age_hours: Annotated[float, msgspec.Meta(ge=1, le=87600)]


class Settings(Table, frozen=True):
    """All settings. `folder` is where relative paths start; `secret_files` are those that a secret was read from."""

    server: ServerSettings
    database: DatabaseSettings
    airbyte: AirbyteSettings
    rate_limit: RateLimitSettings
    log: LogSettings
    keys: KeysSettings
    dashboard: DashboardSettings
    webhooks: WebhookSettings
    notify: NotifySettings
    tracing: TracingSettings
    folder: Path = Path()
    secret_files: tuple[Path, ...] = ()

    @property
    def database_path(self) -> Path:
        """The path of the SQLite file. Raises SettingsError when it is another kind of database."""
        if not self.database.is_file:
            raise SettingsError(f"database.url: this needs an SQLite file, and it is {self.database.url}")
        return self.folder / self.database.url.reveal().removeprefix(SQLITE_PREFIX)

    @property
    def ca_file(self) -> Path | None:
        """The file of authorities that are believed to vouch for Airbyte, beside the machine's."""
        return self.folder / self.airbyte.ca_file if self.airbyte.ca_file else None

    @property
    def webhook_ca_file(self) -> Path | None:
        """The file of authorities that are believed to vouch for clients' receivers, beside the machine's."""
        return self.folder / self.webhooks.ca_file if self.webhooks.ca_file else None

    @property
    def logo_file(self) -> Path | None:
        """The picture that pages show in place of the name."""
        return self.folder / self.dashboard.logo_file if self.dashboard.logo_file else None

    @property
    def backup_folder(self) -> Path | None:
        """The folder whose newest file tells how old the last backup is; None: nobody looks."""
        return self.folder / self.notify.backup_folder if self.notify.backup_folder else None

    @property
    def database_location(self) -> Path | SecretUrl:
        """The file, or the address of a server's database."""
        return self.database_path if self.database.is_file else self.database.url


def tables() -> dict[str, type[Table]]:
    """Return the tables of the file by their names."""
    return {name: kind for name, kind in types_of(Settings).items() if name not in {"folder", "secret_files"}}


def types_of(structure: type[Table]) -> dict[str, Any]:
    """Return the type of each key, as it is declared."""
    return {field.name: field.type for field in msgspec.structs.fields(structure)}
