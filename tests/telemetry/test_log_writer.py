"""The log of a process that must not wait for whoever reads it: over real pipes."""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Thread

import pytest
import structlog

from gateway.telemetry.log import configure_log
from gateway.telemetry.log_writer import LogWriter
from gateway.telemetry.timings import LogTimings
from tests.cli.conftest import wait_until
from tests.support import BOUND_SECONDS

PIPE_BYTES = 4096
LINE = "x" * 99 + "\n"
PATIENT = LogTimings(close=BOUND_SECONDS)


@dataclass
class Pipe:
    """The smallest there is, with a reader that stands still until a test reads."""

    reads: int
    writes: int

    def read_to_end(self) -> bytes:
        os.close(self.writes)
        with open(self.reads, "rb", closefd=False) as stream:
            return stream.read()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    yield Pipe(reads, writes)
    os.close(reads)


def test_lines_come_whole_and_in_their_order(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writes, PATIENT)

    for number in range(100):
        writer.write(f"{number}\n")
    writer.close()

    assert pipe.read_to_end() == "".join(f"{number}\n" for number in range(100)).encode()


def test_nobody_waits_for_a_reader_that_stands_still(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writes, LogTimings(close=0.0), most_bytes=10 * PIPE_BYTES)

    for _ in range(1000):
        writer.write(LINE)
    writer.close()

    seen = len(os.read(pipe.reads, PIPE_BYTES))
    assert seen == PIPE_BYTES, "full: whoever wrote by himself would stand still"


def test_lost_lines_are_counted_and_told_when_it_flows_again(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writes, PATIENT, most_bytes=10 * PIPE_BYTES)
    configure_log(level="info", style="json", stream=writer)
    for _ in range(1000):
        writer.write(LINE)
    taken: list[bytes] = []

    def read() -> None:
        while piece := os.read(pipe.reads, PIPE_BYTES):
            taken.append(piece)

    reader = Thread(target=read)
    reader.start()
    wait_until(lambda: b"log_lines_lost" in b"".join(taken))
    writer.close()
    structlog.get_logger().info("afterwards")
    writer.close()
    os.close(pipe.writes)
    reader.join(BOUND_SECONDS)

    lines = b"".join(taken).decode().splitlines(keepends=True)
    kept = lines.count(LINE)
    lost, afterwards = (json.loads(line) for line in lines[kept:])
    assert (lost["event"], lost["level"], lost["count"]) == ("log_lines_lost", "warning", 1000 - kept)
    assert afterwards["event"] == "afterwards"
    assert 0 < kept < 1000


def test_a_descriptor_that_was_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.writes, False)
    writer = LogWriter(pipe.writes, PATIENT)
    writer.write(LINE * 100)

    seen = b""
    while len(seen) < 100 * len(LINE):
        seen += os.read(pipe.reads, PIPE_BYTES)

    assert seen == 100 * LINE.encode()


def test_a_reader_that_is_gone_ends_nothing() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    writer = LogWriter(writes, PATIENT)

    writer.write(LINE)
    writer.close()
    writer.write(LINE)
    writer.close()

    os.close(writes)
