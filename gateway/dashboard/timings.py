"""How long pages wait for slow answers, and how soon a page that is about to change loads itself again."""

import msgspec


class PageTimings(msgspec.Struct, frozen=True):
    """Seconds that pages and files wait, and after which pages load themselves again."""

    job_list: float = 5.0
    """A page's longest wait for Airbyte's job list. The reading ends with it, if no other caller waits."""
    csv_token: float = 60.0
    """The longest wait of a file, once it has begun, for a token of the client's. Then the file breaks off."""
    checks: float = 20.0
    """A page's longest wait for the doctor, who takes half a minute when something hangs."""

    reload_reading: int = 5
    """The list of connections, while the days of its syncs are being read."""
    reload_running: int = 15
    """The list of connections, while a sync runs or the last syncs are stale."""
    reload_job_running: int = 5
    """One connection, while one of its jobs runs."""
    reload_delivery: int = 2
    """One webhook, while an event is being sent, or is sent again soon."""
    reload_problem: int = 30
    """One connection, when Airbyte does not give its jobs."""
