"""`gateway completion`: print what makes a shell complete the commands."""

from typing import Literal

import click
from click.shell_completion import get_completion_class

VARIABLE = "_GATEWAY_COMPLETE"
"""By it the shell asks the program, and click answers."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print what makes SHELL complete commands and options of gateway.

    For zsh it goes into a file _gateway in a folder of $fpath, for fish into ~/.config/fish/completions/gateway.fish.

    Example: gateway completion bash > ~/.local/share/bash-completion/completions/gateway
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"{shell} is not known")
    source = kind(context.find_root().command, {}, "gateway", VARIABLE)
    # Not `source()`: for bash it asks which version is installed here, not where the answer is used.
    click.echo(source.source_template % source.source_vars())
