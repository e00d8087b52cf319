"""Text that must not be seen: masked in every print, log and traceback, by its type."""

import hmac
from urllib.parse import urlsplit

MASK = "********"


class Secret:
    """`reveal()` is the value; everything else shows a mask, or nothing when there is no value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text, for whoever it is meant for: never for a log or an error."""
        return self._value

    @property
    def has_secret(self) -> bool:
        """Whether there is one at all."""
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return MASK if self._value else "''"


class SecretUrl(Secret):
    """An address that may have a password in it, which is all that is masked."""

    @property
    def has_secret(self) -> bool:
        """Whether there is a password in it."""
        return bool(self._parts()[1])

    def __repr__(self) -> str:
        before, password, after = self._parts()
        return f"{before}{MASK if password else ''}{after}"

    def _parts(self) -> tuple[str, str, str]:
        """Return what is before the password, the password, and what is after. What cannot be read is all password."""
        try:
            location = urlsplit(self._value).netloc
        except ValueError:
            return "", self._value, ""
        user, at, _ = location.rpartition("@")
        name, colon, password = user.partition(":")
        if not at and "@" in self._value:
            return "", self._value, ""
        if not password:
            return self._value, "", ""
        before, _, after = self._value.partition(f"{name}{colon}{password}@")
        return f"{before}{name}{colon}", password, f"@{after}"
