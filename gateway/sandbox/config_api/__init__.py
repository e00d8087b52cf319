"""Airbyte's Config API, as far as its clients use it: POST routes, epoch seconds, attempts and failures."""

from gateway.sandbox.config_api.connections import ConfigConnections
from gateway.sandbox.config_api.jobs import ConfigJobs
from gateway.sandbox.config_api.switch import ConfigApiSwitch

__all__ = ["ConfigApiSwitch", "ConfigConnections", "ConfigJobs"]
