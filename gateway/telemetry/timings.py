"""How often the room's threads and tasks work, and how long the end of a process waits for them."""

import msgspec


class LogTimings(msgspec.Struct, frozen=True):
    """Seconds of the thread that writes the log."""

    pause: float = 0.005
    """Between two writes. Waking the thread for each line of a busy gateway would cost more than the line."""
    retry: float = 0.1
    """Until a reader that takes nothing is tried again, where nobody tells that it does."""
    close: float = 1.0
    """How long the end of the process waits for what is not written."""


class TracingTimings(msgspec.Struct, frozen=True):
    """Seconds of the thread that sends spans."""

    export_pause: float = 5.0
    """Between two exports of a gateway that has little to tell."""
    export: float = 5.0
    """For the collector's answer, its repetitions included."""
    close: float = 1.0
    """How long the end of the process waits for what is not sent."""


class TelemetryTimings(msgspec.Struct, frozen=True):
    """All timings of the room."""

    log: LogTimings = LogTimings()
    tracing: TracingTimings = TracingTimings()
    loop_lag_interval: float = 0.1
    """How long each sleep is by which the event loop's lag is measured."""
