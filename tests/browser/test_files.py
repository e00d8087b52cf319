"""A browser saves a table as a file, and never takes a part of one for the whole."""

from threading import Event

from gateway.sandbox import Answer
from tests.browser.conftest import Site, Visit, Watched, member

JOBS = 150


def with_jobs(site: Site, visit: Visit) -> tuple[Watched, str]:
    """Return a member, who sees the page of a connection with two pages of jobs, and our id of that."""
    ((ours, theirs),) = site.installation.connections(1)
    for _ in range(JOBS):
        site.installation.airbyte.sandbox.world.add_job(theirs)
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
    over = Event()

    def is_second_page(_method: str, _path: str) -> bool:
        return not over.is_set() and any("offset=100" in each.query for each in sandbox.requests)

    sandbox.faults.answer_with(Answer.html(503), times=5, when=is_second_page)

    with visitor.page.expect_download() as saving:
        visitor.page.get_by_role("link", name="Download as CSV").click()
    failure = saving.value.failure()
    over.set()

    assert failure is not None
