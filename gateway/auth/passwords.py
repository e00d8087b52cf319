"""Judge passwords, and hash and compare them without blocking the event loop.

A hash costs some 20 MB and 30 ms on purpose (OWASP's argon2id parameters): one at a time, in a thread of its own, first
in, first out. The API goes on meanwhile. `sign_in_throttle` bounds who may wait for it.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

from gateway.errors import PasswordRefused

SHORTEST = 12
LONGEST = 200
JUDGED = 20
"""Characters whose guessability is estimated. Of 72 with every symbol that may stand for a letter, an estimate takes
ten seconds; of 20 a fifth of one."""
LEAST_SCORE = 3
"""Of zxcvbn's 0 to 4: more than 10^8 guesses, beyond lists of common passwords and their variations."""
MEMORY_KIB = 19_456
"""Of a hash, and by far the most of its time; tests that hash many times take less."""
ADDRESS_PART = re.compile(r"[^.@]+")

Value = TypeVar("Value")


class Passwords:
    """Hashes and compares passwords, one at a time in a thread."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB) -> None:
        self._memory_kib = memory_kib
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._decoy: str | None = None

    async def hash(self, password: str, *, personal: Iterable[str]) -> str:
        """Return an argon2id hash.

        Raises PasswordRefused for one that is too short, too common or made of `personal` words.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            raise PasswordRefused(f"a password has {SHORTEST} to {LONGEST} characters")
        words = [word[:JUDGED] for text in personal for word in (text, *text.split("@"), *ADDRESS_PART.findall(text))]
        return await self._run(lambda: self._hash_judged(password, words))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Tell whether the password has this hash. None, nobody's, takes the same work and never matches."""
        if len(password) > LONGEST:
            password, password_hash = password[:LONGEST], None
        return await self._run(lambda: self._matches(password, password_hash))

    @cached_property
    def _hasher(self) -> Any:
        from argon2 import PasswordHasher  # noqa: PLC0415 - a process that serves no pages hashes nothing

        return PasswordHasher(time_cost=2, memory_cost=self._memory_kib, parallelism=1)

    def _hash_judged(self, password: str, words: list[str]) -> str:
        from zxcvbn import zxcvbn  # noqa: PLC0415 - its word lists take 14 MB, which most processes never need

        verdict = zxcvbn(password[:JUDGED], user_inputs=words)
        if verdict["score"] < LEAST_SCORE:
            raise PasswordRefused("this password is too easy to guess: take a few words that do not belong together")
        return str(self._hasher.hash(password))

    def _matches(self, password: str, password_hash: str | None) -> bool:
        from argon2.exceptions import VerificationError  # noqa: PLC0415 - as above

        if self._decoy is None:
            self._decoy = self._hasher.hash("")
        try:
            self._hasher.verify(password_hash or self._decoy, password)
        except VerificationError:
            return False
        return password_hash is not None

    async def _run(self, work: Callable[[], Value]) -> Value:
        """Do the work in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
