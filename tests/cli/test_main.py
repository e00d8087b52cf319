"""The command `gateway` itself, and what all commands have in common."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import click
import pytest

from gateway import __version__
from gateway.cli.main import COMMANDS, gateway
from tests.cli.conftest import Cli, environment, finished, invoke, refusal_of
from tests.support import BOUND_SECONDS, PROGRAM

SLOW_IMPORTS = ("starlette", "httpx2", "aiosqlite", "uvicorn")


def commands_below(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    """Each command that does something, by the words that call it."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from commands_below(child, *path, name)


LEAVES = list(commands_below(gateway))


def test_help_names_every_command() -> None:
    result = invoke("--help")

    assert result.exit_code == 0
    for name, summary in COMMANDS.items():
        assert name in result.stdout
        assert summary in result.stdout


@pytest.mark.parametrize("question", ["--help", "-h", "--version"])
def test_help_and_version_are_told_without_loading_the_server(question: str, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from gateway.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        f"print([name for name in {SLOW_IMPORTS!r} if name in sys.modules])\n"
    )

    answer = subprocess.run(
        [sys.executable, "-c", program, question],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.splitlines()[-1] == "[]"


def test_version_is_one_line_that_tells_of_what_it_is_made() -> None:
    result = invoke("--version")

    (line,) = result.stdout.splitlines()
    assert line.startswith(f"gateway {__version__} (Commit ")
    for part in ("Python", "SQLite", "OpenSSL"):
        assert re.search(rf", {part} \d+\.\d+", line)


def test_no_command_at_all_shows_the_help_and_exits_2() -> None:
    result = invoke()

    assert result.exit_code == 2
    assert "Commands:" in result.output


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["client", "nonsense"], ["--nonsense"], ["client", "list", "--nonsense"], ["client", "add"]],
)
def test_what_is_no_command_exits_2_and_says_so_on_stderr(arguments: list[str]) -> None:
    result = invoke(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr


def test_the_commands_that_need_a_test_of_their_own_are_these() -> None:
    assert {" ".join(path) for path in LEAVES} >= {
        "demo",
        "serve",
        "sandbox",
        "init",
        "client add",
        "client list",
        "client remove",
        "connection add",
        "connection list",
        "connection map",
        "connection remove",
        "connection import",
        "key create",
        "key list",
        "key revoke",
        "key rotate",
        "doctor",
    }


def example_of(path: tuple[str, ...], **environment: str) -> list[str]:
    """The words of the one example in a command's help."""
    result = invoke(*path, "--help", env=environment)
    examples = [line for line in result.stdout.splitlines() if line.startswith("  Example: ")]
    assert (result.exit_code, len(examples)) == (0, 1), path
    return shlex.split(examples[0].partition("Example: ")[2])


def test_every_command_explains_itself_with_an_example() -> None:
    assert [path for path in LEAVES if example_of(path)[: len(path) + 1] != ["gateway", *path]] == []


@pytest.mark.parametrize("group", sorted({path[0] for path in LEAVES}))
def test_an_example_can_be_pasted(group: str) -> None:
    """In one line, with all that the command needs, however narrow the terminal is."""
    for path in (each for each in LEAVES if each[0] == group):
        _, *words = example_of(path, COLUMNS="40")
        words = words[: words.index(">")] if ">" in words else words
        context = gateway.make_context("gateway", list(words))

        command_at(path).make_context(path[-1], words[len(path) :], parent=context)


def command_at(path: tuple[str, ...]) -> click.Command:
    command: click.Command = gateway
    for name in path:
        assert isinstance(command, click.Group)
        child = command.get_command(click.Context(command), name)
        assert child is not None
        command = child
    return command


def test_every_option_without_an_obvious_value_is_explained() -> None:
    silent = {
        (*path, option.name)
        for path in LEAVES
        for option in command_at(path).params
        if isinstance(option, click.Option) and not option.help and not option.show_default
    }

    assert silent == set()


@pytest.mark.parametrize("name", ["client", "connection", "key"])
def test_every_group_lists_its_commands(name: str) -> None:
    result = invoke(name, "--help")

    assert result.exit_code == 0
    assert "list" in result.stdout


def test_it_runs_as_a_module_too(tmp_path: Path) -> None:
    result = finished("--version", folder=tmp_path)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"gateway {__version__} ")


def test_an_error_is_one_line_on_stderr_with_exit_1_and_no_traceback(tmp_path: Path) -> None:
    result = finished("client", "list", folder=tmp_path)

    assert result.returncode == 1
    assert result.stdout == ""
    path = tmp_path.resolve() / "gateway.db"
    assert result.stderr == f"Error: {path}: no such database; create it with: gateway init\n"


@pytest.mark.parametrize("words", [["config"], ["--help"], ["export"], ["client", "list", "--json"]])
def test_output_that_cannot_be_written_is_one_line(cli: Cli, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, *words, *([] if words == ["--help"] else ["--settings", str(cli.settings)])],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=BOUND_SECONDS,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, "Error: standard output: No space left on device\n")


@pytest.mark.parametrize("words", [["config"], ["--help"], ["export", "-"], ["client", "list", "--json"]])
def test_output_that_is_closed_is_one_line(cli: Cli, words: list[str]) -> None:
    done = redirected(cli, words, ">&-")

    assert (done.returncode, done.stderr) == (1, "Error: standard output: Bad file descriptor\n")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>&- <&-"])
@pytest.mark.parametrize("words", [["client", "list"], ["init"], ["nginx-config", "--server-name", "a.example"]])
def test_messages_that_nobody_can_read_change_no_outcome(cli: Cli, words: list[str], redirection: str) -> None:
    expected, done = (redirected(cli, words, each) for each in ("", redirection))

    assert (done.returncode, done.stdout, done.stderr) == (expected.returncode, expected.stdout, "")
    assert expected.stderr


def test_no_other_file_gets_the_number_of_a_closed_stream(cli: Cli) -> None:
    """A library that writes to standard error would write into it."""
    script = "import os; from gateway.cli.standard_streams import prepare_standard_streams as prepare; prepare(); "
    script += "raise SystemExit(os.open('/', os.O_RDONLY))"

    done = subprocess.run(["/bin/sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-c", script], check=False)

    assert done.returncode == 3


def redirected(cli: Cli, words: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    """The program, started by a shell with this redirection."""
    settings = [] if words == ["--help"] else ["--settings", str(cli.settings)]
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *PROGRAM, *words, *settings],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )


def test_a_locale_that_knows_few_letters_breaks_no_listing(cli: Cli) -> None:
    cli.ok("client", "add", "--name", "Müller €", "--slug", "acme")
    cli.ok("key", "create", "--client", "acme", "--name", "Zoë")

    listed = raw_output(cli, "key", "list").decode("latin-1")
    as_json = json.loads(raw_output(cli, "client", "list", "--json").decode())
    manifest = tomllib.loads(raw_output(cli, "export").decode())

    assert re.search(r"  smrt_\w{4}\\u2026  Zoë  ", listed)
    assert as_json[0]["name"] == manifest["clients"]["acme"]["name"] == "Müller €"


def raw_output(cli: Cli, *words: str) -> bytes:
    """What the program writes where its output is Latin-1."""
    return subprocess.run(
        [*PROGRAM, *words, "--settings", str(cli.settings)],
        env=environment(PYTHONIOENCODING="latin-1"),
        capture_output=True,
        timeout=BOUND_SECONDS,
        check=True,
    ).stdout


KEY = "smrt_" + "0123456789" * 3 + "abcdef"


@pytest.mark.parametrize(
    "words",
    [
        ["key", "rotate", KEY],
        ["key", "revoke", KEY],
        ["connection", "rename", KEY, "--label", "L"],
        ["client", "disable", KEY],
        ["key", "list", KEY],
        ["key", "create", "--client", "acme", "--name", "n", "--scope", KEY],
        [KEY],
    ],
    ids=" ".join,
)
def test_a_key_in_the_wrong_place_is_not_repeated(cli: Cli, words: list[str]) -> None:
    result = cli(*words)

    assert result.exit_code in {1, 2}
    assert KEY[:20] not in result.output


def test_rows_go_to_stdout_and_remarks_to_stderr(cli: Cli) -> None:
    result = finished("client", "list", folder=cli.folder)

    assert result.returncode == 0
    assert result.stdout == ""
    assert result.stderr == "No clients yet; see: gateway client add --help\n"


@pytest.mark.parametrize("group", ["client", "connection", "key"])
def test_an_empty_listing_is_still_json_when_asked_for(cli: Cli, group: str) -> None:
    assert cli.json(group, "list") == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[server]\nprot = 1\n", ["unknown key 'prot'", "[server]", "port"]),
        ("[srever]\nport = 1\n", ["unknown table [srever]", "server"]),
        ('[server]\nport = "8080"\n', ["server.port", "expected `int`"]),
        ("[server]\nport = 65536\n", ["server.port", "<= 65535"]),
        ("[airbyte]\nclient_secret = 7\n", ["airbyte.client_secret", "expected `str`"]),
        ('[airbyte]\nauth = "magic"\n', ["airbyte.auth", "client_credentials", "basic", "none"]),
        ('[airbyte]\nbase_url = "localhost:8000"\n', ["airbyte.base_url", "http"]),
        ('[database]\nurl = "postgres://x"\n', ["database.url", "sqlite:///"]),
        ("[server\n", ["not valid TOML"]),
        ("server = 3\n", ["server", "expected a table"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_file_and_what_was_expected(
    tmp_path: Path, content: str, words: list[str]
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content)

    line = refusal_of(invoke("--settings", str(path), "client", "list"))

    for word in [str(path.resolve()), *words]:
        assert word in line


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"

    assert refusal_of(invoke("--settings", str(path), "client", "list")) == f"{path}: no such settings file"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("GATEWAY_SERVER_PORT", "many", ["GATEWAY_SERVER_PORT", "expected `int`"]),
        ("GATEWAY_SERVER_PROT", "1", ["GATEWAY_SERVER_PROT", "unknown key"]),
        ("GATEWAY_AIRBYTE_CLIENT_SECRET_FILE", "/nowhere/secret", ["GATEWAY_AIRBYTE_CLIENT_SECRET_FILE"]),
    ],
)
def test_a_wrong_variable_of_the_environment_is_named(cli: Cli, variable: str, value: str, words: list[str]) -> None:
    line = refusal_of(invoke("--settings", str(cli.settings), "client", "list", env={variable: value}))

    for word in words:
        assert word in line


def test_the_environment_overrides_the_file(cli: Cli) -> None:
    other = {"GATEWAY_DATABASE_URL": "sqlite:///other.db"}

    line = refusal_of(invoke("--settings", str(cli.settings), "client", "list", env=other))

    assert line.startswith(str(cli.folder.resolve() / "other.db"))


def test_settings_may_stand_before_and_after_the_command(cli: Cli, tmp_path: Path) -> None:
    cli.ok("client", "add", "--name", "Acme", "--slug", "acme")
    with chdir("/"):
        before = invoke("--settings", str(cli.settings), "client", "list")
        after = invoke("client", "list", "--settings", str(cli.settings))

    assert before.exit_code == after.exit_code == 0
    assert before.stdout == after.stdout
    assert "acme" in after.stdout


def test_settings_after_the_command_win_over_those_before(cli: Cli) -> None:
    elsewhere = cli.folder / "elsewhere.toml"
    elsewhere.write_text('[database]\nurl = "sqlite:///elsewhere.db"\n')

    line = refusal_of(invoke("--settings", str(cli.settings), "client", "list", "--settings", str(elsewhere)))

    assert line.startswith(str(cli.folder.resolve() / "elsewhere.db"))


def test_settings_toml_of_the_working_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('[database]\nurl = "sqlite:///found.db"\n')
    with chdir(tmp_path):
        assert invoke("init").exit_code == 0

    assert (tmp_path / "found.db").exists()


def test_without_any_settings_file_the_defaults_hold(tmp_path: Path) -> None:
    with chdir(tmp_path):
        assert invoke("init").exit_code == 0

    assert (tmp_path / "gateway.db").exists()


def test_a_relative_database_path_starts_at_the_settings_file(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere, home / "data"):
        folder.mkdir()
    (home / "settings.toml").write_text('[database]\nurl = "sqlite:///data/gateway.db"\n')
    with chdir(elsewhere):
        assert invoke("--settings", "../home/settings.toml", "init").exit_code == 0

    assert (home / "data" / "gateway.db").exists()
    assert list(elsewhere.iterdir()) == []


def test_an_absolute_database_path_stays_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "settings.toml").write_text(f'[database]\nurl = "sqlite:///{tmp_path}/absolute.db"\n')

    assert invoke("--settings", str(home / "settings.toml"), "init").exit_code == 0

    assert (tmp_path / "absolute.db").exists()
