"""How long each step of the room's work may take: promises to callers, and what keeps several gateways apart.

Each is handed to whoever keeps it, so that a test can pass its own.
"""

import msgspec


class BackoffTimings(msgspec.Struct, frozen=True):
    """Seconds for which what failed alone is passed over: doubled with each failure, from `first` to `longest`."""

    first: float = 30.0
    longest: float = 300.0


class WorkspaceTimings(msgspec.Struct, frozen=True):
    """Seconds of asking for many workspaces at once."""

    search: float = 20.0
    """How long lists that fail are halved: beyond one call without an answer. Then what failed is passed over whole.
    As long some of what was passed over is asked for again before other work goes on."""
    backoff: BackoffTimings = BackoffTimings()
    """Of a workspace that Airbyte does not tell of."""


class TriggerTimings(msgspec.Struct, frozen=True):
    """Seconds each step of a trigger may take."""

    answer: float = 80.0
    """The budget of all steps, and a caller's longest wait; nginx gives up after 90 s. A job that Airbyte creates
    within as long may be the trigger's."""
    look: float = 5.0
    """Of the budget, for the look at the newest sync before the trigger: it goes without when Airbyte is slower."""
    reconcile: float = 5.0
    """Of the budget, kept for looking for the job after an unclear answer."""
    claim: float = 60.0
    """Of the budget, the longest wait for triggers of other gateways: a trigger that is sent then still has 10 s."""
    follow: float = 2.0
    """How long another gateway's trigger is polled before it is asked whether that gateway still lives."""
    poll_interval: float = 0.1
    """Between two looks at another gateway's trigger: what a caller waits for nothing at most."""
    other_job_retry: int = 30
    """When to come back while Airbyte does another job than a sync with the connection."""
    longest: float = 150.0
    """From an intent to its outcome, with what gateways' clocks may differ by. No gateway works on an older one."""
    retry_interval: float = 1.0
    """Between two tries to write an outcome that could not be written: until then other gateways wait for it."""
    settle: float = 75.0
    """Airbyte may take 60 s to show the job of a trigger it was sent: no sooner does its absence mean anything."""
    look_up_interval: float = 60.0
    """How often one of several gateways looks for what a killed one left open; a gateway alone looks at its start."""
    backoff: BackoffTimings = BackoffTimings()
    """Of a left-over trigger that could not be looked up."""
    look_up_lease: float = 300.0
    """How long that gateway leads: 200 calls to Airbyte and their settling take less. Then another begins anew."""


class LastSyncTimings(msgspec.Struct, frozen=True):
    """Seconds each step of a refresh of the last syncs may take."""

    wait: float = 2.0
    """From the beginning of a refresh, readers wait this long for it. Then all readers get what is known."""
    lease: float = 15.0
    """How long a gateway that refreshes leads. Then it may have been killed, and two at once do no harm."""
    poll_interval: float = 0.05
    """Between two looks at another gateway's refresh: readers wait for it."""
    checkpoint: float = 60.0
    """How far reading goes on before it is noted: asking for a minute twice costs less than a write each time."""
    recheck_age: float = 60.0
    """Each refresh asks for one connection by itself, but for none that was asked for so lately."""
    unread_check: float = 60.0
    """Between two of those for webhooks, while nobody reads: each costs a call and a write more."""
    status_age: float = 3600.0
    """How old a connection's status may become when it is read: listing connections costs Airbyte much."""
    status_retry: float = 600.0
    """Between two checks when some statuses could not be read."""
    shortest_watch: float = 1.0
    """Between two refreshes that nobody asks for, where readers may have one each time they read."""
    idle_watch: float = 60.0
    """Between two of them while a sync runs and nobody is told of its end."""
    watch_lease: float = 10.0
    """How long after its next round a gateway that watches leads: then it has died, and another watches."""
    one_by_one: float = 20.0
    """How long connections that wait for a back-fill are asked for in one run: then whoever began to wait meanwhile
    takes part. Where nothing hangs, a hundred calls take less."""
    backoff: BackoffTimings = BackoffTimings()
    """Of a connection that Airbyte does not tell of."""
    workspaces: WorkspaceTimings = WorkspaceTimings()


class HistoryTimings(msgspec.Struct, frozen=True):
    """Seconds each step of reading the days of syncs may take."""

    wait: float = 1.0
    """A page's longest wait, when it would otherwise have nothing to show."""
    fresh: float = 600.0
    """How long the days of a connection without a new sync are not read again: they take a call each."""
    retry: float = 60.0
    """A broken Airbyte is asked no more often."""


class WaitingTimings(msgspec.Struct, frozen=True):
    """Seconds of callers who wait for Airbyte."""

    retry: int = 5
    """When those may come back who are told not to wait, because too many do."""
    watch: float = 0.05
    """From then on it is noticed that a caller has left. Most answers come sooner, and watching costs a task each."""


class WatchTimings(msgspec.Struct, frozen=True):
    """Seconds of waiting for the end of jobs, and of asking for it again and again."""

    interval: float = 1.0
    """Between two looks at what changed, one call for all who wait: an end is told within two seconds."""
    alone_interval: float = 2.0
    """Between two looks at a job of which the changes do not tell: a call for each such job."""
    stale: float = 10.0
    """What was seen longer ago is told as stale: a look takes three, with the wait for a refresh."""
    poll_interval: float = 0.1
    """Between two looks whether a refresh has ended, here or on another gateway."""
    longest: float = 80.0
    """No answer is later after its call: nginx gives up after 90 s."""


class CancelTimings(msgspec.Struct, frozen=True):
    """Seconds of cancelling jobs that are not running yet."""

    read: float = 4.0
    """For reading the job at its end, when all else has taken up to 80 s: nginx gives up after 90 s."""
    interval: float = 1.0
    """Between two looks, in the database, whether such a job runs by now."""
    refresh_age: float = 5.0
    """How old what is stored of them may be: while their callers wait it is newer anyway."""
    idle_interval: float = 10.0
    """Between two looks whether there are any: of a gateway that died, perhaps."""
    look_age: float = 2.0
    """From the look at what the connection is doing to the cancel: by then it may be doing another job."""
    sending: float = 60.0
    """How long a gateway may be sending one: its calls take less. Then it died, and another sends it."""
    lease: float = 15.0
    """How long the gateway leads that looks after them. Then it may have died; two at once send none twice."""
    life: float = 86_400.0
    """After it nobody expects any more that the job is cancelled."""
    backoff: BackoffTimings = BackoffTimings()
    """Of a job that could not be looked at or cancelled."""


class PollTimings(msgspec.Struct, frozen=True):
    """Seconds of answers to programs that were written for Airbyte, and that ask for a job again and again."""

    answer: float = 3.8
    """No answer is later than 4 s after its call: Airbyte's own client for Python gives up after 5 s."""
    wait: float = 3.0
    """Who polls faster than his client may call waits for the job's end, but no longer."""
    turn: float = 3.0
    """Who asks for a job that nobody knows waits for his client's turn to have it read, but no longer."""
    turn_interval: float = 0.1
    """Between two looks whether it is that turn."""
    look_age: float = 1.0
    """How old the status of a polled job may be: one call tells of all."""
    attempts_age: float = 5.0
    """How old the attempts of a job may be that has not ended: they take a call for each job."""
    kept: float = 3600.0
    """How long a job is known after it was last read. One that has ended does not change any more."""
    refused_interval: float = 60.0
    """How long a connection is not asked for again that Airbyte refused to tell of."""
    catalog: float = 300.0
    """How old the streams of a connection may be that are told: nothing tells that they changed."""


class SyncTimings(msgspec.Struct, frozen=True):
    """All timings of the room."""

    trigger: TriggerTimings = TriggerTimings()
    last_sync: LastSyncTimings = LastSyncTimings()
    history: HistoryTimings = HistoryTimings()
    waiting: WaitingTimings = WaitingTimings()
    watch: WatchTimings = WatchTimings()
    cancel: CancelTimings = CancelTimings()
    poll: PollTimings = PollTimings()
