"""The pages of operators: a module for each page."""

from gateway.dashboard.admin import (
    activity,
    assignment,
    client,
    client_settings,
    client_users,
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
    "assignment",
    "client",
    "client_settings",
    "client_users",
    "clients",
    "connection",
    "connections",
    "connections_of_clients",
    "job",
    "overview",
    "system",
    "users",
]
