"""Check an installation as an operator would, and say for each thing found wrong what to do."""

from gateway.doctor.finding import Finding
from gateway.doctor.runner import run_checks

__all__ = ["Finding", "run_checks"]
