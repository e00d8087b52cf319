"""The self-hosted API gateway that lets one Airbyte safely serve many customers."""

__version__ = "0.1.0"
