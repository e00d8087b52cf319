"""What of the settings may change while the gateway serves, decided by name; and what becomes of it."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gateway.settings import Settings, load_settings, tables
from gateway.settings.changes import CHANGEABLE, change_between
from gateway.settings.secret import Secret, SecretUrl

OTHER: dict[type, Callable[[object], object]] = {
    bool: lambda value: not value,
    int: lambda value: int(str(value)) + 1,
    float: lambda value: float(str(value)) + 1,
    str: lambda value: f"{value}x",
    tuple: lambda _: ("10.0.0.1",),
    Secret: lambda _: Secret("another"),
    SecretUrl: lambda _: SecretUrl("redis://another"),
}
ALL = [f"{table}.{field.name}" for table, kind in tables().items() for field in msgspec.structs.fields(kind)]


def with_values(settings: Settings, **values: object) -> Settings:
    """`airbyte__client_id="x"` for `airbyte.client_id`."""
    for name, value in values.items():
        table, _, key = name.partition("__")
        changed = msgspec.structs.replace(getattr(settings, table), **{key: value})
        settings = msgspec.structs.replace(settings, **{table: changed})
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(None, {}, working_directory=tmp_path)


def test_nothing_changed_is_nothing_to_do(settings: Settings, tmp_path: Path) -> None:
    change = change_between(settings, load_settings(None, {}, working_directory=tmp_path))

    assert (change.applied, change.needs_restart) == ((), ())
    assert change.settings == settings


def test_each_setting_is_applied_or_waits(settings: Settings) -> None:
    for name in ALL:
        table, _, key = name.partition(".")
        value = getattr(getattr(settings, table), key)
        new = with_values(settings, **{f"{table}__{key}": OTHER[type(value)](value)})

        change = change_between(settings, new)

        if name in CHANGEABLE:
            assert (change.applied, change.needs_restart) == ((name,), ())
            assert change.settings == new, name
        else:
            assert (change.applied, change.needs_restart) == ((), (name,))
            assert change.settings == settings, name


def test_what_may_change_is_this_and_no_more() -> None:
    assert sorted(CHANGEABLE & set(ALL)) == [
        "airbyte.client_id",
        "airbyte.client_secret",
        "airbyte.password",
        "airbyte.username",
        "dashboard.color",
        "dashboard.logo_file",
        "dashboard.name",
        "dashboard.support",
        "log.level",
        "rate_limit.per_seconds",
        "rate_limit.requests",
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_url", "https://other.example.com"),
        ("config_url", "https://other.example.com"),
        ("auth", "basic"),
    ],
)
def test_a_credential_for_another_airbyte_is_not_told_to_this_one(settings: Settings, key: str, value: str) -> None:
    new = with_values(
        settings, **{f"airbyte__{key}": value}, airbyte__client_secret=Secret("theirs"), rate_limit__requests=7
    )

    change = change_between(settings, new)

    assert change.applied == ("rate_limit.requests",)
    assert change.needs_restart == tuple(sorted((f"airbyte.{key}", "airbyte.client_secret")))
    assert not change.settings.airbyte.client_secret


def test_what_waits_is_named_again_until_it_is_taken_back(settings: Settings) -> None:
    new = with_values(settings, server__port=9000, log__level="debug")
    first = change_between(settings, new)
    second = change_between(first.settings, new)
    third = change_between(second.settings, with_values(settings, log__level="debug"))

    assert [first.applied, second.applied, third.applied] == [("log.level",), (), ()]
    assert [first.needs_restart, second.needs_restart, third.needs_restart] == [("server.port",)] * 2 + [()]
