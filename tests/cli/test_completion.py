"""gateway completion, and what the shells get from it."""

import subprocess

import pytest

from tests.cli.conftest import environment, invoke
from tests.support import BOUND_SECONDS, PROGRAM


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o nosort -F _gateway_completion gateway"),
        ("zsh", "#compdef gateway"),
        ("fish", "complete --no-files --command gateway"),
    ],
)
def test_each_shell_gets_its_script(shell: str, line: str) -> None:
    script = invoke("completion", shell).stdout

    assert line in script
    assert f"_GATEWAY_COMPLETE={shell}_complete" in script


def test_another_shell_is_misuse() -> None:
    assert invoke("completion", "tcsh").exit_code == 2


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("gateway ke", ["key"]), ("gateway key re", ["revoke"]), ("gateway key create --sc", ["--scope"])],
)
def test_commands_and_options_are_completed(typed: str, offered: list[str]) -> None:
    words = typed.split()
    answer = subprocess.run(
        PROGRAM,
        env=environment(_GATEWAY_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1)),
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=True,
    )

    assert answer.stdout.splitlines() == [f"plain,{word}" for word in offered]


def test_bash_understands_its_script() -> None:
    script = invoke("completion", "bash").stdout + "complete -p gateway\n"

    done = subprocess.run(
        ["/bin/bash", "-c", script], capture_output=True, text=True, check=True, timeout=BOUND_SECONDS
    )

    assert done.stdout == "complete -o nosort -F _gateway_completion gateway\n"
