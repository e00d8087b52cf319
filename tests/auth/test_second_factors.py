"""Second factors: what a sign-in asks for, and what is used up, with the clock in the hand."""

import asyncio

import pytest
from pyotp import TOTP
from structlog.testing import capture_logs

from gateway.auth.accounts import Accounts
from gateway.auth.code_check import ACCOUNT_TRIES, CodeCheck
from gateway.auth.sessions import Browser
from gateway.auth.sign_in_throttle import TRIES, LocalTries, SignInThrottle
from gateway.errors import (
    CodeRefused,
    InvalidInput,
    LinkEnded,
    RateLimitExceeded,
    SignInEnded,
    SignInRefused,
    StorageUnavailable,
)
from gateway.models import COMMAND_LINE, User, Visitor
from gateway.store import Proof
from gateway.telemetry.log import configure_log
from tests.auth.support import (
    ANN,
    BOB,
    ELSEWHERE,
    HERE,
    OLGA,
    OTHER_PASSWORD,
    PASSWORD,
    WRONG,
    accepted,
    accounts_of,
    actions,
    is_signed_in,
    written_in_order,
)
from tests.support import World

STEP = 30
WRONG_CODE = "000000"


class Person:
    """Somebody with an app for one-time codes."""

    def __init__(self, world: World, accounts: Accounts, user: User, session: str) -> None:
        self.world = world
        self.accounts = accounts
        self.user = user
        self.session = session
        self.secret = ""
        self.recovery_codes: list[str] = []

    def code(self) -> str:
        """What the app shows now."""
        return TOTP(self.secret).at(self.world.clock.now())

    def next_code(self) -> str:
        """What the app shows half a minute later, which it is then."""
        self.world.clock.advance(STEP)
        return self.code()

    async def visitor(self) -> Visitor:
        visitor = await self.accounts.sessions.visitor(self.session)
        assert visitor
        return visitor

    async def set_up(self) -> None:
        self.secret = await self.accounts.second_factors.set_up(await self.visitor(), PASSWORD, HERE)

    async def switch_on(self) -> None:
        await self.set_up()
        self.recovery_codes = await self.accounts.second_factors.switch_on(
            await self.visitor(), PASSWORD, self.code(), HERE
        )

    async def pending(self, browser: Browser = HERE) -> str:
        """The secret of a sign-in that waits for a code."""
        signed_in = await self.accounts.sign_in.by_password(self.user.email, PASSWORD, browser)
        assert signed_in.needs_code
        return signed_in.secret

    async def sign_in(self, code: str, browser: Browser = HERE) -> str:
        return await self.accounts.sign_in.by_code(await self.pending(browser), code, browser)


async def a_person(world: World, accounts: Accounts, email: str = ANN, slug: str | None = "acme") -> Person:
    return Person(world, accounts, *await accepted(accounts, email, slug))


@pytest.fixture
async def ann(world: World, accounts: Accounts) -> Person:
    """With a second factor."""
    person = await a_person(world, accounts)
    await person.switch_on()
    return person


async def test_a_password_alone_opens_nothing(ann: Person) -> None:
    pending = await ann.pending()

    assert not await is_signed_in(ann.accounts, pending)
    session = await ann.accounts.sign_in.by_code(pending, ann.next_code(), HERE)
    assert await is_signed_in(ann.accounts, session)
    with pytest.raises(SignInEnded):
        await ann.accounts.sign_in.by_code(pending, ann.next_code(), HERE)


async def test_whoever_has_none_is_asked_for_none(world: World, accounts: Accounts, ann: Person) -> None:
    bob = await a_person(world, accounts, BOB)

    assert not (await accounts.sign_in.by_password(BOB, PASSWORD, HERE)).needs_code
    await bob.set_up()
    assert not (await accounts.sign_in.by_password(BOB, PASSWORD, HERE)).needs_code
    with pytest.raises(CodeRefused):
        await ann.accounts.sign_in.by_code(await ann.pending(), bob.code(), HERE)


async def test_a_code_counts_once(ann: Person) -> None:
    with pytest.raises(CodeRefused):  # It was used to switch the second factor on.
        await ann.sign_in(ann.code())
    code = ann.next_code()
    assert await ann.sign_in(code)
    with pytest.raises(CodeRefused):
        await ann.sign_in(code)
    ann.world.clock.advance(STEP)
    with pytest.raises(CodeRefused):  # It is the step before now.
        await ann.sign_in(code)
    assert await ann.sign_in(ann.code())


async def test_after_a_code_of_the_future_none_of_the_past_counts(ann: Person) -> None:
    now = ann.next_code()
    fast = TOTP(ann.secret).at(ann.world.clock.now(), counter_offset=1)

    assert await ann.sign_in(fast)
    with pytest.raises(CodeRefused):
        await ann.sign_in(now)


async def test_of_two_with_one_code_one_gets_in(world: World, ann: Person) -> None:
    other = accounts_of(world)
    first, second = await ann.pending(), await ann.pending(ELSEWHERE)
    code = ann.next_code()

    results = await asyncio.gather(
        ann.accounts.sign_in.by_code(first, code, HERE),
        other.sign_in.by_code(second, code, ELSEWHERE),
        return_exceptions=True,
    )

    assert [type(result) for result in results if not isinstance(result, str)] == [CodeRefused]


async def test_two_gateways_on_one_database_know_the_same(world: World, ann: Person) -> None:
    other = accounts_of(world)
    pending = await ann.pending()
    with pytest.raises(CodeRefused):
        await ann.accounts.sign_in.by_code(pending, WRONG_CODE, HERE)
    code = ann.next_code()

    assert await is_signed_in(ann.accounts, await other.sign_in.by_code(pending, code, HERE))
    with pytest.raises(CodeRefused):
        await ann.sign_in(code)


async def test_a_sign_in_has_five_tries_whatever_gateway_is_asked(world: World, ann: Person) -> None:
    other, pending = accounts_of(world), await ann.pending()
    for number in range(4):
        with pytest.raises(CodeRefused):
            await (ann.accounts, other)[number % 2].sign_in.by_code(pending, WRONG_CODE, HERE)
    with pytest.raises(SignInEnded):
        await ann.accounts.sign_in.by_code(pending, WRONG_CODE, HERE)

    with pytest.raises(SignInEnded):
        await other.sign_in.by_code(pending, ann.next_code(), HERE)


async def test_a_sign_in_waits_five_minutes(ann: Person) -> None:
    pending = await ann.pending()
    ann.world.clock.advance(300 - STEP)
    late = await ann.pending()
    ann.world.clock.advance(STEP)

    with pytest.raises(SignInEnded):
        await ann.accounts.sign_in.by_code(pending, ann.code(), HERE)
    assert await ann.accounts.sign_in.by_code(late, ann.code(), HERE)


@pytest.mark.parametrize("pending", ["", "x", "\xff" * 43, "x" * 60_000])
async def test_an_invented_sign_in_waits_for_nothing(ann: Person, pending: str) -> None:
    with pytest.raises(SignInEnded):
        await ann.accounts.sign_in.by_code(pending, ann.next_code(), HERE)


@pytest.mark.parametrize("typed", ["", WRONG_CODE, "x", "1234567", "١٢٣٤٥٦", "a" * 60_000, "' OR 1=1 --", "12345\x00"])
async def test_nonsense_is_a_wrong_code(ann: Person, typed: str) -> None:
    with pytest.raises(CodeRefused):
        await ann.sign_in(typed)


async def test_each_recovery_code_stands_in_once(world: World, ann: Person) -> None:
    first, second, *_ = ann.recovery_codes
    assert await ann.accounts.second_factors.count_recovery_codes(ann.user) == 10

    assert await ann.sign_in(f" {first.upper().replace('-', '')} ")
    with pytest.raises(CodeRefused):
        await ann.sign_in(first)
    assert await ann.sign_in(second)

    assert await ann.accounts.second_factors.count_recovery_codes(ann.user) == 8
    assert [action for _, action, _ in await actions(world)].count("user.recovery-code") == 2


async def test_of_two_with_one_recovery_code_one_gets_in(ann: Person) -> None:
    pending = [await ann.pending() for _ in range(2)]

    results = await asyncio.gather(
        *(ann.accounts.sign_in.by_code(each, ann.recovery_codes[0], HERE) for each in pending), return_exceptions=True
    )

    assert [type(result) for result in results if not isinstance(result, str)] == [CodeRefused]


async def test_recovery_codes_are_of_their_own_person(world: World, accounts: Accounts, ann: Person) -> None:
    bob = await a_person(world, accounts, BOB)
    await bob.switch_on()

    with pytest.raises(CodeRefused):
        await bob.sign_in(ann.recovery_codes[0])
    assert await ann.sign_in(ann.recovery_codes[0])


async def test_new_recovery_codes_end_the_old_ones(ann: Person) -> None:
    old = ann.recovery_codes
    new = await ann.accounts.second_factors.renew_recovery_codes(await ann.visitor(), PASSWORD, ann.next_code(), HERE)

    assert len(set(old) | set(new)) == 20
    with pytest.raises(CodeRefused):
        await ann.sign_in(old[0])
    assert await ann.sign_in(new[0])


async def wrong_until_refused(ann: Person, browser: Browser, *, at_most: int = 50) -> int:
    """How many wrong codes are looked at before the next is refused unseen, whatever is signed in meanwhile."""
    pending = ""
    for number in range(at_most):
        try:
            if number % 4 == 0:
                pending = await ann.pending(browser)
            await ann.accounts.sign_in.by_code(pending, WRONG_CODE, browser)
        except CodeRefused:
            continue
        except RateLimitExceeded:
            return number
    return at_most


async def test_who_knows_the_password_has_five_codes_at_an_address_and_locks_nobody_out_elsewhere(ann: Person) -> None:
    assert await wrong_until_refused(ann, HERE) == TRIES.requests == 5
    pending = await ann.pending()  # The right password is taken all the same.
    with pytest.raises(RateLimitExceeded):
        await ann.accounts.sign_in.by_code(pending, ann.next_code(), HERE)

    assert await ann.sign_in(ann.code(), ELSEWHERE)


async def test_wrong_codes_count_from_all_addresses_together_and_a_recovery_code_still_opens(ann: Person) -> None:
    many = [Browser(f"203.0.113.{number}", "curl", "request") for number in range(9)]
    counted = [await wrong_until_refused(ann, browser) for browser in many]

    assert sum(counted) == ACCOUNT_TRIES.requests == 20
    with pytest.raises(RateLimitExceeded):
        await ann.sign_in(ann.next_code(), ELSEWHERE)
    assert await ann.sign_in(ann.recovery_codes[0], ELSEWHERE)


async def wrong_then_right(ann: Person, times: int) -> None:
    for _ in range(times):
        pending = await ann.pending()
        with pytest.raises(CodeRefused):
            await ann.accounts.sign_in.by_code(pending, WRONG_CODE, HERE)
        await ann.accounts.sign_in.by_code(pending, ann.next_code(), HERE)


async def test_a_right_code_forgives_the_wrong_ones_of_its_address(ann: Person) -> None:
    await wrong_then_right(ann, TRIES.requests * 2)

    assert await wrong_until_refused(ann, HERE) == TRIES.requests


async def test_a_right_code_does_not_forgive_the_wrong_ones_of_a_day(ann: Person) -> None:
    await wrong_then_right(ann, 8)
    many = [Browser(f"203.0.113.{number}", "curl", "request") for number in range(9)]

    assert sum([await wrong_until_refused(ann, browser) for browser in many]) == ACCOUNT_TRIES.requests - 8


async def test_right_codes_do_not_count(ann: Person) -> None:
    for _ in range(ACCOUNT_TRIES.requests + 1):
        assert await ann.sign_in(ann.next_code())


async def test_a_failing_database_costs_no_try(world: World, ann: Person) -> None:
    throttle = SignInThrottle(LocalTries(world.clock.monotonic), busy_retry=2)
    check = CodeCheck(world.services.store, world.clock, throttle)

    async def fail(_: Proof | None) -> bool:
        raise StorageUnavailable(detail="the disk is full")

    async def refuse(_: Proof | None) -> bool:
        return False

    for _ in range(ACCOUNT_TRIES.requests + 1):
        with pytest.raises(StorageUnavailable):
            await check.take(ann.user, WRONG_CODE, HERE, fail)
    for _ in range(TRIES.requests):
        with pytest.raises(CodeRefused):
            await check.take(ann.user, WRONG_CODE, HERE, refuse)
    with pytest.raises(RateLimitExceeded):
        await check.take(ann.user, WRONG_CODE, HERE, refuse)


async def test_a_recovery_code_opens_also_from_the_address_whose_codes_are_used_up(ann: Person) -> None:
    assert await wrong_until_refused(ann, HERE) == TRIES.requests

    assert await ann.sign_in(ann.recovery_codes[0], HERE)


async def test_switching_on_takes_password_and_code_and_ends_other_sessions(world: World, accounts: Accounts) -> None:
    ann = await a_person(world, accounts)
    other = (await accounts.sign_in.by_password(ANN, PASSWORD, ELSEWHERE)).secret
    await ann.set_up()
    visitor = await ann.visitor()
    for password, code, why in ((WRONG, ann.code(), "password is wrong"), (PASSWORD, WRONG_CODE, "code is wrong")):
        with pytest.raises(SignInRefused, match=why):
            await accounts.second_factors.switch_on(visitor, password, code, HERE)
    assert await is_signed_in(accounts, other)

    await accounts.second_factors.switch_on(visitor, PASSWORD, ann.code(), HERE)

    assert [await is_signed_in(accounts, each) for each in (ann.session, other)] == [True, False]
    assert (await ann.visitor()).user.has_second_factor
    assert (await actions(world))[-1] == (ANN, "user.second-factor-on", HERE.address)


async def test_setting_up_takes_the_password_and_makes_a_new_secret(world: World, accounts: Accounts) -> None:
    ann = await a_person(world, accounts)
    await ann.set_up()
    first = ann.secret
    with pytest.raises(SignInRefused, match="password is wrong"):
        await accounts.second_factors.set_up(await ann.visitor(), WRONG, HERE)
    assert await accounts.second_factors.secret_being_set_up(ann.user) == first

    await ann.set_up()

    assert ann.secret != first
    assert await accounts.second_factors.secret_being_set_up(ann.user) == ann.secret


async def test_the_secret_is_told_until_it_is_on_and_stays_then(ann: Person) -> None:
    assert await ann.accounts.second_factors.secret_being_set_up(ann.user) is None
    with pytest.raises(InvalidInput):
        await ann.accounts.second_factors.set_up(await ann.visitor(), PASSWORD, HERE)
    with pytest.raises(CodeRefused):  # A form that was submitted twice.
        await ann.accounts.second_factors.switch_on(await ann.visitor(), PASSWORD, ann.next_code(), HERE)
    assert await ann.sign_in(ann.next_code())


async def test_a_secret_that_was_replaced_meanwhile_switches_nothing_on(world: World, accounts: Accounts) -> None:
    ann = await a_person(world, accounts)
    await ann.set_up()
    code = ann.code()
    await ann.set_up()

    with pytest.raises(CodeRefused):
        await accounts.second_factors.switch_on(await ann.visitor(), PASSWORD, code, HERE)


async def test_switching_off_takes_password_and_code(world: World, ann: Person) -> None:
    visitor, off = await ann.visitor(), ann.accounts.second_factors.switch_off
    for password, code in ((WRONG, ann.next_code()), (PASSWORD, WRONG_CODE), (PASSWORD, "")):
        with pytest.raises(SignInRefused):
            await off(visitor, password, code, HERE)
    assert await ann.pending()

    await off(visitor, PASSWORD, ann.next_code(), HERE)

    assert not (await ann.accounts.sign_in.by_password(ANN, PASSWORD, HERE)).needs_code
    assert await ann.accounts.second_factors.count_recovery_codes(ann.user) == 0
    assert "user.second-factor-off" in [action for _, action, _ in await actions(world)]


async def test_who_lost_the_phone_switches_off_with_a_recovery_code(ann: Person) -> None:
    await ann.accounts.second_factors.switch_off(await ann.visitor(), PASSWORD, ann.recovery_codes[0], HERE)

    assert not (await ann.visitor()).user.has_second_factor


async def test_the_operator_resets_a_lost_one(world: World, ann: Person) -> None:
    pending = await ann.pending()

    await ann.accounts.second_factors.reset(ann.user, by=COMMAND_LINE)

    assert (await actions(world))[-1] == ("command line", "user.second-factor-reset", None)
    with pytest.raises(SignInEnded):
        await ann.accounts.sign_in.by_code(pending, ann.next_code(), HERE)
    assert not (await ann.accounts.sign_in.by_password(ANN, PASSWORD, HERE)).needs_code
    with pytest.raises(InvalidInput, match="has no second factor"):
        await ann.accounts.second_factors.reset(ann.user, by=COMMAND_LINE)


async def test_a_link_for_a_new_password_does_not_switch_it_off(ann: Person) -> None:
    link = await ann.accounts.users.reset(ann.user, by=COMMAND_LINE)

    signed_in = await ann.accounts.sign_in.set_password(link, OTHER_PASSWORD, HERE)

    assert signed_in.needs_code
    assert not await is_signed_in(ann.accounts, ann.session)
    assert await ann.accounts.sign_in.by_code(signed_in.secret, ann.next_code(), HERE)


async def test_a_link_to_look_around_does_not_stand_in_for_it(ann: Person) -> None:
    link = await ann.accounts.links.to_visit(ann.user)

    with pytest.raises(SignInRefused):
        await ann.accounts.sign_in.by_link(link, HERE)


async def test_a_changed_password_ends_what_waits_for_a_code(ann: Person) -> None:
    pending = await ann.pending()

    session = await ann.accounts.sign_in.change_password(await ann.visitor(), PASSWORD, OTHER_PASSWORD, HERE)

    assert await is_signed_in(ann.accounts, session)
    with pytest.raises(SignInEnded):
        await ann.accounts.sign_in.by_code(pending, ann.next_code(), HERE)


async def test_a_removed_person_signs_in_no_more(ann: Person) -> None:
    pending = await ann.pending()
    await ann.accounts.users.remove(ann.user, by=COMMAND_LINE)

    with pytest.raises(SignInEnded):
        await ann.accounts.sign_in.by_code(pending, ann.next_code(), HERE)


async def test_a_sign_in_that_was_under_way_does_not_pass_a_second_factor_that_came_meanwhile(
    world: World, accounts: Accounts
) -> None:
    ann = await a_person(world, accounts)
    await ann.set_up()

    on, late = await written_in_order(
        world,
        accounts.second_factors.switch_on(await ann.visitor(), PASSWORD, ann.code(), HERE),
        accounts.sign_in.by_password(ANN, PASSWORD, ELSEWHERE),
    )

    assert len(on) == 10
    assert isinstance(late, SignInRefused)
    assert len(await accounts.sessions.of_user(ann.user)) == 1


async def test_a_disabled_client_is_told_after_the_right_code_too(world: World, ann: Person) -> None:
    pending = await ann.pending()
    await world.services.clients.disable("acme")

    with pytest.raises(SignInRefused, match=r"^Access for Acme is disabled\."):
        await ann.accounts.sign_in.by_code(pending, ann.next_code(), HERE)


async def test_an_admin_who_must_have_one_lacks_it_until_it_is_on(world: World, accounts: Accounts) -> None:
    strict = accounts_of(world, admins_need_second_factor=True)
    olga, bob = await a_person(world, strict, OLGA, None), await a_person(world, strict, BOB)
    assert [(await each.visitor()).lacks_second_factor for each in (olga, bob)] == [True, False]
    lenient = await accounts.sessions.visitor(olga.session)
    assert lenient
    assert not lenient.lacks_second_factor

    await olga.switch_on()

    assert not (await olga.visitor()).lacks_second_factor


async def test_what_is_kept_and_logged(world: World, ann: Person) -> None:
    pending = await ann.pending()
    configure_log(level="info", style="json")
    with capture_logs() as lines, pytest.raises(CodeRefused):
        await ann.accounts.sign_in.by_code(pending, WRONG_CODE, HERE)
    assert [line["event"] for line in lines] == ["code_refused"]
    assert WRONG_CODE not in repr(lines)

    tables = ("users", "recovery_codes", "pending_sign_ins", "sessions", "activity")
    rows = [await world.services.store.database.fetch_all(f"SELECT * FROM {table}") for table in tables]
    text = "".join(repr(tuple(row)) for table in rows for row in table)
    assert ann.secret in text  # A code cannot be compared with a digest: SECURITY.md says so.
    for secret in (pending, *ann.recovery_codes, *(code.replace("-", "") for code in ann.recovery_codes)):
        assert secret not in text
    held = await world.services.store.second_factors.secret_of(ann.user.id)
    assert ann.secret not in repr(held)


async def test_a_link_that_was_used_is_over_with_a_second_factor_too(ann: Person) -> None:
    link = await ann.accounts.users.reset(ann.user, by=COMMAND_LINE)
    await ann.accounts.sign_in.set_password(link, OTHER_PASSWORD, HERE)

    with pytest.raises(LinkEnded):
        await ann.accounts.sign_in.set_password(link, PASSWORD, HERE)
