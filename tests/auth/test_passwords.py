"""Passwords: which are refused, and what a comparison costs."""

import asyncio
import string
from itertools import islice
from time import process_time

import pytest

from gateway.auth.passwords import JUDGED, LONGEST, SHORTEST, Passwords
from gateway.errors import InvalidInput

GOOD = "seven quiet herons under granite"
PERSONAL = ["ann.summer@acme.example"]
LETTER_LIKE = "4@8({[<369&#!1/|0$5+7%2/"
"""Symbols that may stand for letters: a password of them is the most work to judge."""


@pytest.fixture
def passwords() -> Passwords:
    return Passwords()


async def test_a_password_matches_itself_and_nothing_else(passwords: Passwords) -> None:
    stored = await passwords.hash(GOOD, personal=PERSONAL)

    assert await passwords.matches(GOOD, stored)
    for other in (GOOD.upper(), f"{GOOD} ", f" {GOOD}", GOOD[:-1], "", "Seven quiet herons under granite"):
        assert not await passwords.matches(other, stored)


async def test_a_hash_is_argon2id_of_the_recommended_cost_and_never_the_same(passwords: Passwords) -> None:
    first, second = [await passwords.hash(GOOD, personal=PERSONAL) for _ in range(2)]

    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert GOOD not in first


WEAK = [
    "",
    "x" * (SHORTEST - 1),
    "x" * (LONGEST + 1),
    "x" * 60_000,
    "passwordpassword",
    "password1234",
    "P@ssw0rd1234",
    "123456789012",
    "qwertyuiopas",
    "iloveyou2026",
    "aaaaaaaaaaaa",
    "abcabcabcabc",
    "ann.summer@acme.example",
    "Ann.Summer1!",
    "Summer.Summer.Summer",
    "correctpassword"[:12],
]


async def test_short_long_common_and_personal_passwords_are_refused(passwords: Passwords) -> None:
    for password in WEAK:
        with pytest.raises(InvalidInput):
            await passwords.hash(password, personal=PERSONAL)


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "kV9#mQ2x!rT7",
        "Bär, Öl und 7 Töpfe",
        "пять тихих цапель",
        "鷺が七羽、花崗岩の下で眠っている",
        " a leading space counts ",
        "nul\x00byte in the middle of it",
        (GOOD * 8)[:LONGEST],
    ],
)
async def test_good_passwords_of_any_script_are_taken(passwords: Passwords, password: str) -> None:
    assert await passwords.matches(password, await passwords.hash(password, personal=PERSONAL))


async def test_what_is_longer_than_a_password_may_be_never_matches(passwords: Passwords) -> None:
    longest = (GOOD * 8)[:LONGEST]
    stored = await passwords.hash(longest, personal=PERSONAL)

    assert not await passwords.matches(f"{longest}x", stored)
    assert not await passwords.matches(longest * 300, stored)


@pytest.mark.parametrize("symbols", [LETTER_LIKE, string.printable[:94], "0123456789/-. ", "a1!|l7t+$5s"])
async def test_judging_the_most_laborious_password_is_soon_over(passwords: Passwords, symbols: str) -> None:
    started = process_time()
    for offset in range(0, len(symbols), 7):
        repeated = islice(symbols * 20, offset, offset + LONGEST)
        try:
            await passwords.hash("".join(repeated), personal=["@".join([LETTER_LIKE] * 5)])
        except InvalidInput:
            continue

    # Some ten estimates; of the whole password, one alone would take longer.
    assert process_time() - started < 6
    assert JUDGED < LONGEST


@pytest.mark.parametrize("personal", [[], [""], ["@"], ["..@.."], ["a" * 254], ["é@ü.example"]])
async def test_odd_addresses_do_not_disturb_the_judgement(passwords: Passwords, personal: list[str]) -> None:
    assert await passwords.hash(GOOD, personal=personal)


async def test_nobodys_password_takes_as_long_as_a_wrong_one(passwords: Passwords) -> None:
    stored = await passwords.hash(GOOD, personal=PERSONAL)
    assert not await passwords.matches("", None)

    async def least_work(password_hash: str | None) -> float:
        """Of the processor: what others do on this machine takes time, too."""
        seconds = []
        for _ in range(7):
            started = process_time()
            assert not await passwords.matches("a wrong password", password_hash)
            seconds.append(process_time() - started)
        return min(seconds)

    assert await least_work(None) == pytest.approx(await least_work(stored), rel=0.5)


async def test_the_event_loop_goes_on_while_a_password_is_hashed(passwords: Passwords) -> None:
    turns = 0
    hashing = asyncio.create_task(passwords.hash(GOOD, personal=PERSONAL))
    while not hashing.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns > 20
