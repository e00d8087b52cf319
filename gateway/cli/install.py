"""`gateway install`: make systemd run the gateway."""

import difflib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from gateway.cli.chosen_settings import CREDENTIAL_FILES
from gateway.cli.main import Start
from gateway.cli.options import confirm, environment_of_programs, json_option, unit_folder, yes_option
from gateway.cli.output import print_json
from gateway.deployment.installed import find_installed, read_environment
from gateway.deployment.planning import PlannedInstallation, below, planned_installation
from gateway.deployment.preparation import Machine, Step, closed_programs, find_machine, init_step, missing_steps
from gateway.deployment.systemd import (
    SERVICE,
    SOCKET,
    STATE_FOLDER,
    Installation,
    instance_name,
    out_of_reach,
    unit_files,
)
from gateway.deployment.systemd_backup import BACKUP_TIMER, backup_unit_files
from gateway.errors import OperatorError
from gateway.models import SocketAddress
from gateway.settings.addresses import host_of, reachable_host

DEFAULTS = Installation()
DATABASE_HERE = "gateway.db"
MOST_INSTANCES = 64
SYSTEM_PROGRAMS = ("/usr/sbin", "/sbin")
SOCKET_IN_THE_WAY = f"Where {SOCKET} was in use, it holds the first port: systemctl disable --now {SOCKET} {SERVICE}"


@click.command()
@click.option("--systemd", is_flag=True, help="Unit files: a service, and a socket that outlives it.")
@click.option(
    "--instances",
    type=click.IntRange(1, MOST_INSTANCES),
    metavar="N",
    help="Several gateways instead: a template unit, and a port each from server.port on.",
)
@click.option("--settings", type=click.Path(path_type=Path, dir_okay=False), help=f"Default: {DEFAULTS.settings}.")
@click.option("--user", default=DEFAULTS.user, show_default=True, help="System user to run as.")
@click.option("--program", type=click.Path(path_type=Path), help="Instead of the program that runs now.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default="/",
    show_default=True,
    help="Folder that stands for / while files are read and written; for packages.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be written and run.")
@json_option
@yes_option
def install(
    *,
    systemd: bool,
    instances: int | None,
    settings: Path | None,
    user: str,
    program: Path | None,
    root: Path,
    dry_run: bool,
    as_json: bool,
    yes: bool,
) -> None:
    """Make systemd run this gateway: user, folders, settings, database and unit files, whatever is missing.

    Nothing that is there is changed unasked. Below another --root only the unit files are written.

    Example: gateway install --systemd --settings /etc/gateway/settings.toml --dry-run
    """
    if not systemd:
        raise click.UsageError("say what to install: --systemd")
    root = root.resolve()
    is_this_machine = root == Path("/")
    _require_root(is_needed=is_this_machine and not dry_run)
    start: Start = click.get_current_context().find_root().obj
    path = (Path.cwd() / (settings or start.settings or DEFAULTS.settings)).absolute()
    variables = _variables_kept(path) if is_this_machine else {}
    command = (str(program),) if program else _this_program()
    planned = planned_installation(path, variables, root=root, program=command, user=user, instances=instances)
    steps = missing_steps(planned.installation, planned.database, machine := find_machine(root, user))
    files = _files(planned.installation, root)
    before = {path: _text_of(path) for path in files}
    _warn(planned, machine, None if program else os.path.realpath(sys.executable))
    _show(files, before, is_dry=dry_run, as_json=as_json)
    if not dry_run:
        _confirm_changes(files, before, steps if is_this_machine else (), yes=yes)
        if is_this_machine:
            _run(steps)
        for path, text in files.items():
            _write(path, text, is_same=text == before[path])
    _say_what_is_next(planned, machine, () if is_this_machine and not dry_run else steps)


def _files(installation: Installation, root: Path) -> dict[Path, str]:
    """Return what each file is to hold."""
    units = unit_files(installation) | backup_unit_files(installation)
    return {below(root, path): text for path, text in units.items()}


def _variables_kept(settings: Path) -> dict[str, str]:
    """Return the variables of the service that is installed, which its drop-ins keep. Raises SettingsError."""
    unit = find_installed(unit_folder())
    if unit is None or unit.settings != settings:
        return {}
    return {name: value for name, value in read_environment(unit).items() if name not in CREDENTIAL_FILES}


def _require_root(*, is_needed: bool) -> None:
    if is_needed and os.geteuid() != 0:
        raise OperatorError("this makes a user and folders: give it as root, or see what it would do with --dry-run")


def _show(files: dict[Path, str], before: dict[Path, str | None], *, is_dry: bool, as_json: bool) -> None:
    if as_json:
        states = {path: _state(before[path], text) for path, text in files.items()}
        print_json([{"path": str(path), "state": states[path], "content": text} for path, text in files.items()])
    elif is_dry:
        for path, text in files.items():
            click.echo(f"# {path}\n{text}")


def _warn(planned: PlannedInstallation, machine: Machine, python: str | None) -> None:
    """Tell what is assumed, and what the service may be unable to use.

    A virtual environment is a link to the `python` that runs it.
    """
    installation = planned.installation
    if not planned.has_settings:
        assumed = f"the defaults are assumed, and a database in {STATE_FOLDER}"
        click.echo(f"{installation.settings} is not there yet: {assumed}.", err=True)
    pythons = [python] if python else []
    programs = [path for path in (*installation.program, *pythons) if path.startswith("/")]
    for warning in (*out_of_reach(installation, *pythons), *closed_programs(programs, installation.user, machine)):
        click.echo(f"Warning: {warning}", err=True)
    if not Path(installation.settings).exists() and Path(DATABASE_HERE).exists():
        click.echo(
            f"Warning: {DATABASE_HERE} of this folder stays unused. To serve it: --settings settings.toml", err=True
        )


def _this_program() -> tuple[str, ...]:
    if getattr(sys, "frozen", False):
        return (sys.executable,)
    started = Path(sys.argv[0]).absolute()
    return (sys.executable, "-m", "gateway") if started.suffix == ".py" else (str(started.resolve()),)


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path}: cannot be read: {error}") from None


def _state(before: str | None, text: str) -> str:
    if before is None:
        return "new"
    return "same" if before == text else "different"


def _confirm_changes(
    files: dict[Path, str], before: dict[Path, str | None], steps: tuple[Step, ...], *, yes: bool
) -> None:
    for step in steps:
        if step.changes_existing:
            confirm(f"Run {step}?", yes=yes)
    for path, text in files.items():
        old = before[path]
        if old is not None and old != text:
            lines = difflib.unified_diff(
                old.splitlines(), text.splitlines(), str(path), "would be written", lineterm=""
            )
            click.echo("\n".join(lines), err=True)
            confirm(f"Replace {path}?", yes=yes)


def _run(steps: tuple[Step, ...]) -> None:
    for step in steps:
        # Not in this folder: the service's user may have no right to it.
        done = subprocess.run(  # noqa: S603 - our own words
            step.command,
            input=step.reads.encode(),
            stdout=subprocess.DEVNULL,
            cwd="/",
            env=_with_system_programs(environment_of_programs()),
            check=False,
        )
        if done.returncode:
            raise OperatorError(f"this failed: {step}")
        click.echo(f"Done: {shlex.join(step.command)}", err=True)


def _with_system_programs(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which `useradd` is found too: a root by plain `su` has the PATH of another user."""
    return {**environment, "PATH": os.pathsep.join([environment.get("PATH", os.defpath), *SYSTEM_PROGRAMS])}


def _write(path: Path, text: str, *, is_same: bool) -> None:
    if is_same:
        click.echo(f"{path} is as it should be.", err=True)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
    except OSError as error:
        raise OperatorError(f"{path}: cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {path}.", err=True)


def _say_what_is_next(planned: PlannedInstallation, machine: Machine, steps: tuple[Step, ...]) -> None:
    """Print the commands that are left to type: `steps`, and those that need what only the operator knows."""
    installation = planned.installation
    command = " ".join(installation.program)
    once = [*map(str, steps), *_to_fill_in(planned, machine)]
    units = [instance_name(port) for port in installation.ports] or [SOCKET, SERVICE]
    each = [f"{command} doctor", "systemctl daemon-reload", f"systemctl enable --now {' '.join(units)}"]
    each.append(f"systemctl enable --now {BACKUP_TIMER}   # on one machine: a backup every night")
    if installation.ports:
        options = f"--server-name NAME --settings {installation.settings} {_upstream_options(installation)}"
        each.append(f"{command} nginx-config {options}")
    lines = ["Once:", *(f"  {line}" for line in once)] if once else []
    lines += ["Then:", *(f"  {line}" for line in each)]
    if installation.ports:
        lines.append(SOCKET_IN_THE_WAY)
    click.echo("\n".join(lines), err=True)


def _to_fill_in(planned: PlannedInstallation, machine: Machine) -> Iterator[str]:
    """Yield what only the operator knows, unless it is there: a secret typed in vain would replace the right one."""
    installation = planned.installation
    if not planned.has_identity:
        yield f"vi {installation.settings}   # base_url and client_id of [airbyte]"
    if installation.credential and not machine.is_filled(installation.secret_file):
        yield f"cat > {installation.secret_file}   # then type the secret, Enter and Ctrl-D"
    if planned.database is None:
        yield f"{init_step(installation)}   # if the database is new"


def _upstream_options(installation: Installation) -> str:
    """Return the options by which nginx finds each instance."""
    host = reachable_host(host_of(installation.listen))
    return " ".join(f"--upstream {SocketAddress(host, port)}" for port in installation.ports)
