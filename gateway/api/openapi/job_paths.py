"""The calls about jobs, as the document describes them."""

from collections.abc import Callable

from gateway.api.openapi.failures import ANY_RELAYS, JOB_RELAYS, READS, UPSTREAM_FAILURES
from gateway.api.openapi.schemas import Json, reference
from gateway.syncs.jobs import MOST_JOBS
from gateway.syncs.merged_jobs import MOST_ROUNDS

WAIT_HEADERS = ("Preference-Applied", "Vary", "Warning")
"""Of calls that may wait for a job's end."""
ALL_JOBS_LINK = "AllJobsLink"
"""The Link header of the jobs of all connections, whose cursors have another form."""
CHOICE = ("JobType", "Status", "Limit")

Answers = Callable[..., Json]
"""Makes an operation's answers from the names of a schema, of failures and of headers."""


def job_paths(answers: Answers, *, tag: str) -> Json:
    """Return the paths of the calls about jobs."""
    return {**_of_lists(answers, tag), **_of_one(answers, tag)}


def _of_lists(answers: Answers, tag: str) -> Json:
    jobs: Json = {
        "operationId": "listJobs",
        "tags": [tag],
        "summary": "List jobs of a connection",
        "description": "Syncs, or the types of jobs that are asked for, newest first. If there are more, the Link "
        "header holds the address of the next page. With include=failure each job also has endTime and failure, "
        "as one job has. The last syncs that other calls tell of are syncs only.",
        "parameters": [reference("parameters", name) for name in ("ConnectionId", *CHOICE, "Cursor", "Include")],
        "responses": answers(
            "JobList", (*ANY_RELAYS, "ConnectionPageNotFound", "BadJobQuery", "UpstreamTimeout"), "Link"
        ),
    }
    jobs["responses"]["200"]["links"] = job_links("/data/0/jobId")
    all_jobs: Json = {
        "operationId": "listAllJobs",
        "tags": [tag],
        "summary": "List jobs of all connections",
        "description": "One call for all of the client's connections, newest first. To follow them, ask again with "
        "updatedSince a minute before your last call; jobs that you know already come again. A page may be short, or "
        f"empty, and still have a Link header: go on until it has none. One call goes through "
        f"about {(MOST_ROUNDS - 1) * MOST_JOBS} jobs of Airbyte's workspaces, which may hold other clients' too: where "
        "few are yours, you need more calls. A Warning header says that some connections "
        "could not be asked for. With include=connection each job has the id of its connection as other calls take it.",
        "parameters": [
            reference("parameters", name) for name in (*CHOICE, "AllJobsCursor", "UpdatedSince", "IncludeConnection")
        ],
        "responses": answers(
            "AllJobsList", (*READS, "PageNotFound", "BadAllJobsQuery", *UPSTREAM_FAILURES), "Link", "Warning"
        ),
    }
    all_jobs["responses"]["200"]["headers"]["Link"] = reference("headers", ALL_JOBS_LINK)
    return {"/api/v1/jobs": {"get": all_jobs}, "/api/v1/connections/{id}/jobs": {"get": jobs}}


def _of_one(answers: Answers, tag: str) -> Json:
    job = {
        "operationId": "getJob",
        "tags": [tag],
        "summary": "Look at one job",
        "description": "A job of any type, with its end, its attempts, what it moved of each stream, and why it "
        "failed. The failure of a job is that of its last attempt. Airbyte does not always tell: then a failed job has "
        "failure null and empty attempts and streams. With `Prefer: wait=60` the answer comes when the "
        "job has ended, or after 60 seconds.",
        "parameters": [reference("parameters", name) for name in ("ConnectionId", "JobId", "Prefer")],
        "responses": answers("OneJob", (*JOB_RELAYS, "BadJob", "UpstreamTimeout"), *WAIT_HEADERS),
    }
    cancel = {
        "operationId": "cancelJob",
        "tags": [tag],
        "summary": "Cancel a job",
        "description": "Answers with the job as it stands then. A job that has ended is left alone. A pending job "
        "cannot be cancelled yet: it is cancelled as soon as it runs, whether or not you wait. The call waits for that "
        "up to 80 seconds, then it answers 504. Send no body.",
        "parameters": [reference("parameters", name) for name in ("ConnectionId", "JobId")],
        "responses": answers(
            "CancelledJob", (*JOB_RELAYS, "BadCancel", "ReadOnlyKey", "OtherJobRunning", "CancelBusy", "CancelTimeout")
        ),
    }
    return {
        "/api/v1/connections/{id}/jobs/{jobId}": {"get": job},
        "/api/v1/connections/{id}/jobs/{jobId}/cancel": {"post": cancel},
    }


def job_links(pointer: str) -> Json:
    """Return the calls that take the id of a job, which stands at `pointer` in the answer."""
    parameters = {"id": "$request.path.id", "jobId": f"$response.body#{pointer}"}
    calls = {"getJob": "Look at the job.", "cancelJob": "Cancel the job."}
    return {name: {"operationId": name, "parameters": parameters, "description": text} for name, text in calls.items()}
