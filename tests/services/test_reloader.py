"""What becomes of settings that change while the gateway serves."""

from pathlib import Path

import structlog

from gateway.errors import SettingsError, UpstreamError
from gateway.services import Reloader
from gateway.settings import Settings
from gateway.settings.secret import Secret
from tests.settings.test_changes import with_values
from tests.support import World, bearer, running_gateway


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
