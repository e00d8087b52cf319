"""Looks at an installation as an operator would and says, for each thing found wrong, what to do."""

from gateway.doctor.finding import Finding
from gateway.doctor.runner import examine

__all__ = ["Finding", "examine"]
