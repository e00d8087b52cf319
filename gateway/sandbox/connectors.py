"""Configurations as real connectors have them. Airbyte relays them whole, with secrets masked and hosts in clear."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Final

from gateway.sandbox.failures import PLANTED_HOST

MASKED: Final = "**********"  # what Airbyte shows for a secret
START_DATE: Final = "2024-01-01T00:00:00Z"

SOURCES: Final[Mapping[str, Mapping[str, object]]] = {
    "shopify": {
        "shop": "acme-store",
        "start_date": "2024-01-01",
        "credentials": {"auth_method": "api_password", "api_password": MASKED},
    },
    "postgres": {
        "host": PLANTED_HOST,
        "port": 5432,
        "database": "orders",
        "schemas": ["public"],
        "username": "reader",
        "password": MASKED,
        "ssl_mode": {"mode": "require"},
        "replication_method": {"method": "Xmin"},
        "tunnel_method": {"tunnel_method": "NO_TUNNEL"},
    },
    "google-ads": {
        "customer_id": "1234567890",
        "start_date": "2024-01-01",
        "conversion_window_days": 14,
        "credentials": {
            "client_id": "918273645.apps.googleusercontent.com",
            "client_secret": MASKED,
            "developer_token": MASKED,
            "refresh_token": MASKED,
        },
    },
    "stripe": {"account_id": "acct_1Acme0Example", "client_secret": MASKED, "start_date": START_DATE},
    "hubspot": {
        "start_date": START_DATE,
        "credentials": {
            "credentials_title": "OAuth Credentials",
            "client_id": "2f1c7f6e-acme",
            "client_secret": MASKED,
            "refresh_token": MASKED,
        },
    },
    "facebook-marketing": {
        "account_ids": ["111111111111111"],
        "start_date": START_DATE,
        "credentials": {"auth_type": "Service", "access_token": MASKED},
    },
    "salesforce": {
        "auth_type": "Client",
        "client_id": "3MVG9.globex",
        "client_secret": MASKED,
        "refresh_token": MASKED,
        "is_sandbox": False,
        "start_date": START_DATE,
    },
    "google-analytics-data-api": {
        "property_ids": ["123456789"],
        "date_ranges_start_date": "2024-01-01",
        "credentials": {"auth_type": "Service", "credentials_json": MASKED},
    },
}
DESTINATIONS: Final[Mapping[str, Mapping[str, object]]] = {
    "bigquery": {
        "project_id": "operator-warehouse",
        "dataset_id": "acme",
        "dataset_location": "EU",
        "credentials_json": MASKED,
        "loading_method": {"method": "Standard"},
    },
    "snowflake": {
        "host": "operator.snowflakecomputing.com",
        "role": "AIRBYTE_ROLE",
        "warehouse": "AIRBYTE_WAREHOUSE",
        "database": "CUSTOMERS",
        "schema": "GLOBEX",
        "username": "AIRBYTE_USER",
        "credentials": {"auth_type": "Username and Password", "password": MASKED},
    },
}


def source_configuration(kind: str) -> dict[str, object]:
    """Return the configuration that a source of this kind shows."""
    return _configuration(SOURCES, kind)


def destination_configuration(kind: str) -> dict[str, object]:
    """Return the configuration that a destination of this kind shows."""
    return _configuration(DESTINATIONS, kind)


def _configuration(known: Mapping[str, Mapping[str, object]], kind: str) -> dict[str, object]:
    """Return a configuration of its own; of a custom connector it has an address and a key."""
    custom = {"base_url": f"https://{kind or 'custom'}.internal.example.com", "api_key": MASKED}
    return deepcopy(dict(known.get(kind, custom)))
