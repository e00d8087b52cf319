"""The log: one safe line for each event, whoever writes it."""

import errno
import io
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from gateway.telemetry.log import change_level, configure_log

BOM = "\ufeff"
STYLES: list[Literal["json", "console"]] = ["json", "console"]


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


class Stream(io.TextIOWrapper):
    """Standard error, as far as it was flushed."""

    def __init__(self) -> None:
        self.written = io.BytesIO()
        super().__init__(self.written, encoding="utf-8", newline="\n")

    def getvalue(self) -> str:
        return self.written.getvalue().decode("utf-8")


@pytest.fixture
def stream() -> Stream:
    """What a JSON log at level info has written."""
    target = Stream()
    configure_log(level="info", style="json", stream=target)
    return target


def events(stream: Stream) -> list[dict[str, Any]]:
    text = stream.getvalue()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def test_an_event_is_one_line_of_json_with_level_and_time(stream: Stream) -> None:
    structlog.get_logger().info("started", port=8080)

    (event,) = events(stream)
    assert event.pop("time").endswith("Z")
    assert event == {"event": "started", "level": "info", "port": 8080}


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('a\n{"event":"forged"}', '\\\\n{\\"event\\":\\"forged\\"}'),
        ("a\r\nb", "\\\\r\\\\n"),
        ("a\x00b", "\\\\x00"),
        ("a\x1b[2Jb", "\\\\x1b[2J"),
        ("a\x85b", "\\\\x85"),
        ("a\u2028b", "\\\\u2028"),
        ("a\u202eb", "\\\\u202e"),
        ("a\u2066b", "\\\\u2066"),
        ("a\u200bb", "\\\\u200b"),
        (f"a{BOM}b", "\\\\ufeff"),
        ("a\udc80b", "\\\\udc80"),
    ],
)
def test_what_could_forge_or_hide_a_line_is_escaped(stream: Stream, text: str, escaped: str) -> None:
    structlog.get_logger().info(text, label=text)

    (line,) = stream.getvalue().removesuffix("\n").split("\n")
    assert line.isprintable()
    assert line.count(escaped) == 2


def test_what_is_inside_lists_and_records_is_escaped_too(stream: Stream) -> None:
    structlog.get_logger().info("x", labels=["a\u202eb"], record={"k": "a\u2066b"})

    assert stream.getvalue().removesuffix("\n").isprintable()


def test_letters_of_every_language_stay_readable(stream: Stream) -> None:
    structlog.get_logger().info("x", label="Größe 東京 ☃")

    assert '"label":"Größe 東京 ☃"' in stream.getvalue()


def test_a_long_text_is_cut(stream: Stream) -> None:
    structlog.get_logger().info("x", label="a" * 100_000, escapes="\n" * 100_000)

    (event,) = events(stream)
    assert event["label"] == "a" * 500
    assert event["escapes"] == "\\n" * 500
    assert len(stream.getvalue()) < 5000


def test_an_exception_is_part_of_its_one_line(stream: Stream) -> None:
    try:
        raise ValueError("two\nlines \u202e")
    except ValueError:
        structlog.get_logger().exception("failed")

    (event,) = events(stream)
    assert event["event"] == "failed"
    assert event["level"] == "error"
    assert "ValueError: two\\nlines \\u202e" in event["exception"]
    assert "test_log.py" in event["exception"]


def test_what_json_cannot_say_is_said_in_words(stream: Stream) -> None:
    structlog.get_logger().info("x", path=Path("/a/b"), error=ValueError("no"))

    (event,) = events(stream)
    assert event["path"] == "/a/b"
    assert event["error"] == "no"


def test_a_number_too_large_for_json_is_logged_all_the_same(stream: Stream) -> None:
    structlog.get_logger().info("x", number=2**70)

    (event,) = events(stream)
    assert int(event["number"]) == 1_180_591_620_717_411_303_424


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_says_what_is_heard(level: str, heard: list[str]) -> None:
    stream = Stream()
    configure_log(level=level, style="json", stream=stream)
    log = structlog.get_logger()

    log.debug("x")
    log.info("x")
    log.warning("x")
    log.error("x")

    assert [event["level"] for event in events(stream)] == heard


def test_a_logger_made_before_the_configuration_follows_it(stream: Stream) -> None:
    early = structlog.get_logger()
    early.info("one")
    later = Stream()

    configure_log(level="info", style="json", stream=later)
    early.info("two")

    assert [event["event"] for event in events(stream)] == ["one"]
    assert [event["event"] for event in events(later)] == ["two"]


def test_what_libraries_log_comes_in_the_same_format(stream: Stream) -> None:
    logging.getLogger("some.library").warning("hello %s", "wor\nld")

    (event,) = events(stream)
    assert (event["event"], event["level"], event["logger"]) == ("hello wor\\nld", "warning", "some.library")


def test_an_exception_that_a_library_logs_is_part_of_its_line(stream: Stream) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("some.library").exception("failed")

    (event,) = events(stream)
    assert "ValueError: no" in event["exception"]


def test_what_libraries_say_below_a_warning_is_not_heard(stream: Stream) -> None:
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("news")

    assert [event["event"] for event in events(stream)] == ["news"]


def test_a_library_with_a_level_of_its_own_is_heard(stream: Stream) -> None:
    logging.getLogger("some.library").log(35, "notice")

    assert [event["event"] for event in events(stream)] == ["notice"]


def test_a_library_that_logs_wrongly_does_not_fail_for_it(stream: Stream, capsys: pytest.CaptureFixture[str]) -> None:
    # Once more: pytest has put a handler of its own beside ours, which lets such a mistake fail the test.
    configure_log(level="info", style="json", stream=stream)

    configure_log(level="info", style="json", stream=stream)

    logging.getLogger("some.library").warning("%d apples", "three")

    # Where the complaint goes is logging's own choice: our line or standard error.
    assert "apples" in stream.getvalue() + capsys.readouterr().err


class FullDisk(io.RawIOBase):
    """Takes nothing any more."""

    def writable(self) -> bool:
        return True

    def write(self, _content: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("style", STYLES)
def test_a_full_disk_under_the_log_hinders_no_one(style: Literal["json", "console"]) -> None:
    stream = io.TextIOWrapper(io.BufferedWriter(FullDisk()), encoding="utf-8")
    try:
        write = configure_log(level="info", style=style, stream=stream)
        for _ in range(1000):
            write("request", {"status": 200})
            structlog.get_logger().info("x")
            logging.getLogger("some.library").warning("y")
    finally:
        with suppress(OSError):
            stream.close()


def test_the_short_way_writes_the_line_that_the_long_way_writes(stream: Stream) -> None:
    write = configure_log(level="info", style="json", stream=stream)
    fields = {"route": "a\u202eb\n", "status": 200, "ms": 0.5, "client": None, "long": "a" * 1000}

    write("request", dict(fields))
    structlog.get_logger().info("request", **fields)

    short, long = events(stream)
    assert list(short) == list(long)
    assert len(short.pop("time")) == len(long.pop("time"))
    assert short == long
    assert short["route"] == "a\\u202eb\\n"


@pytest.mark.parametrize("text", ["plain", "\x7f", "\x1b[2J", "\n", "\u202e", "\xad", "é", '"', "\\", "a" * 501])
def test_the_short_way_escapes_and_cuts_each_text_by_itself(stream: Stream, text: str) -> None:
    write = configure_log(level="info", style="json", stream=stream)

    write("request", {"route": text})
    structlog.get_logger().info("request", route=text)

    short, long = events(stream)
    assert short["route"] == long["route"]
    assert short["route"].isprintable()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 1), ("warning", 0), ("error", 0)])
def test_the_short_way_obeys_level_and_style(style: Literal["json", "console"], level: str, lines: int) -> None:
    stream = Stream()

    configure_log(level=level, style=style, stream=stream)("request", {"status": 200})

    assert stream.getvalue().count("\n") == lines
    assert stream.getvalue().startswith("{") is (style == "json" and lines == 1)


def test_both_ways_keep_the_order_of_events(stream: Stream) -> None:
    write = configure_log(level="info", style="json", stream=stream)

    structlog.get_logger().info("one")
    write("two", {})
    structlog.get_logger().info("three")

    assert [event["event"] for event in events(stream)] == ["one", "two", "three"]


def test_people_get_a_plain_line_without_colours_when_it_goes_to_a_file() -> None:
    stream = Stream()
    configure_log(level="info", style="console", stream=stream)

    structlog.get_logger().info("started", label="a\nb\x1b[2J", port=8080)

    (line,) = stream.getvalue().removesuffix("\n").split("\n")
    assert line.isprintable()
    assert "[info     ] started" in line
    assert "port=8080" in line


def test_people_get_exceptions_too() -> None:
    stream = Stream()
    configure_log(level="info", style="console", stream=stream)
    try:
        raise ValueError("no")
    except ValueError:
        structlog.get_logger().exception("failed")

    assert "failed" in stream.getvalue()
    assert "ValueError: no" in stream.getvalue()


@pytest.mark.parametrize("style", STYLES)
def test_a_changed_level_holds_for_all_that_write(style: Literal["json", "console"]) -> None:
    stream = Stream()
    write = configure_log(level="info", style=style, stream=stream)
    counts = []
    for level in ("error", "debug", "warning"):
        change_level(level)
        write("request", {"status": 200})
        structlog.get_logger().debug("fine")
        structlog.get_logger().warning("careful")
        logging.getLogger("some.library").warning("theirs")
        counts.append(stream.getvalue().count("\n"))

    assert counts == [0, 4, 6]
