"""What signing in to the dashboard takes, put together: users, their links, the ways in, second factors, sessions."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.auth.code_check import CodeCheck
from gateway.auth.links import Links
from gateway.auth.password_check import PasswordCheck
from gateway.auth.passwords import Passwords
from gateway.auth.second_factors import SecondFactors
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
    second_factors: SecondFactors
    sessions: Sessions


def build_accounts(
    store: Store,
    passwords: Passwords,
    clock: Clock,
    choice: Callable[[str], str],
    timings: AuthTimings,
    *,
    tries: TryCounter | None = None,
    admins_need_second_factor: bool = False,
) -> Accounts:
    """Build the collaborators around one store. `choice` picks a random character; `tries` is what gateways share."""
    throttle = SignInThrottle(tries or LocalTries(clock.monotonic), busy_retry=timings.busy_retry)
    links = Links(store, clock, choice, life=timings.link_life)
    users = Users(store, links, clock, choice)
    sessions = Sessions(store, clock, choice, timings.session, admins_need_second_factor=admins_need_second_factor)
    check, codes = PasswordCheck(store, passwords, throttle), CodeCheck(store, clock, throttle)
    sign_in = SignIn(
        store,
        clock,
        choice,
        passwords=passwords,
        throttle=throttle,
        check=check,
        codes=codes,
        users=users,
        links=links,
        sessions=sessions,
        code_wait=timings.code_wait,
    )
    second_factors = SecondFactors(store, clock, choice, throttle=throttle, passwords=check, codes=codes)
    return Accounts(users, links, sign_in, second_factors, sessions)
