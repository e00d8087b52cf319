"""An event loop whose time passes only while all wait, and then at once: what takes minutes is a test of no time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


class _JumpingSelector(selectors.SelectSelector):
    """Never waits for its files: there are none but the loop's own."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "all wait for what nobody will do"
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop for tests without network and threads."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run_in_virtual_time(scene: Coroutine[Any, Any, Value]) -> Value:
    """Return what `scene` returns, without its sleeping."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scene)
