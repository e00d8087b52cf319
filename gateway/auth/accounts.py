"""What signing in to the dashboard takes, put together: users, their links, the ways in, and sessions."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.auth.links import Links
from gateway.auth.passwords import Passwords
from gateway.auth.sessions import Sessions
from gateway.auth.sign_in import SignIn
from gateway.auth.sign_in_throttle import LocalTries, SignInThrottle, TryCounter
from gateway.auth.timings import AuthTimings
from gateway.auth.users import Users
from gateway.store import Store
from gateway.times import Clock


@dataclass(frozen=True, slots=True)
class Accounts:
    """The collaborators that pages and commands work with."""

    users: Users
    links: Links
    sign_in: SignIn
    sessions: Sessions


def build_accounts(
    store: Store,
    passwords: Passwords,
    clock: Clock,
    choice: Callable[[str], str],
    timings: AuthTimings,
    *,
    tries: TryCounter | None = None,
) -> Accounts:
    """Build the collaborators around one store. `choice` picks a random character; `tries` is what gateways share."""
    links = Links(store, clock, choice, life=timings.link_life)
    users = Users(store, links, clock, choice)
    sessions = Sessions(store, clock, choice, timings.session)
    sign_in = SignIn(
        store,
        clock,
        passwords=passwords,
        throttle=SignInThrottle(tries or LocalTries(clock.monotonic), busy_retry=timings.busy_retry),
        users=users,
        links=links,
        sessions=sessions,
    )
    return Accounts(users, links, sign_in, sessions)
