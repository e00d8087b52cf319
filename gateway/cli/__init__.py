"""The command line: one module for each noun. The only place that prints."""

from gateway.cli.main import main

__all__ = ["main"]
