"""`gateway serve` that writes at its end how often it asked the database for a key: `python -m bench.counted FILE`."""

import sys
from pathlib import Path

from gateway.cli.main import gateway
from gateway.models import Principal
from gateway.store.tables.api_keys import ApiKeys

load = ApiKeys._load  # noqa: SLF001 - what asks the database; all else is a cache before it


def serve(counted: Path, arguments: list[str]) -> None:
    reads = 0

    async def load_counted(directory: ApiKeys, digest: bytes) -> Principal | None:
        nonlocal reads
        reads += 1
        return await load(directory, digest)

    ApiKeys._load = load_counted  # type: ignore[method-assign,assignment]  # noqa: SLF001 - counts, and does what it did
    try:
        gateway(["serve", *arguments])
    finally:
        counted.write_text(str(reads))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2:])
