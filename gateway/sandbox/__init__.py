"""A stand-in Airbyte that answers as the real one does, byte for byte where clients look. Imports nothing of ours."""

from gateway.sandbox.app import CONFIG_API, PUBLIC_API, Sandbox
from gateway.sandbox.failures import Failure
from gateway.sandbox.faults import Answer, Faults
from gateway.sandbox.middleware import RecordedRequest
from gateway.sandbox.records import Connection, Job, Stream, StreamVolume, Workspace
from gateway.sandbox.timeline import Pace
from gateway.sandbox.world import World

__all__ = [
    "CONFIG_API",
    "PUBLIC_API",
    "Answer",
    "Connection",
    "Failure",
    "Faults",
    "Job",
    "Pace",
    "RecordedRequest",
    "Sandbox",
    "Stream",
    "StreamVolume",
    "Workspace",
    "World",
]
