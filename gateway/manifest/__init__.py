"""The manifest: what operators set up, as one TOML file without secrets that can live in version control."""

from gateway.manifest.document import FORMAT_LINE, format_manifest, parse_manifest
from gateway.manifest.manifests import Manifests
from gateway.manifest.plan import Plan

__all__ = ["FORMAT_LINE", "Manifests", "Plan", "format_manifest", "parse_manifest"]
