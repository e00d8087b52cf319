"""That the server stops soon: said by the server, seen by whatever answers, through the state of ASGI's lifespan."""

from collections.abc import Mapping, MutableMapping
from typing import Any

_DRAINING = "gateway.draining"


def begin_draining(state: MutableMapping[str, Any]) -> None:
    """`state` is the lifespan's own; each later request has a copy of it."""
    state[_DRAINING] = True


def is_draining(state: Mapping[str, Any]) -> bool:
    return _DRAINING in state
