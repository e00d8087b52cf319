"""What the operator is told of by himself."""

import msgspec


class Notice(msgspec.Struct, frozen=True):
    """A matter that needs the operator. `matter` names it for as long as it lasts; `is_over` tells its end."""

    matter: str
    text: str
    since: str
    is_over: bool = False
