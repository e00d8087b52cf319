"""The pages of operators: a module for each page."""

from gateway.dashboard.admin import (
    activity,
    client,
    clients,
    connection,
    connections,
    connections_of_clients,
    job,
    overview,
    system,
    users,
)

__all__ = [
    "activity",
    "client",
    "clients",
    "connection",
    "connections",
    "connections_of_clients",
    "job",
    "overview",
    "system",
    "users",
]
