"""The manifest: what operators set up, as one TOML file without secrets that can live in version control."""

from gateway.provisioning.manifest.document import (
    FORMAT,
    FORMAT_LINE,
    format_manifest,
    parse_manifest,
    parse_manifest_bytes,
)
from gateway.provisioning.manifest.manifests import Manifests
from gateway.provisioning.manifest.mapping_check import check_mappings
from gateway.provisioning.manifest.plan import Plan
from gateway.provisioning.manifest.schema import Manifest

__all__ = [
    "FORMAT",
    "FORMAT_LINE",
    "Manifest",
    "Manifests",
    "Plan",
    "check_mappings",
    "format_manifest",
    "parse_manifest",
    "parse_manifest_bytes",
]
