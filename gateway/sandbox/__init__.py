"""A stand-in Airbyte that answers as the real one does, byte for byte where clients look. Imports nothing of ours."""

from gateway.sandbox.app import PUBLIC_API, Sandbox
from gateway.sandbox.faults import Answer, Faults
from gateway.sandbox.middleware import RecordedRequest
from gateway.sandbox.records import Connection, Job, Workspace
from gateway.sandbox.timeline import Pace
from gateway.sandbox.world import World

__all__ = [
    "PUBLIC_API",
    "Answer",
    "Connection",
    "Faults",
    "Job",
    "Pace",
    "RecordedRequest",
    "Sandbox",
    "Workspace",
    "World",
]
