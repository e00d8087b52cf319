"""Why an attempt failed, in the words of Airbyte's Config API: five kinds to plant, and a cancelled attempt's."""

from dataclasses import dataclass

PLANTED_PASSWORD = "Tr0ub4dor-and-3"  # noqa: S105 - bait: it must never be seen outside Airbyte
PLANTED_HOST = "pg-7.acme-internal.example.com"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure of an attempt. The external message is for users; the other two are for Airbyte's own people."""

    origin: str | None
    kind: str | None
    external_message: str | None
    internal_message: str | None = None
    stacktrace: str | None = None
    retryable: bool | None = None


CREDENTIALS_REFUSED = Failure(
    "source",
    "config_error",
    'State code: 28P01; Message: FATAL: password authentication failed for user "reader" '
    f"(postgresql://reader:{PLANTED_PASSWORD}@{PLANTED_HOST}:5432/orders)",
    f"org.postgresql.util.PSQLException: FATAL: password={PLANTED_PASSWORD} refused by {PLANTED_HOST}/10.20.30.40",
    "org.postgresql.util.PSQLException: FATAL: password authentication failed\n"
    "\tat org.postgresql.core.v3.ConnectionFactoryImpl.doAuthentication(ConnectionFactoryImpl.java:659)\n"
    "\tat io.airbyte.cdk.db.jdbc.DefaultJdbcDatabase.unsafeQuery(DefaultJdbcDatabase.java:107)",
    retryable=False,
)
TOKEN_REFUSED = Failure(
    "source",
    "config_error",
    "The access token is no longer valid. Sign in again in the settings of this source.",
    "401 Client Error: Unauthorized for url: https://api.hubapi.com/crm/v3/objects/deals?limit=100",
    "Traceback (most recent call last):\n"
    '  File "/airbyte/integration_code/source_hubspot/streams.py", line 412, in read_records\n'
    "requests.exceptions.HTTPError: 401 Client Error: Unauthorized",
    retryable=False,
)
DESTINATION_TIMEOUT = Failure(
    "destination",
    "destination_timeout",
    "Airbyte detected that the Destination didn't make progress in the last 2 hours, exceeding the configured "
    "2 hours threshold. Airbyte will try reading again on the next sync.",
    "Destination has timed out: warehouse.operator-internal.example.com accepted no batch",
    "io.airbyte.workers.exception.WorkerException: timed out\n"
    "\tat io.airbyte.container.orchestrator.worker.DestinationTimeoutMonitor.runWithTimeoutThread(Monitor.kt:88)",
)
TRANSIENT_SOURCE = Failure(
    "source",
    "transient_error",
    "The source answered too slowly and the connection was closed. Airbyte tries again.",
    "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='api.example.com', port=443): Read timed out.",
    "Traceback (most recent call last):\n"
    '  File "/usr/local/lib/python3.11/site-packages/airbyte_cdk/entrypoint.py", line 61, in launch\n'
    "requests.exceptions.ReadTimeout: Read timed out.",
    retryable=True,
)
SCHEMA_REFRESH = Failure(
    "airbyte_platform",
    "refresh_schema",
    "Failed to detect if there is a schema change. If the error persists please contact the support team.",
    "java.util.concurrent.TimeoutException: discover did not answer within 5 minutes",
    "java.util.concurrent.TimeoutException\n"
    "\tat io.airbyte.workers.temporal.sync.RefreshSchemaActivityImpl.refreshSchemaV2(RefreshSchemaActivityImpl.kt:74)",
)
PLATFORM = Failure(
    "airbyte_platform",
    "system_error",
    "Something went wrong within the airbyte platform",
    "io.temporal.failure.ActivityFailure: Activity with activityType='RunReplication' failed on worker-3.airbyte.svc",
    "io.temporal.failure.ActivityFailure: RunReplication\n"
    "\tat io.airbyte.workload.launcher.pods.KubePodClient.launchReplication(KubePodClient.kt:121)",
)
# A cancelled attempt has no origin: Airbyte's own `failureSummaryForCancellation` sets none.
CANCELLED = Failure(
    None,
    "manual_cancellation",
    "This attempt was cancelled",
    "Setting attempt to FAILED because the job was cancelled",
)
