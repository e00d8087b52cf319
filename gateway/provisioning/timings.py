"""How old and how late the list of Airbyte's connections may be."""

import msgspec


class DiscoveryTimings(msgspec.Struct, frozen=True):
    """Seconds of reading what Airbyte has."""

    fresh: float = 60.0
    """A list is read again after so long: it takes a call for every twenty connections."""

    page_wait: float = 2.0
    """A page's longest wait for a list; then it shows what is known so far."""
