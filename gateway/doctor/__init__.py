"""Looks at an installation as an operator would and says, for each thing found wrong, what to do."""

from gateway.doctor.examination import examine
from gateway.doctor.finding import Finding

__all__ = ["Finding", "examine"]
