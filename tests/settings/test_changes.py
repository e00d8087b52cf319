"""What of the settings may change while the gateway serves, decided by name; and what becomes of it."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import structlog

from gateway.errors import SettingsError, UpstreamError
from gateway.services import Reloader
from gateway.settings import Settings, load_settings, tables
from gateway.settings.changes import CHANGEABLE, change_between
from gateway.settings.secret import Secret, SecretUrl
from tests.support import World, bearer, running_gateway

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


@pytest.mark.parametrize("name", ALL)
def test_each_setting_is_applied_or_waits(settings: Settings, name: str) -> None:
    table, _, key = name.partition(".")
    value = getattr(getattr(settings, table), key)
    new = with_values(settings, **{f"{table}__{key}": OTHER[type(value)](value)})

    change = change_between(settings, new)

    if name in CHANGEABLE:
        assert (change.applied, change.needs_restart) == ((name,), ())
        assert change.settings == new
    else:
        assert (change.applied, change.needs_restart) == ((), (name,))
        assert change.settings == settings


def test_what_may_change_is_this_and_no_more() -> None:
    assert sorted(CHANGEABLE & set(ALL)) == [
        "airbyte.client_id",
        "airbyte.client_secret",
        "airbyte.password",
        "airbyte.username",
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


def reloaded(world: World, **values: object) -> str:
    now = world.services.settings
    return Reloader(lambda: with_values(now, **values), now, world.services).reload()


async def test_a_new_rate_is_what_answers_and_documents_say(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as world:
        key, own = await world.client_with_key(), await world.client_with_key("other", rate="5/60")
        await world.http.get("/api/v1/status", headers=bearer(key))

        assert reloaded(world, rate_limit__requests=50, rate_limit__per_seconds=3600) == "Serving"

        answers = [await world.http.get("/api/v1/status", headers=bearer(each)) for each in (key, own)]
        document = await world.http.get("/openapi.json")

    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"default";q=50;w=3600', '"default";q=5;w=60']
    assert answers[0].headers["ratelimit"].startswith('"default";r=49;')
    assert "50 requests per hour" in document.text


async def asked(world: World) -> bool:
    """Whether Airbyte lets us in."""
    try:
        await world.services.airbyte.lists.workspaces(offset=0)
    except UpstreamError:
        return False
    return True


async def test_a_right_secret_takes_effect_at_once_after_a_wrong_one(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, airbyte={"client_secret": Secret("wrong")}) as world:
        before = await asked(world)
        sentence = reloaded(world, airbyte__client_secret=Secret("sandbox-secret"))
        after = await asked(world)

    assert (before, sentence, after) == (False, "Serving", True)


async def test_settings_that_cannot_be_read_change_nothing(tmp_path: Path) -> None:
    def refuse() -> Settings:
        raise SettingsError("settings.toml: not valid TOML")

    async with running_gateway(tmp_path) as world:
        default = world.services.limiter.default
        with structlog.testing.capture_logs() as lines:
            sentence = Reloader(refuse, world.services.settings, world.services).reload()

        assert world.services.limiter.default is default
        assert await asked(world)

    assert sentence == "Serving with the old settings; the log says why"
    assert lines == [{"event": "settings_refused", "detail": "settings.toml: not valid TOML", "log_level": "error"}]


async def test_one_line_tells_what_is_applied_and_what_waits(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as world:
        with structlog.testing.capture_logs() as lines:
            sentence = reloaded(world, server__port=1, rate_limit__requests=7, airbyte__client_secret=Secret("hidden"))

    assert sentence == "Serving; waiting for a restart: server.port"
    (line,) = lines
    assert line["event"] == "settings_reloaded"
    assert line["applied"] == ("airbyte.client_secret", "rate_limit.requests")
    assert line["needs_restart"] == ("server.port",)
    assert "hidden" not in str(line)
