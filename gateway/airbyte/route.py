"""The way to Airbyte, beside its address."""

from pathlib import Path

import msgspec


class Route(msgspec.Struct, frozen=True):
    """`ca_file` names authorities that are believed beside the machine's."""

    ca_file: Path | None = None


DIRECT = Route()
