#!/usr/bin/env bash
# uvloop 0.23.0: loop.create_connection takes neither happy_eyeballs_delay nor interleave, which asyncio's own loop has
# had since Python 3.8 (RFC 8305), and raises TypeError. Without them the addresses of a name are tried one after the
# other, each until the system gives up. So code that runs well on asyncio fails at the switch to uvloop, and a host with
# a silent first address needs a time-out of its own for each address.
# Seen on 30 November 2026 with Python 3.11:
#   asyncio: connected
#   uvloop: TypeError: create_connection() got an unexpected keyword argument 'happy_eyeballs_delay'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

import uvloop


async def connect():
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, "127.0.0.1", port, happy_eyeballs_delay=0.25
        )
        transport.close()
        return "connected"
    except TypeError as error:
        return f"TypeError: {error}"
    finally:
        server.close()


plain = asyncio.run(connect())
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    fast = runner.run(connect())
print(f"asyncio: {plain}\nuvloop: {fast}")
sys.exit(0 if plain == "connected" and "happy_eyeballs_delay" in fast else 1)
PYTHON
