"""Several processes that serve one listening socket, and the one that starts them, watches them and takes signals.

To each of them it is what systemd is to a gateway: it hands over the socket, hears when they are ready, kills who falls
silent and starts another in the place of who died. It serves nothing itself.
"""

import ctypes
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

import structlog

from gateway.errors import OperatorError
from gateway.web.server.sd_notify import FIRST_DESCRIPTOR, MICROSECONDS, Notifier, Supervision

TICK_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
"""Before another takes the place of one that died: twice as long each time until one is ready."""
SILENCE_SECONDS = 30.0
"""After this long without a word a worker is killed, unless the supervisor above has another figure."""
LONGEST_MESSAGE = 4096
BACKLOG = 2048
PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 126
"""As a shell says it."""
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = structlog.get_logger()


@dataclass
class Worker:
    """One place among the workers, and the process that has it now: `process_id` 0 for none."""

    number: int
    channel: socket.socket
    address: str
    process_id: int = 0
    is_ready: bool = False
    has_hang_up: bool = False
    heard_at: float = 0.0
    start_at: float = 0.0
    pause_seconds: float = FIRST_PAUSE_SECONDS


@dataclass
class Workers:
    """`run` is the whole life of the parent."""

    command: list[str]
    environment: Mapping[str, str]
    listener: socket.socket
    supervision: Supervision
    monotonic: Callable[[], float]
    process_id: int = field(default_factory=os.getpid)
    _workers: list[Worker] = field(default_factory=list)
    _signals: list[int] = field(default_factory=list)
    _is_stopping: bool = False
    _were_ready: bool = False
    _has_failed: bool = False

    def run(self, count: int, folder: Path, started: Callable[[], None]) -> None:
        """Until SIGTERM or SIGINT, which every worker gets too; `started` is called when the last is ready.

        `folder` is its own. Raises OperatorError if one of them cannot even start.
        """
        for handled in HANDLED:
            signal.signal(handled, self._note)
        notifier = Notifier(self.supervision.notify_address)
        self.listener.listen(BACKLOG)
        self._workers = [_place(number, folder) for number in range(count)]
        alive_at = float("-inf")
        while self._goes_on():
            self._hear(TICK_SECONDS)
            for number in self._taken_signals():
                if number == signal.SIGHUP:
                    self._hang_up(notifier)
                else:
                    notifier.stopping()
                    self._stop(number)
            self._bury()
            self._start_due()
            if not self._were_ready and all(worker.is_ready for worker in self._workers):
                self._were_ready = True
                started()
                notifier.ready("Serving")
            watchdog_seconds = self.supervision.watchdog_seconds
            if watchdog_seconds and self.monotonic() - alive_at > watchdog_seconds / 2:
                alive_at = self.monotonic()
                notifier.alive()
        if self._has_failed:
            raise OperatorError("a worker did not start; the log says why")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _taken_signals(self) -> list[int]:
        taken, self._signals = self._signals, []
        return taken

    def _goes_on(self) -> bool:
        return not self._is_stopping or any(worker.process_id for worker in self._workers)

    def _hear(self, seconds: float) -> None:
        channels = [worker.channel for worker in self._workers]
        heard, _, _ = select.select(channels, [], [], seconds)
        for worker in self._workers:
            if worker.channel in heard:
                message = worker.channel.recv(LONGEST_MESSAGE).decode("utf-8", "replace")
                worker.heard_at = self.monotonic()
                if "READY=1" in message.split("\n"):
                    worker.is_ready = True
                    worker.pause_seconds = FIRST_PAUSE_SECONDS
                    self._hang_up_due(worker)

    def _hang_up(self, notifier: Notifier) -> None:
        notifier.reloading(self.monotonic())
        for worker in self._workers:
            worker.has_hang_up = True
            self._hang_up_due(worker)
        notifier.ready("Serving")

    def _stop(self, number: int) -> None:
        """The second signal, too: it has them insist."""
        self._is_stopping = True
        # Who connects now is turned away, to another gateway if there is one, and does not wait for nobody.
        self.listener.close()
        for worker in self._workers:
            _send(worker, number)

    @staticmethod
    def _hang_up_due(worker: Worker) -> None:
        """Before it is ready, a worker may not have said yet that it bears a hang-up."""
        if worker.is_ready and worker.has_hang_up:
            worker.has_hang_up = False
            _send(worker, signal.SIGHUP)

    def _bury(self) -> None:
        """Take leave of who has ended, and kill who is silent."""
        silence = self.supervision.watchdog_seconds or SILENCE_SECONDS
        for worker in self._workers:
            if not worker.process_id:
                continue
            ended, status = os.waitpid(worker.process_id, os.WNOHANG)
            if not ended:
                if self.monotonic() - worker.heard_at > silence:
                    log.error("worker_silent", worker=worker.number, process=worker.process_id)
                    _send(worker, signal.SIGKILL)
                continue
            worker.process_id = 0
            worker.is_ready = worker.has_hang_up = False
            worker.start_at = self.monotonic() + worker.pause_seconds
            worker.pause_seconds = min(2 * worker.pause_seconds, LONGEST_PAUSE_SECONDS)
            if not self._is_stopping:
                log.error("worker_ended", worker=worker.number, process=ended, status=os.waitstatus_to_exitcode(status))
                if not self._were_ready:
                    self._has_failed = True
                    self._stop(signal.SIGTERM)

    def _start_due(self) -> None:
        for worker in self._workers:
            if not (self._is_stopping or worker.process_id) and self.monotonic() >= worker.start_at:
                worker.heard_at = self.monotonic()
                # One that comes between the fork and the program's beginning would be noted there, and lost.
                signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
                try:
                    worker.process_id = os.fork() or self._become(worker)
                finally:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def _become(self, worker: Worker) -> NoReturn:
        """In the new process: the program, begun anew with the listener where systemd would have it."""
        try:
            for handled in HANDLED:
                signal.signal(handled, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
            if sys.platform == "linux":
                # `kill -9` the parent cannot hand on: without it nobody would watch, and the port would stay taken.
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() == self.process_id:
                os.dup2(self.listener.fileno(), FIRST_DESCRIPTOR)
                os.set_inheritable(FIRST_DESCRIPTOR, True)
                watchdog = int((self.supervision.watchdog_seconds or SILENCE_SECONDS) * MICROSECONDS)
                handed = {
                    "LISTEN_PID": str(os.getpid()),
                    "LISTEN_FDS": "1",
                    "NOTIFY_SOCKET": worker.address,
                    "WATCHDOG_USEC": str(watchdog),
                }
                os.execve(self.command[0], self.command, {**self.environment, **handed})  # noqa: S606 - our own program
        finally:
            os._exit(CANNOT_EXECUTE)


def _place(number: int, folder: Path) -> Worker:
    address = str(folder / str(number))
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(address)
    return Worker(number, channel, address)


def _send(worker: Worker, number: int) -> None:
    if worker.process_id:
        os.kill(worker.process_id, number)
