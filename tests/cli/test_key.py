"""gateway key …"""

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pytest

from gateway.auth.keys import TEXT_PATTERN, digest, display_start, is_well_formed, mint
from gateway.times import format_time, parse_time
from tests.cli.conftest import Cli, environment
from tests.support import BOUND_SECONDS, PROGRAM

ROW = [
    "id",
    "client",
    "start",
    "name",
    "scope",
    "rate",
    "created_at",
    "expires_at",
    "revoked_at",
    "last_used_at",
    "last_used_address",
    "last_used_agent",
]
LISTED = [*ROW, "safe_to_retire"]


@pytest.fixture
def acme(cli: Cli) -> Cli:
    """A command line with one client."""
    cli.ok("client", "add", "--name", "Acme Inc", "--slug", "acme")
    return cli


def creating(*more: str, name: str = "nightly") -> list[str]:
    return ["key", "create", "--client", "acme", f"--name={name}", *more]


def listed(cli: Cli) -> list[dict[str, str | None]]:
    rows = cli.json("key", "list")
    assert isinstance(rows, list)
    return rows


def life(record: dict[str, str]) -> timedelta:
    return parse_time(record["expires_at"]) - parse_time(record["created_at"])


def assert_key_is_nowhere(cli: Cli, key: str) -> None:
    """Neither the key nor its secret part, in any file of the folder."""
    for file in cli.folder.iterdir():
        content = file.read_bytes()
        assert key.encode() not in content
        assert key.removeprefix("smrt_").encode() not in content
        assert key[9:].encode() not in content


def test_create_prints_the_key_alone_on_stdout_and_the_rest_on_stderr(acme: Cli) -> None:
    result = acme.ok(*creating())

    key = result.stdout.removesuffix("\n")
    assert is_well_formed(key)
    assert result.stdout == f"{key}\n"
    assert result.stderr == f"This is {listed(acme)[0]['id']}. The key is shown only now: keep it safe.\n"


def test_create_as_json_begins_with_id_and_key(acme: Cli) -> None:
    result = acme.ok(*creating(), "--json")
    record = json.loads(result.stdout)

    assert list(record) == ["id", "key", *ROW[1:]]
    assert re.fullmatch(r"key_[0-9A-Za-z]{16}", record["id"])
    assert is_well_formed(record["key"])
    assert record["start"] == record["key"][:9] + "…"
    assert (record["client"], record["name"], record["scope"]) == ("acme", "nightly", "full")
    assert [record[field] for field in ("rate", "expires_at", "last_used_at", "revoked_at")] == [None] * 4
    assert result.stderr == ""


def test_every_key_is_another(acme: Cli) -> None:
    keys = {acme.ok(*creating()).stdout for _ in range(5)}

    assert len(keys) == 5


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["plain", "json"])
def test_the_database_holds_the_digest_and_never_the_key(acme: Cli, as_json: list[str]) -> None:
    output = acme.ok(*creating(*as_json)).stdout
    key = json.loads(output)["key"] if as_json else output.strip()

    assert_key_is_nowhere(acme, key)
    connection = sqlite3.connect(acme.database)
    try:
        assert connection.execute("SELECT digest FROM api_keys").fetchall() == [(digest(key),)]
    finally:
        connection.close()


@pytest.mark.parametrize("scope", ["full", "read"])
def test_the_scope_is_kept(acme: Cli, scope: str) -> None:
    assert acme.json(*creating("--scope", scope))["scope"] == scope
    assert listed(acme)[0]["scope"] == scope


@pytest.mark.parametrize("scope", ["", "write", "FULL", "admin"])
def test_an_unknown_scope_is_a_usage_error(acme: Cli, scope: str) -> None:
    result = acme(*creating(f"--scope={scope}"))

    assert result.exit_code == 2
    assert "'full', 'read'" in result.stderr
    assert listed(acme) == []


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        ("90d", timedelta(days=90)),
        ("24h", timedelta(hours=24)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_key_may_live_for_a_while(acme: Cli, expires: str, expected: timedelta) -> None:
    record = acme.json(*creating("--expires", expires))

    # The two moments are read one after the other.
    assert abs(life(record) - expected) < timedelta(seconds=10)


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        ("2130-01-31", "2130-01-31T00:00:00.000Z"),
        ("2130-01-31T12:00:00Z", "2130-01-31T12:00:00.000Z"),
        ("2130-01-31T12:00:00+02:00", "2130-01-31T10:00:00.000Z"),
    ],
)
def test_a_key_may_live_until_a_moment(acme: Cli, expires: str, expected: str) -> None:
    assert acme.json(*creating("--expires", expires))["expires_at"] == expected
    assert listed(acme)[0]["expires_at"] == expected


@pytest.mark.parametrize("expires", ["2020-01-31", "2020-01-31T12:00:00Z", "1970-01-01"])
def test_a_moment_that_is_over_is_refused(acme: Cli, expires: str) -> None:
    assert acme.refusal(*creating("--expires", expires)) == f"{expires} is in the past"
    assert listed(acme) == []


NO_ENDS = ["", "soon", "90", "d", "0d", "-1d", "1.5h", "90 d", "9999999d", "2130-02-30", "2130-01-31T12:00:00", "90d\n"]


def test_what_is_neither_duration_nor_date_is_refused(acme: Cli) -> None:
    advice = "is neither a duration such as 90d nor a date such as 2030-01-31"

    assert [each for each in NO_ENDS if advice not in acme.refusal(*creating(f"--expires={each}"))] == []
    assert listed(acme) == []


@pytest.mark.parametrize("expires", ["999999w", "9999-12-31T23:59:59-05:00"])
def test_an_end_beyond_all_calendars_is_refused(acme: Cli, expires: str) -> None:
    assert expires in acme.refusal(*creating("--expires", expires))
    assert listed(acme) == []


@pytest.mark.parametrize("rate", ["600/60", "1/1", "100/3600", "999999999/9999999"])
def test_a_key_may_have_a_rate_of_its_own(acme: Cli, rate: str) -> None:
    assert acme.json(*creating("--rate", rate))["rate"] == rate
    assert listed(acme)[0]["rate"] == rate


@pytest.mark.parametrize(
    "rate", ["", "600", "0/60", "60/0", "-1/60", "1.5/60", "600/60/1", "600 / 60", "many/60", "600/min", "9999999999/1"]
)
def test_a_bad_rate_is_refused(acme: Cli, rate: str) -> None:
    assert acme.refusal(*creating(f"--rate={rate}")) == "a rate is REQUESTS/SECONDS, for example 100/60"
    assert listed(acme) == []


@pytest.mark.parametrize("name", ["", " ", "na\nme", "na\x1b[2Jme", "x" * 201], ids=ascii)
def test_a_name_that_could_forge_or_hide_a_line_is_refused(acme: Cli, name: str) -> None:
    assert acme.refusal(*creating(name=name)).startswith("the name must be 1 to 200 printable characters")


def test_a_key_for_an_unknown_client_is_refused(cli: Cli) -> None:
    assert cli.refusal(*creating()) == "there is no client with the slug 'acme'; see: gateway client list"


def test_list_shows_the_start_and_never_the_key(acme: Cli) -> None:
    key = acme.ok(*creating("--rate", "600/60", "--expires", "90d")).stdout.strip()

    for result in (acme.ok("key", "list"), acme.ok("key", "list", "--json"), acme.ok("key", "list", "--client=acme")):
        assert key[:9] in result.stdout
        assert key[9:] not in result.stdout + result.stderr
        assert key not in result.stdout + result.stderr


def test_list_tells_every_client_or_one(acme: Cli) -> None:
    acme.ok("client", "add", "--name", "Globex", "--slug", "globex")
    acme.ok("key", "create", "--client", "globex", "--name", "theirs")
    acme.ok(*creating(name="first"))
    acme.ok(*creating(name="second"))

    everyone = [(row["client"], row["name"]) for row in listed(acme)]
    one = acme.json("key", "list", "--client", "acme")

    assert everyone == [("acme", "first"), ("acme", "second"), ("globex", "theirs")]
    assert [row["name"] for row in one] == ["first", "second"]
    assert all(list(row) == LISTED for row in one)


def test_list_is_a_table_for_people(acme: Cli) -> None:
    acme.ok(*creating(name="the nightly report"))

    head, row = acme.ok("key", "list").stdout.splitlines()

    assert head.split() == LISTED
    assert row[head.index("name") :].startswith("the nightly report")


def test_list_tells_which_keys_nobody_called_for_a_fortnight(acme: Cli) -> None:
    old, new = acme.json(*creating(name="old")), acme.json(*creating(name="new"))
    with closing(sqlite3.connect(acme.settings.parent / "gateway.db")) as connection, connection:
        connection.execute("UPDATE api_keys SET created_at = ? WHERE id = ?", ("2026-01-01T00:00:00.000Z", old["id"]))

    assert [row["id"] for row in listed(acme) if row["safe_to_retire"]] == [old["id"]]
    assert len(listed(acme)) == len({old["id"], new["id"]})


def test_list_of_an_unknown_client_is_refused(cli: Cli) -> None:
    assert cli.refusal("key", "list", "--client", "nobody").startswith("there is no client")


def test_revoke_asks_and_names_key_and_client(acme: Cli) -> None:
    record = acme.json(*creating())

    result = acme.ok("key", "revoke", record["id"], answer="y\n")

    assert f"Revoke {record['start']} (nightly) of acme? [y/N]" in result.stderr
    assert result.stdout == f"Revoked {record['id']}.\n"
    assert listed(acme)[0]["revoked_at"] is not None


def test_revoke_answered_with_no_changes_nothing_and_exits_1(acme: Cli) -> None:
    record = acme.json(*creating())
    before = acme.dump()

    assert acme.refusal("key", "revoke", record["id"], answer="n\n") == "nothing was changed"
    assert acme.dump() == before


def test_revoke_leaves_the_clients_other_keys_alone(acme: Cli) -> None:
    first, second = acme.json(*creating()), acme.json(*creating())

    record = acme.json("key", "revoke", first["id"], "--yes")

    assert list(record) == ROW
    assert record["revoked_at"] is not None
    assert [(row["id"], row["revoked_at"] is None) for row in listed(acme)] == [
        (first["id"], False),
        (second["id"], True),
    ]


def test_a_key_revoked_twice_keeps_its_first_time(acme: Cli) -> None:
    key_id = acme.json(*creating())["id"]
    first = acme.json("key", "revoke", key_id, "--yes")

    assert acme.json("key", "revoke", key_id, "--yes")["revoked_at"] == first["revoked_at"]


@pytest.mark.parametrize("words", [["revoke", "key_unknown", "--yes"], ["rotate", "key_unknown"]])
def test_an_unknown_key_is_refused(cli: Cli, words: list[str]) -> None:
    assert cli.refusal("key", *words) == "there is no key 'key_unknown'; see: gateway key list"


def test_rotate_prints_the_successor_alone_on_stdout(acme: Cli) -> None:
    old = acme.json(*creating("--scope", "read", "--rate", "600/60"))

    result = acme.ok("key", "rotate", old["id"])

    key = result.stdout.removesuffix("\n")
    new = listed(acme)[1]
    assert is_well_formed(key)
    assert key != old["key"]
    assert result.stderr.splitlines() == [
        f"This is {new['id']}. The key is shown only now: keep it safe.",
        f"The old key, {old['id']}, ends at {listed(acme)[0]['expires_at']}.",
    ]
    assert [new[field] for field in ("client", "name", "scope", "rate")] == ["acme", "nightly", "read", "600/60"]
    assert_key_is_nowhere(acme, key)


def test_rotate_as_json_begins_with_id_and_key(acme: Cli) -> None:
    old = acme.json(*creating())

    record = acme.json("key", "rotate", old["id"], "--overlap", "7d")

    assert list(record) == ["id", "key", *ROW[1:]]


def test_rotate_lets_the_old_key_live_for_the_overlap(acme: Cli) -> None:
    old = acme.json(*creating())

    new = acme.json("key", "rotate", old["id"], "--overlap", "24h")

    ends = parse_time(str(listed(acme)[0]["expires_at"]))
    assert abs(ends - parse_time(new["created_at"]) - timedelta(hours=24)) < timedelta(seconds=10)
    assert new["expires_at"] is None


def test_rotate_without_overlap_ends_the_old_key_at_once(acme: Cli) -> None:
    old = acme.json(*creating())

    acme.ok("key", "rotate", old["id"], "--overlap", "0s")

    assert str(listed(acme)[0]["expires_at"]) <= format_time(datetime.now(UTC))


@pytest.mark.parametrize("overlap", ["", "soon", "24", "-1h", "0h", "2130-01-31", "999999w"])
def test_what_is_no_overlap_is_refused_and_nothing_is_rotated(acme: Cli, overlap: str) -> None:
    old = acme.json(*creating())
    before = acme.dump()

    line = acme.refusal("key", "rotate", old["id"], f"--overlap={overlap}")

    assert line == f"{overlap!r} is no duration such as 24h, 7d or 0s"
    assert acme.dump() == before


def test_a_revoked_key_cannot_be_rotated(acme: Cli) -> None:
    key_id = acme.json(*creating())["id"]
    acme.ok("key", "revoke", key_id, "--yes")
    before = acme.dump()

    assert acme.refusal("key", "rotate", key_id) == f"the key {key_id} is revoked or expired; create a new one"
    assert acme.dump() == before


def test_a_key_rotated_away_cannot_be_rotated_again(acme: Cli) -> None:
    key_id = acme.json(*creating())["id"]
    acme.ok("key", "rotate", key_id, "--overlap", "0s")

    assert "revoked or expired" in acme.refusal("key", "rotate", key_id)


@pytest.mark.parametrize("form", ["regex", "gitleaks", "github"])
def test_a_pattern_for_scanners_needs_no_settings_and_finds_the_keys_that_are_made(acme: Cli, form: str) -> None:
    key = acme.ok(*creating()).stdout.strip()

    text = acme.ok("key", "pattern", "--format", form).stdout

    expressions = {
        "regex": text.strip(),
        "gitleaks": text.partition("'''")[2].partition("'''")[0],
        "github": text.partition("Secret format ")[2].partition("\n")[0].strip(),
    }
    assert re.fullmatch(expressions[form], key)
    assert acme.ok("key", "pattern").stdout == f"{TEXT_PATTERN}\n"


def by_start(created: dict[str, str]) -> str:
    return created["start"]


def by_start_as_typed(created: dict[str, str]) -> str:
    return created["start"].rstrip("…")


def by_more_of_it(created: dict[str, str]) -> str:
    return created["key"][:20]


def by_all_of_it(created: dict[str, str]) -> str:
    return created["key"]


@pytest.mark.parametrize("named", [by_start, by_start_as_typed, by_more_of_it, by_all_of_it])
def test_a_key_is_revoked_by_what_somebody_has_of_it(acme: Cli, named: Callable[[dict[str, str]], str]) -> None:
    created = acme.json(*creating())
    other = acme.json(*creating())

    result = acme.ok("key", "revoke", named(created), "--yes")

    assert result.stdout == f"Revoked {created['id']}.\n"
    assert created["key"] not in result.output
    assert [row["id"] for row in listed(acme) if row["revoked_at"] is None] == [other["id"]]


def test_a_start_that_several_keys_have_is_refused_with_their_ids(acme: Cli) -> None:
    ids = [acme.json(*creating())["id"] for _ in range(2)]
    with closing(sqlite3.connect(acme.database)) as connection, connection:
        connection.execute("UPDATE api_keys SET start = 'smrt_ab12…'")

    line = acme.refusal("key", "revoke", "smrt_ab12", "--yes")

    assert line == f"several keys start so: {', '.join(ids)}; give the id of one"
    assert [row["revoked_at"] for row in listed(acme)] == [None, None]


def test_an_unknown_key_is_named_by_its_start_only(acme: Cli) -> None:
    unknown = mint(lambda alphabet: alphabet[7])

    assert acme.refusal("key", "revoke", unknown, "--yes") == "there is no key smrt_7777…; see: gateway key list"


def test_a_key_that_ends_with_the_calendar_can_be_rotated(acme: Cli) -> None:
    old = acme.json(*creating("--expires", "9999-12-31T23:59:59.999Z"))

    successor = acme.json("key", "rotate", old["id"])

    assert successor["expires_at"] == "9999-12-31T23:59:59.999Z"


def test_a_key_that_cannot_be_shown_is_revoked(acme: Cli) -> None:
    old = acme.json(*creating())
    for words in (creating(), ["key", "rotate", old["id"]]):
        with Path("/dev/full").open("w") as full:
            done = started(acme, words, full)

        last = listed(acme)[-1]
        assert done.returncode == 1
        assert done.stderr == (
            f"Error: the key cannot be shown (No space left on device), so {last['id']} was revoked; "
            "make another with: gateway key create\n"
        )
        assert last["revoked_at"] is not None


def test_a_key_that_was_shown_works_whatever_becomes_of_the_message_about_it(acme: Cli) -> None:
    shown = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>/dev/full', "sh", *PROGRAM, *creating(), "--settings", str(acme.settings)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=True,
    ).stdout

    (only,) = listed(acme)
    assert only["start"] == display_start(shown.strip())
    assert only["revoked_at"] is None


@pytest.mark.parametrize(
    "words",
    [creating(), ["key", "rotate", "key_8sQd0fWq2LzR5tYx"], ["user", "invite", "--admin", "--email", "a@example.com"]],
    ids=lambda words: " ".join(words[:2]),
)
def test_no_secret_is_made_where_none_can_be_shown(acme: Cli, words: list[str]) -> None:
    before = acme.dump()

    done = started(acme, words, None)

    assert done.returncode == 1
    assert done.stderr == "Error: standard output is closed, where it would be shown; nothing was changed\n"
    assert acme.dump() == before


def started(cli: Cli, words: list[str], stdout: IO[str] | None) -> subprocess.CompletedProcess[str]:
    """The program with this standard output, or with none at all."""
    closed = ["/bin/sh", "-c", 'exec "$@" >&-', "sh"] if stdout is None else []
    return subprocess.run(
        [*closed, *PROGRAM, *words, "--settings", str(cli.settings)],
        env=environment(),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
