"""What keys were used for, and how much there is of everything."""

import msgspec


class KeyUsage(msgspec.Struct, frozen=True):
    """Calls of one key over a period: `limited` were answered 429, `errors` are all other answers from 400 on."""

    key_id: str
    calls: int
    limited: int
    errors: int


class HourUsage(msgspec.Struct, frozen=True):
    """Calls of all keys of a client in the hour that began at `hour`."""

    hour: str
    calls: int
    limited: int
    errors: int


class KeyHour(msgspec.Struct, frozen=True):
    """Calls of one key, its name and first characters beside them, in the hour that began at `hour`."""

    hour: str
    key_id: str
    name: str
    start: str
    calls: int
    limited: int
    errors: int


class KeyCaller(msgspec.Struct, frozen=True):
    """An address from which a key was called, and the program, empty where it did not say.

    `last_at` may be an hour old.
    """

    address: str
    agent: str
    first_at: str
    last_at: str


class ClientTotals(msgspec.Struct, frozen=True):
    """How much a client has and does. `keys` are those that work."""

    connections: int
    keys: int
    users: int
    calls: int


class Totals(msgspec.Struct, frozen=True):
    """How much the whole installation has. `keys` are those that work, of disabled clients too."""

    clients: int
    disabled_clients: int
    connections: int
    unmapped_connections: int
    keys: int
    users: int
    database_bytes: int
