"""The text of the unit files under which systemd runs the gateway. `deploy/` holds what the defaults make of it."""

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Literal

import msgspec

from gateway.errors import InvalidInput

STATE_FOLDER = "/var/lib/gateway"
UNIT_FOLDER = "/etc/systemd/system"
SERVICE = "gateway.service"
SOCKET = "gateway.socket"
TEMPLATE_UNIT = "gateway@.service"
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
Credential = Literal["client_secret", "password", ""]
HOMES = ("/home", "/root", "/run/user")
TEMPORARY = "/tmp"  # noqa: S108 - nothing is written there
SOCKET_TEXT = """\
[Unit]
Description=Airbyte client gateway, its listening socket

[Socket]
# Belongs to systemd, so it outlives the service: who connects during a restart waits in line and is answered.
ListenStream={listen}
Backlog=2048

[Install]
WantedBy=sockets.target
"""
ACCOUNT_TEXT = """\
User={user}
Group={user}
StateDirectory=gateway
StateDirectoryMode=0700
WorkingDirectory=/var/lib/gateway
UMask=0077
"""
SANDBOX_TEXT = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
{writable_lines}\
ProtectHome={protect_home}
# Not PrivateTmp: the one-file binary unpacks itself here, and on a hardened machine /tmp lets nothing be run.
TemporaryFileSystem={temporary}:mode=1777,size=256M
PrivateDevices=yes
PrivateMounts=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""
"""What the service and its backup may not do."""
SERVICE_TEXT = """\
[Unit]
{unit_lines}\
Wants=network-online.target
{start_limit_lines}\

[Service]
# "notify-reload" would need systemd 253; Debian 12 has 252.
Type=notify
# All: the one-file binary speaks from a child of the process that systemd started.
NotifyAccess=all
ExecStart={command}
# With a mistake in the settings the reload fails here, and the gateway is not told of it.
ExecReload={check}
ExecReload=/bin/kill -HUP $MAINPID
{listener_lines}\
Restart=on-failure
RestartSec=1s
WatchdogSec=30s
# An event loop that hangs runs no handler.
WatchdogSignal=SIGKILL
# SIGTERM to the main process alone, which finishes what is under way; a second signal would end that.
KillMode=mixed
TimeoutStopSec=95s

# A user that stays, not DynamicUser: commands such as "gateway key create" and backups run as it too.
{account}\
{credential_lines}\
LimitNOFILE=16384
# Memory holds secrets.
LimitCORE=0

{sandbox}\

[Install]
WantedBy=multi-user.target
{install_lines}\
"""
ALONE = {
    "unit_lines": """\
Description=Airbyte client gateway
Requires=gateway.socket
After=gateway.socket network-online.target
""",
    "start_limit_lines": """\
# Never given up: a stopped service with an open socket would be started at once by the next caller.
StartLimitIntervalSec=0
""",
    "listener_lines": "Sockets=gateway.socket\n",
    "install_lines": "Also=gateway.socket\n",
}
"""What only the service with a socket of systemd's has."""
INSTANCE = {
    "unit_lines": """\
# One of several gateways behind nginx, named for its port: gateway@8080.service, gateway@8081.service
Description=Airbyte client gateway on port %i
After=network-online.target
""",
    "start_limit_lines": """\
# Never given up: what they share may be unavailable for longer than a few starts take.
StartLimitIntervalSec=0
""",
    "listener_lines": """\
# No socket of systemd's: while one instance restarts, nginx asks the others.
Environment=GATEWAY_SERVER_PORT=%i
""",
    "install_lines": "",
}
"""What only an instance of the template has."""
CREDENTIAL_TEXT = """\
# Not LoadCredential: what ExecReload runs cannot read its copy (systemd 252), and a reload would not see a new secret.
Environment={variable}
"""


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from machine to machine. `credential` is the secret setting that has a file of its own, if any."""

    program: tuple[str, ...] = ("/opt/gateway/bin/gateway",)
    settings: str = "/etc/gateway/settings.toml"
    user: str = "gateway"
    listen: str = "127.0.0.1:8080"
    database_folder: str = STATE_FOLDER
    credential: Credential = "client_secret"
    ports: tuple[int, ...] = ()
    """Of several gateways, an instance of the template for each; none for one gateway with a socket."""

    @property
    def secret_file(self) -> str:
        """Where the operator keeps the secret: only root may write it, only the service may read it."""
        return f"{PurePath(self.settings).parent}/{_credential_id(self)}"


def unit_files(installation: Installation) -> dict[str, str]:
    """Return the text of each unit file by its path. Raises InvalidInput for a user or path that no unit can name."""
    if USER_NAME.fullmatch(installation.user) is None:
        raise InvalidInput(f"{installation.user!r} is no name of a system user")
    for text in _paths(installation):
        if not text.isprintable():
            raise InvalidInput(f"{text!r} cannot stand in a unit file")
    if installation.ports:
        return {f"{UNIT_FOLDER}/{TEMPLATE_UNIT}": service_unit(installation)}
    return {
        f"{UNIT_FOLDER}/{SERVICE}": service_unit(installation),
        f"{UNIT_FOLDER}/{SOCKET}": socket_unit(installation),
    }


def instance_name(port: int) -> str:
    """Return the name of the unit that serves on `port`."""
    return TEMPLATE_UNIT.replace("@", f"@{port}")


def socket_unit(installation: Installation) -> str:
    """Return the unit by which systemd listens for the gateway."""
    return SOCKET_TEXT.format(listen=installation.listen)


def service_unit(installation: Installation) -> str:
    """Return the unit of the gateway: a template with an instance for each port, if there are several."""
    named = ("--settings", installation.settings)
    return SERVICE_TEXT.format(
        **(INSTANCE if installation.ports else ALONE),
        command=command_line(*installation.program, "serve", *named),
        check=command_line(*installation.program, "config", "--check", *named),
        account=account(installation),
        credential_lines=_credential_lines(installation),
        sandbox=sandbox(installation),
    )


def account(installation: Installation) -> str:
    """Return the lines that say as whom a service runs, and where what it keeps lies."""
    return ACCOUNT_TEXT.format(user=installation.user)


def sandbox(installation: Installation, *more: str) -> str:
    """Return the lines that leave a service what it needs: the database's folder and `more` to write to."""
    folders = (*more, *filter(_is_elsewhere, [installation.database_folder]))
    return SANDBOX_TEXT.format(
        writable_lines="".join(f"ReadWritePaths={_quoted(folder)}\n" for folder in folders),
        temporary=TEMPORARY,
        protect_home="read-only" if any(map(is_in_a_home, _paths(installation))) else "yes",
    )


def _credential_id(installation: Installation) -> str:
    return f"airbyte-{installation.credential.replace('_', '-')}"


def _credential_lines(installation: Installation) -> str:
    if not installation.credential:
        return ""
    variable = f"GATEWAY_AIRBYTE_{installation.credential.upper()}_FILE={_escaped(installation.secret_file)}"
    return CREDENTIAL_TEXT.format(variable=_assignment(variable))


def _is_elsewhere(folder: str) -> bool:
    return not PurePath(folder).is_relative_to(STATE_FOLDER)


def out_of_reach(installation: Installation, *more: str) -> Iterator[str]:
    """Yield a warning for each path, the installation's and `more`, that its service may be unable to use."""
    for path in dict.fromkeys((*_paths(installation), *more)):
        if PurePath(path).is_relative_to(TEMPORARY):
            yield f"{path}: the service has a {TEMPORARY} of its own and cannot see this; move it, for example to /opt"
        elif is_in_a_home(path):
            yield f"{path}: as a rule a home is closed to other users, so to {installation.user}; move it, as to /opt"


def _paths(installation: Installation) -> tuple[str, ...]:
    return (*installation.program, installation.settings, installation.database_folder)


def is_in_a_home(path: str) -> bool:
    """Return whether the path lies in a user's home."""
    return any(PurePath(path).is_relative_to(home) for home in HOMES)


def command_line(*words: str) -> str:
    """Return the words as systemd reads a command (systemd.service(5))."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """Quote one word of a command line; see systemd.service(5)."""
    escaped = _escaped(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return escaped if re.fullmatch(r"[^\s\"'\\;]+", escaped) else f'"{escaped}"'


def _assignment(text: str) -> str:
    """Quote an assignment of Environment=, in which a dollar sign has no meaning."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return text if re.fullmatch(r"[^\s\"'\\]+", text) else f'"{escaped}"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
