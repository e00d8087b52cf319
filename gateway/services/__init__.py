"""The process-wide collaborators in one frozen record: built cheaply, opened in order, closed in reverse."""

from gateway.services.building import TRACING_EXTRA_MISSING, build_services
from gateway.services.reloader import Reloader
from gateway.services.services import Services, services_of
from gateway.services.timings import Timings

__all__ = [
    "TRACING_EXTRA_MISSING",
    "Reloader",
    "Services",
    "Timings",
    "build_services",
    "services_of",
]
