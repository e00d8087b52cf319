"""Throttle tries of passwords and codes: five on an account from an address, and a fair share of the work of hashing.

Only wrong passwords count, each on the account it was for: tries on one account lock nobody out of another. An unknown
account is an account too, for a limit on all unknown ones would tell which are known. Each count cost a hash, which
bounds how many there are: 33 a second, each gone after three minutes.

Addresses at which somebody signed in have a share of their own: those that only try, however many, take none of it. No
client has more than half of it, wherever its members sign in.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cachetools import LRUCache

from gateway.auth import keys
from gateway.auth.fair_share import FairShare
from gateway.auth.guess_throttle import block_of
from gateway.errors import RateLimitExceeded
from gateway.limiter import Limiter, Reservation
from gateway.models import RatePolicy, Session

TRIES = RatePolicy(5, 900)
"""Of one address on one account; of one session on its user's current password; and of one user, changes of it."""
MOST_GOOD_ADDRESSES = 200
"""Of one client. Those at which somebody signed in longest ago are forgotten first, and all of them with the process.
"""


class TryCounter(Protocol):
    """Counts tries of passwords, for this gateway alone or for several that share the counts."""

    async def reserve(self, name: str, policy: RatePolicy) -> Reservation:
        """Count a try beforehand, so that simultaneous ones are no more than the policy allows. Never fails."""
        ...


class LocalTries:
    """Counts the tries at this gateway."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._limiter = Limiter(TRIES)

    async def reserve(self, name: str, policy: RatePolicy) -> Reservation:
        """Count a try beforehand. Never fails."""

        async def forgive() -> None:
            self._limiter.forget(name)

        async def give_back() -> None:
            self._limiter.give_back(name)

        return Reservation(self._limiter.take(name, policy, self._monotonic()), forgive, give_back)


class GoodAddresses:
    """Addresses at which somebody signed in, of each client and of the operator (None): none takes another's room."""

    def __init__(self) -> None:
        self._of_clients: dict[int | None, LRUCache[str, bool]] = {}

    def note(self, block: str, client_id: int | None) -> None:
        """Remember that one of the client's people signed in there."""
        self._of_clients.setdefault(client_id, LRUCache(MOST_GOOD_ADDRESSES))[block] = True

    def clients_at(self, block: str) -> list[int | None]:
        """Return whose people signed in there."""
        return [client_id for client_id, blocks in self._of_clients.items() if block in blocks]


class SignInThrottle:
    """Decides who may have a password checked or hashed, and when."""

    def __init__(self, tries: TryCounter, *, busy_retry: int) -> None:
        self._tries = tries
        self._addresses = FairShare(busy_retry=busy_retry)
        self._good_addresses = FairShare(busy_retry=busy_retry)
        self._good = GoodAddresses()
        self._people = FairShare(busy_retry=busy_retry)

    def slot_at(self, address: str, account: str) -> AbstractAsyncContextManager[None]:
        """Hold the slot of an address to check a password; its accounts take turns. Raises Overloaded on entry.

        An address of several clients is one of whoever has the fewest groups.
        """
        block = block_of(address)
        clients = self._good.clients_at(block)
        if not clients:
            return self._addresses.slot(block, account)
        share = self._good_addresses
        return share.slot(block, account, client_id=min(clients, key=share.groups_of))

    def note_good(self, address: str, client_id: int | None) -> None:
        """Remember that one of the client's people, or of the operator's, gave a right password there."""
        self._good.note(block_of(address), client_id)

    def slot_of(self, person: str, client_id: int | None) -> AbstractAsyncContextManager[None]:
        """Hold the slot of one who is signed in or has a link, by an id. However many addresses wait does not matter.

        The people of a client take turns: however many it has, they cost others the wait for one password. Raises
        Overloaded on entry.
        """
        return self._people.slot(person if client_id is None else f"client {client_id}", person)

    async def count(self, name: str, policy: RatePolicy = TRIES) -> Reservation:
        """Count a try; if it was right, forgive those of this name or give it back. Raises RateLimitExceeded."""
        reservation = await self._tries.reserve(name, policy)
        if not reservation.decision.allowed:
            raise _too_many_tries(reservation.decision.next_token_seconds)
        return reservation


def tries_at(address: str, email: str) -> str:
    """Return the name by which tries on an account from an address are counted; it tells neither."""
    return keys.digest(f"{block_of(address)} {email.casefold()}").hex()


def tries_in(session: Session) -> str:
    """Return the name by which tries on the current password of a session's user are counted."""
    return keys.digest(f"{session.user_id} {session.id}").hex()


def changes_of(user_id: str) -> str:
    """Return the name by which changes of a user's password are counted: each is in the activity."""
    return keys.digest(f"change {user_id}").hex()


def codes_at(address: str, user_id: str) -> str:
    """Return the name by which tries of codes of a user from an address are counted."""
    return keys.digest(f"code {block_of(address)} {user_id}").hex()


def codes_of(user_id: str) -> str:
    """Return the name by which tries of codes of a user from all addresses are counted."""
    return keys.digest(f"code {user_id}").hex()


def _too_many_tries(seconds: int) -> RateLimitExceeded:
    minutes = -(-seconds // 60)
    return RateLimitExceeded(
        f"Too many tries: come back in {minutes} minute{'' if minutes == 1 else 's'}", retry_after=seconds
    )
