"""The log: one line for each event on standard error, as JSON for machines or coloured for people.

Writing a line never fails: on a full disk, or when whoever read the log is gone, the line is lost and nothing else.
"""

import asyncio
import json
import logging
import sys
from collections import deque
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, Literal, Protocol

import orjson
import structlog

LONGEST_VALUE = 500
"""Characters of any one text in a line; what callers send must not fill a disk."""
LONGEST_TRACEBACK = 20 * LONGEST_VALUE
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
WriteLine = Callable[[str, dict[str, Any]], None]
Event = MutableMapping[str, Any]


class TaskFailure(Protocol):
    """What ended a background task; it starts again in `pause_seconds`."""

    @property
    def task(self) -> str: ...

    @property
    def error(self) -> BaseException: ...

    @property
    def pause_seconds(self) -> float: ...


_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")


class Stream(Protocol):
    """Where lines go: a text stream, or what writes for a process that must not wait."""

    def write(self, text: str, /) -> Any: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


def configure_log(*, level: str, style: Literal["json", "console"], stream: Stream | None = None) -> WriteLine:
    """Route structlog, the standard library's loggers and Python's warnings to one stream: by default standard error.

    Returned is the short way for the one line that every request writes.
    """
    target = stream or sys.stderr
    lines = Lines(target)
    render = _json_line if style == "json" else structlog.dev.ConsoleRenderer(colors=target.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _stamp,
            structlog.processors.format_exc_info,
            _cleaned,
            render,
        ],
        logger_factory=lines,
        cache_logger_on_first_use=False,
    )
    logging.getLogger().handlers = [_ToStructlog()]
    logging.captureWarnings(capture=True)
    change_level(level)
    return lines.write_request if style == "json" else write_line


def log_task_failure(failure: TaskFailure) -> None:
    """Log the exception that ended a background task, and when the task starts again."""
    structlog.get_logger().error(
        "background_task_failed",
        task=failure.task,
        restarts_in_seconds=failure.pause_seconds,
        exc_info=failure.error,
    )


def change_level(level: str) -> None:
    """Write lines of this level and above from now on; what `configure_log` returned obeys too."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]))
    logging.getLogger().setLevel(max(LEVELS[level], logging.WARNING))
    lines = structlog.get_config()["logger_factory"]
    if isinstance(lines, Lines):
        lines.has_requests = LEVELS[level] <= LEVELS["info"]


def write_line(event: str, fields: dict[str, Any]) -> None:
    """Log `event` at level info, as it is configured by then."""
    structlog.get_logger().info(event, **fields)


class Lines:
    """Writes lines in their order as they come; those of requests by the end of the event loop's turn."""

    def __init__(self, stream: Stream) -> None:
        self.has_requests = True
        self._stream = stream
        self._pending: deque[str] = deque()
        self._time = ""
        # Kept: until Python 3.12 asking for the running loop costs a system call.
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, *_names: Any) -> "Lines":
        """Return the logger that structlog asks for."""
        return self

    def msg(self, line: str) -> None:
        """Write a line, with those that could not be written before. Called by structlog."""
        self._pending.append(line)
        self._flush()

    log = debug = info = warning = error = critical = msg

    def write_request(self, event: str, fields: dict[str, Any]) -> None:
        """Write the line structlog would write, in a third of its time; one system call for a round of the loop."""
        if not self.has_requests:
            return
        fields["event"] = event
        fields["level"] = "info"
        is_first = not self._pending
        if is_first:
            self._time = _stamp(None, "", {})["time"]
        fields["time"] = self._time
        self._pending.append(_clean_json_line(fields))
        if is_first:
            self._flush_soon()

    def _flush_soon(self) -> None:
        try:
            if self._loop is None or self._loop.is_closed():
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._flush)
        except RuntimeError:
            # Outside a loop there is no later.
            self._flush()

    def _flush(self) -> None:
        lines = []
        # Other threads log too: what one of them takes, no other does.
        with suppress(IndexError):
            while True:
                lines.append(self._pending.popleft())
        if not lines:
            return
        with suppress(OSError, ValueError):
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()


class _ToStructlog(logging.Handler):
    """What libraries log, in our format."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record. Called by logging."""
        try:
            level = max(number for number in (0, *LEVELS.values()) if number <= record.levelno)
            structlog.get_logger().log(
                max(level, LEVELS["debug"]), record.getMessage(), logger=record.name, exc_info=record.exc_info
            )
        except Exception:  # noqa: BLE001 - logging's own rule: whatever goes wrong in a handler goes to handleError
            self.handleError(record)


def _cleaned(_logger: Any, _method: str, event: Event) -> Event:
    """Cap each text and escape what could forge, hide or turn round a line, however deep it stands."""
    for key, value in event.items():
        if value.__class__ is str:
            if len(value) > LONGEST_VALUE or not value.isprintable():
                event[key] = _escaped(value, LONGEST_TRACEBACK if key == "exception" else LONGEST_VALUE)
        elif value.__class__ in (list, tuple, dict):
            event[key] = _clean_inside(value)
    return event


def _clean_inside(value: Any) -> Any:
    if isinstance(value, str):
        return _escaped(value, LONGEST_VALUE)
    if isinstance(value, dict):
        return {_clean_inside(name): _clean_inside(item) for name, item in value.items()}
    return [_clean_inside(item) for item in value] if isinstance(value, list | tuple) else value


def _escaped(text: str, longest: int) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text[:longest]
    )


def _clean_json_line(event: Event) -> str:
    """Return the event as a line of JSON, with long or unprintable texts made fit.

    As JSON a text is at least as long as by itself, and what is not printable is escaped but for DEL.
    """
    line = _json_line(None, "", event)
    if len(line) <= LONGEST_VALUE and line.isascii() and "\\" not in line and "\x7f" not in line:
        return line
    return _json_line(None, "", _cleaned(None, "", event))


def _json_line(_logger: Any, _method: str, event: Event) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except (TypeError, ValueError):
        # Numbers beyond 64 bits and keys that are no text.
        return json.dumps(event, default=str)
