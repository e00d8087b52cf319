"""How far long work on a database is, for whoever waits: a person at a terminal, or a supervisor."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is to do."""


def ignore_progress(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""
