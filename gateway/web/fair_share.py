"""Tell how much of what is scarce a group of callers may have: nobody has all there is."""

from collections.abc import Hashable

Group = Hashable
"""A client, or the address block of a caller of whom nothing else is known."""

GREED = 4
"""One group alone may have four fifths of what there is."""


def has_share(own: int, all_groups: int, most: float) -> bool:
    """Return whether a group that has `own` may have one more, when all groups together have `all_groups` of `most`.

    It may have `GREED` times what is left. So something is always left for a group that has none, and what many groups
    leave each other is equal; no group is compared with another (dynamic thresholds, Choudhury and Hahne 1998).
    """
    return own <= GREED * (most - all_groups)
