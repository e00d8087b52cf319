"""A browser saves a table as a file, and never takes a part of one for the whole."""

import re
import time
from threading import Event

from gateway.sandbox import Answer
from tests.browser.conftest import Site, Visit, Watched, member
from tests.support import BOUND_SECONDS

JOBS = 150
LATER_PAGE = re.compile("createdAtEnd=")


def with_jobs(site: Site, visit: Visit) -> tuple[Watched, str]:
    """Return a member, who sees the page of a connection with two pages of jobs, and our id of that."""
    ((ours, theirs),) = site.installation.connections(1)
    now = time.time()
    for number in range(JOBS):
        # Each in a second of its own: the file's pages are cut there.
        site.installation.airbyte.sandbox.world.add_job(theirs, created_at=now - 3600 * (1 + number))
    visitor = member(visit)
    visitor.goto(f"/dashboard/connections/{ours}")
    return visitor, ours


def test_a_file_of_jobs_is_saved_under_its_name(visit: Visit, site: Site) -> None:
    visitor, ours = with_jobs(site, visit)

    with visitor.page.expect_download() as saving:
        visitor.page.get_by_role("link", name="Download as CSV").click()

    assert saving.value.failure() is None
    assert saving.value.suggested_filename.startswith(f"{ours}-jobs-")
    assert len(saving.value.path().read_bytes().split(b"\r\n")) == 1 + JOBS + 1


def test_a_file_that_breaks_off_is_not_saved(visit: Visit, site: Site) -> None:
    visitor, _ = with_jobs(site, visit)
    sandbox = site.installation.airbyte.sandbox
    sandbox.requests.clear()
    has_begun, is_over = Event(), Event()

    def is_later_page(_method: str, _path: str) -> bool:
        """Hold the sandbox until the browser saves: what fails before that is shown, and nothing is saved at all."""
        is_later = any(LATER_PAGE.search(each.query) for each in sandbox.requests)
        return is_later and has_begun.wait(BOUND_SECONDS) and not is_over.is_set()

    sandbox.faults.answer_with(Answer.html(503), times=5, when=is_later_page)

    with visitor.page.expect_download() as saving:
        visitor.page.get_by_role("link", name="Download as CSV").click()
    has_begun.set()
    failure = saving.value.failure()
    is_over.set()

    assert failure is not None
