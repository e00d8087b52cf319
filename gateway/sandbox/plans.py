"""The connections of the seeded world."""

from dataclasses import dataclass

from gateway.sandbox.failures import (
    CREDENTIALS_REFUSED,
    DESTINATION_TIMEOUT,
    PLATFORM,
    SCHEMA_REFRESH,
    TOKEN_REFUSED,
    TRANSIENT_SOURCE,
    Failure,
)
from gateway.sandbox.records import ConnectionStatus, Stream
from gateway.sandbox.timeline import Outcome
from gateway.sandbox.world import RETRYING_SOURCE_TYPE

DAILY_HOUR = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """A connection to be made, how often it syncs, and why it fails now and then."""

    workspace: str
    source_type: str
    label: str
    every_hours: int
    rows: int
    failure: Failure
    streams: tuple[Stream, ...]
    status: ConnectionStatus = "active"
    outcome: Outcome | None = None

    @property
    def is_daily(self) -> bool:
        """Whether it syncs once a day."""
        return self.every_hours == 24  # noqa: PLR2004 - once a day

    @property
    def period(self) -> float:
        """The seconds between two runs."""
        return self.every_hours * 3600.0

    def next_time(self, after: float) -> float:
        """Return the schedule's first time later than this."""
        offset = DAILY_HOUR * 3600.0 if self.is_daily else 0.0
        return ((after - offset) // self.period + 1) * self.period + offset

    @property
    def schedule(self) -> dict[str, str]:
        """When it syncs, as the JSON has it."""
        if self.is_daily:
            return {"scheduleType": "cron", "cronExpression": f"0 0 {DAILY_HOUR} * * ? UTC"}
        return {"scheduleType": "basic", "basicTiming": f"Every {self.every_hours} HOURS"}

    @property
    def destination_type(self) -> str:
        """Where it syncs to."""
        return "bigquery" if self.workspace == "Acme Inc" else "snowflake"


def _streams(*names: str, namespace: str | None = None) -> tuple[Stream, ...]:
    return tuple(Stream(name, namespace) for name in names)


# No two connections of a workspace have a stream of the same name: to Dagster it would be one asset made twice.
PLANS = (
    Plan(
        "Acme Inc",
        "shopify",
        "Shopify -> BigQuery",
        6,
        4_200,
        DESTINATION_TIMEOUT,
        _streams("customers", "products", "refunds"),
    ),
    Plan(
        "Acme Inc",
        "postgres",
        "Orders database -> BigQuery",
        3,
        18_000,
        CREDENTIALS_REFUSED,
        _streams("orders", "order_lines", namespace="public"),
    ),
    Plan(
        "Acme Inc",
        "google-ads",
        "Google Ads -> BigQuery",
        24,
        900,
        SCHEMA_REFRESH,
        _streams("campaign", "ad_group", "click_view"),
    ),
    Plan(
        "Acme Inc",
        "stripe",
        "Stripe -> BigQuery",
        6,
        1_300,
        TRANSIENT_SOURCE,
        _streams("charges", "invoices", "payouts"),
    ),
    Plan(
        "Acme Inc",
        "hubspot",
        "HubSpot -> BigQuery",
        24,
        2_600,
        TOKEN_REFUSED,
        _streams("deals", "contacts", "companies"),
        outcome="fails",
    ),
    Plan(
        "Acme Inc",
        RETRYING_SOURCE_TYPE,
        "Facebook Marketing -> BigQuery",
        24,
        700,
        TRANSIENT_SOURCE,
        _streams("ads_insights", "ad_sets"),
    ),
    Plan(
        "Globex",
        "postgres",
        "Billing -> Warehouse",
        6,
        9_500,
        PLATFORM,
        _streams("accounts", "bills", namespace="billing"),
    ),
    Plan(
        "Globex",
        "salesforce",
        "Salesforce -> Warehouse",
        24,
        3_100,
        SCHEMA_REFRESH,
        _streams("Opportunity", "Lead"),
    ),
    Plan(
        "Globex",
        "google-analytics-data-api",
        "Analytics -> Warehouse",
        24,
        1_900,
        PLATFORM,
        _streams("daily_active_users", "pages"),
        status="inactive",
    ),
    Plan("Globex", "", "In-house ERP -> Warehouse", 24, 400, TRANSIENT_SOURCE, _streams("stock", "purchases")),
)
