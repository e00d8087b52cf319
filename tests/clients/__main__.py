"""Let clients talk to a served gateway: `python -m tests.clients [--record] [CLIENT …]`, after `make test-clients`.

Each must find what its driver expects, and every answer to it must be its tenant's and as Airbyte's documents have it.
With `--record` what was said becomes the recording that `make test` replays.
"""

import argparse
import sys

from tests.clients.catalog import CLIENTS, Client
from tests.clients.checks import assert_documented, assert_own
from tests.clients.live import perform


def attempt(client: Client, *, record: bool) -> bool:
    """Return whether all is as it must be; say so, and what is not."""
    try:
        recording, scene = perform(client)
        assert recording.packages == client.pins
        for exchange in recording.exchanges:
            assert_own(exchange, scene)
            assert_documented(exchange)
    except AssertionError as error:
        sys.stdout.write(f"FAILED {client.name}\n{error}\n")
        return False
    if record:
        recording.save()
    versions = ", ".join(f"{name} {version}" for name, version in recording.packages.items())
    sys.stdout.write(f"ok     {client.name}: {sum(1 for _ in recording.exchanges)} exchanges, {versions}\n")
    sys.stdout.flush()
    return True


def main() -> int:
    """Return 0 if every client got along, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the recordings anew")
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help="else all")
    options = parser.parse_args()
    chosen = [client for client in CLIENTS if not options.clients or client.name in options.clients]
    results = [attempt(client, record=options.record) for client in chosen]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
