#!/usr/bin/env bash
# redis 8.1.0 (redis-py), asyncio client: `socket_timeout` is an asyncio deadline, so it also counts the time in which the
# program's own event loop stood still. An answer that came in time, and lies in the socket when the loop goes on, is
# thrown away, its connection is closed, and the server is blamed: "TimeoutError: Timeout reading from 127.0.0.1:...".
# The blocking client with the same timeout, in a program that stands still for as long, returns the answer.
# A rate limiter that takes this for an outage falls back on a healthy server whenever its own machine is short of time.
# Here a server answers PING after 0.1 s, the timeout is 0.3 s, and the program does something else from 0 to 0.6 s.
# Seen on 1 December 2026 with Python 3.11, 3.12 and 3.13:
#   asyncio: TimeoutError
#   blocking: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import socket
import sys
import threading
import time

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.asyncio.retry import Retry as AsyncRetry

ANSWER_SECONDS, TIMEOUT_SECONDS, STAND_STILL_SECONDS = 0.1, 0.3, 0.6


def serve(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    """Answer whatever came in: the first command at once, so that connecting takes no time, each other one later."""
    is_first = True
    while connection.recv(4096):
        time.sleep(0 if is_first else ANSWER_SECONDS)
        is_first = False
        connection.sendall(b"+PONG\r\n")


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
address = {"host": "127.0.0.1", "port": listener.getsockname()[1], "protocol": 2, "driver_info": None}
address["socket_timeout"] = TIMEOUT_SECONDS


async def ask_while_the_loop_stands_still():
    client = redis.asyncio.Redis(**address, retry=AsyncRetry(NoBackoff(), 0))
    await client.ping()
    asking = asyncio.create_task(client.ping())
    await asyncio.sleep(0.02)
    time.sleep(STAND_STILL_SECONDS)
    try:
        return await asking
    except redis.exceptions.TimeoutError as error:
        return type(error).__name__
    finally:
        await client.aclose()


def ask_while_the_program_stands_still():
    client = redis.Redis(**address, retry=Retry(NoBackoff(), 0))
    client.ping()
    connection = client.connection_pool.get_connection()
    connection.send_command("PING")
    time.sleep(STAND_STILL_SECONDS)
    return connection.read_response() == b"PONG"


seen = (asyncio.run(ask_while_the_loop_stands_still()), ask_while_the_program_stands_still())
print("asyncio:", seen[0])
print("blocking:", seen[1])
sys.exit(0 if seen == ("TimeoutError", True) else 1)
PYTHON
