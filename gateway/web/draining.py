"""That the server stops soon: said by the server, seen by whatever answers, through the state of ASGI's lifespan."""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

_DRAINING = "gateway.draining"
_STOP_WAITING = "gateway.stop_waiting"


def waiting_state(stop_waiting: Callable[[], None]) -> Mapping[str, Any]:
    """Return what the lifespan adds to its state, so that the server can have all who wait for a job answered."""
    return {_STOP_WAITING: stop_waiting}


def stop_waiting(state: Mapping[str, Any]) -> None:
    """Have all who wait for a job answered now: a stop waits for requests under way, and may not take a minute."""
    if _STOP_WAITING in state:
        state[_STOP_WAITING]()


def begin_draining(state: MutableMapping[str, Any]) -> None:
    """Note that the server stops soon. `state` is the lifespan's own; each later request has a copy of it."""
    state[_DRAINING] = True


def is_draining(state: Mapping[str, Any]) -> bool:
    """Return whether the server is about to stop."""
    return _DRAINING in state
