"""The schemas of answers' bodies, with an example of every field."""

from collections.abc import Sequence
from typing import Any, get_args

from gateway import errors
from gateway.models import JOB_STATUSES, FailureOrigin, FailureType

Json = dict[str, Any]

TIME = "2026-11-23T03:00:12.000Z"
END_TIME = "2026-11-23T03:02:26.000Z"
KEY_ID = "key_8sQd0fWq2LzR5tYx"


def build_schemas(connection_id: str) -> Json:
    """Return `{name: schema}`; examples use `connection_id`."""
    return {**_client_schemas(connection_id), **_job_schemas(connection_id), **_key_schemas()}


def _client_schemas(connection_id: str) -> Json:
    created = _text("When it was added.", "2026-01-15T09:30:00.000Z", form="date-time")
    client = {
        "name": _text("The client's name.", "Acme Inc"),
        "slug": _text("Its short name.", "acme"),
        "plan": _text("The client's plan, in the operator's words.", "free"),
        "created_at": created,
    }
    status = {
        "client": reference("schemas", "Client"),
        "connections": _whole("How many connections it has.", 3),
        "last_sync_at": _nullable(_text("Start of the newest sync.", TIME, form="date-time")),
    }
    connection = {
        "id": _text("The connection's id in this API.", connection_id),
        "connector_type": _text("What it reads from.", "shopify"),
        "label": _text("Its name.", "Shopify orders"),
        "status": _text(
            "active, inactive, locked or deprecated; pending while not mapped. Up to an hour old.", "active"
        ),
        "last_sync_at": _nullable(_text("Start of its newest sync.", TIME, form="date-time")),
        "last_sync_status": _nullable(_text("Status of its newest sync.", "succeeded")),
        "created_at": created,
    }
    return {
        "Client": _record("The client that the key belongs to.", client),
        "Status": _record("The client, with a summary of its connections.", status),
        "Connection": _record("A connection of the client.", connection, _schedule_fields()),
        "ConnectionList": _list("All connections, oldest first.", "Connection"),
        "Error": _record("Any error.", {"error": _text("What went wrong.", errors.NotFound.message)}),
    }


def _schedule_fields() -> Json:
    """Return the fields of a connection that are sent with include=schedule."""
    fields = {
        "type": {
            **_text("manual: Airbyte starts none by itself. Without a known schedule, schedule is null.", "cron"),
            "enum": ["manual", "basic", "cron"],
        },
        "every_seconds": _whole("Of basic: from one sync's start to the next.", 86_400),
        "cron": _text("Of cron: a Quartz expression and a time zone, as Airbyte writes them.", "0 0 3 * * ? UTC"),
    }
    schedule = {
        "type": ["object", "null"],
        "description": "When Airbyte starts syncs by itself, up to an hour old; null: not known. "
        "Sent with include=schedule.",
        "properties": fields,
        "required": ["type"],
        "examples": [{"type": "cron", "cron": "0 0 3 * * ? UTC"}],
    }
    due = "When the next sync is due; past: it has not started yet; null: not known. Sent with include=schedule."
    late = {
        "type": "boolean",
        "description": "Whether no sync started within the grace time (15 minutes, unless the operator chose another) "
        "after it was due. Sent with include=schedule.",
        "examples": [False],
    }
    warning = {
        "type": ["string", "null"],
        "description": "no_data: the newest sync that ended succeeded and moved nothing, unlike the ten before it. "
        "Sent with include=schedule.",
        "examples": ["no_data"],
    }
    return {
        "schedule": schedule,
        "next_sync_at": _nullable(_text(due, "2026-11-24T03:00:00.000Z", form="date-time")),
        "late": late,
        "warning": warning,
    }


def _job_schemas(connection_id: str) -> Json:
    triggered = {
        "jobId": _whole("Airbyte's number of the job.", 4211),
        "connectionId": _text("Airbyte's id of the connection.", "5ae6b09b-fdec-41af-aaf7-7d94cfc33ef6", form="uuid"),
        "status": _text(f"{', '.join(JOB_STATUSES)}, or a newer word of Airbyte's.", "running"),
        "jobType": _text("The kind of job.", "sync"),
    }
    job = {
        **triggered,
        "status": {**triggered["status"], "examples": ["succeeded"]},
        "startTime": _nullable(_text("When it started.", TIME, form="date-time")),
        "bytesSynced": _nullable(_whole("Bytes moved.", 1048576)),
        "rowsSynced": _nullable(_whole("Rows moved.", 2048)),
        "duration": _nullable(_text("How long it ran, ISO 8601.", "PT2M14S", form="duration")),
    }
    place = _text("The id of its connection, as other calls take it. Sent with include=connection.", connection_id)
    return {
        **_detail_schemas(job),
        "TriggeredJob": _record("A job just started, or already under way.", triggered),
        "TriggeredSync": _record("The job of a trigger.", {"job": reference("schemas", "TriggeredJob")}),
        "Job": _record("A job.", job),
        "CancelledJob": _record("The job, as it stands now.", {"job": reference("schemas", "Job")}),
        "PlacedJob": _record("A job.", job, {"connection": place}),
        "AllJobsList": _list("Jobs, newest first.", "PlacedJob"),
        "JobList": _list("Jobs, newest first.", "ListedJob"),
    }


def _detail_schemas(job: Json) -> Json:
    """Return what one job tells beyond its row in a list."""
    rows = _nullable(_whole("Rows moved.", 2048))
    moved = _nullable(_whole("Bytes moved.", 1048576))
    end = _nullable(_text("When it ended.", END_TIME, form="date-time"))
    why = _nullable_reference("Failure", "Why it failed; null if it did not, or Airbyte does not say.")
    explained = {
        "endTime": {**end, "description": "When it ended. Sent with include=failure."},
        "failure": _nullable_reference(
            "Failure", "Why it failed; null if it did not, or Airbyte does not say. Sent with include=failure."
        ),
    }
    failure = {
        "origin": _text("Where it failed.", "source", words=get_args(FailureOrigin)),
        "type": _text("What kind of failure it is.", "credentials", words=get_args(FailureType)),
        "message": _text("What happened, in a sentence.", "The source refused the credentials."),
        "retryable": _nullable(_flag("Whether another try may help; null if Airbyte does not say.", example=False)),
    }
    attempt = {
        "number": _whole("1 for the first attempt.", 1),
        "status": _text("running, failed or succeeded, or a newer word of Airbyte's.", "failed"),
        "startTime": _nullable(_text("When it started.", TIME, form="date-time")),
        "endTime": end,
        "bytesSynced": moved,
        "rowsSynced": rows,
        "failure": why,
    }
    stream = {
        "name": _text("The stream's name.", "orders"),
        "namespace": _nullable(_text("Its namespace, such as a schema of a database.", "public")),
        "rowsSynced": rows,
        "bytesSynced": moved,
    }
    return {
        "ListedJob": _record("A job.", job, explained),
        "Failure": _record("Why an attempt failed.", failure),
        "Attempt": _record("One try of a job.", attempt),
        "Stream": _record("What a job moved of one stream.", stream),
        **_one_job_schemas({**job, "endTime": end}, why),
    }


def _one_job_schemas(job: Json, why: Json) -> Json:
    """Return the schemas of one job; `job` has an end."""
    detail = {
        **job,
        "status": {**job["status"], "examples": ["failed"]},
        "attempts": _array("Its attempts, oldest first; empty if Airbyte does not tell.", "Attempt"),
        "failure": why,
        "streams": _array("What it moved of each stream; empty if Airbyte does not tell.", "Stream"),
    }
    return {
        "JobDetail": _record("A job with its attempts, its failure and its streams.", detail),
        "OneJob": _record("One job.", {"job": reference("schemas", "JobDetail")}),
    }


def _key_schemas() -> Json:
    revoked = {
        "id": _text("The key's id.", KEY_ID),
        "revoked_at": _text("When it was revoked.", TIME, form="date-time"),
    }
    return {
        "RevokedKey": _record("The revoked key.", revoked),
        "Revocation": _record("The key that the call was made with.", {"key": reference("schemas", "RevokedKey")}),
    }


def _record(description: str, properties: Json, optional: Json | None = None) -> Json:
    # Open: clients generated from a closed schema refuse an answer with the first field that is added.
    fields = properties | (optional or {})
    return {"type": "object", "description": description, "properties": fields, "required": list(properties)}


def _list(description: str, schema: str) -> Json:
    return _record(description, {"data": {"type": "array", "items": reference("schemas", schema)}})


def _text(description: str, example: str, *, form: str | None = None, words: Sequence[str] = ()) -> Json:
    schema: Json = {"type": "string", "description": description, "examples": [example]}
    if words:
        schema["enum"] = list(words)
    return schema if form is None else {**schema, "format": form}


def _flag(description: str, *, example: bool) -> Json:
    return {"type": "boolean", "description": description, "examples": [example]}


def _array(description: str, schema: str) -> Json:
    return {"type": "array", "description": description, "items": reference("schemas", schema)}


def _nullable_reference(schema: str, description: str) -> Json:
    return {"oneOf": [reference("schemas", schema), {"type": "null"}], "description": description}


def _whole(description: str, example: int) -> Json:
    # Without a format: of int64, generators for JavaScript make a BigInt, which JSON.stringify refuses.
    return {"type": "integer", "description": description, "examples": [example]}


def _nullable(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def reference(kind: str, name: str) -> Json:
    """Return a reference to one of the document's components."""
    return {"$ref": f"#/components/{kind}/{name}"}


def example_of(schemas: Json, schema: Json) -> Any:
    """Return an example of the whole schema, put together from those of its fields that are always sent."""
    if "$ref" in schema:
        return example_of(schemas, schemas[schema["$ref"].rpartition("/")[2]])
    if "oneOf" in schema:
        return example_of(schemas, schema["oneOf"][0])
    if "properties" in schema:
        return {name: example_of(schemas, schema["properties"][name]) for name in schema["required"]}
    return [example_of(schemas, schema["items"])] if "items" in schema else schema["examples"][0]
