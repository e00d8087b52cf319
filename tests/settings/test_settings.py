"""Settings: which source wins, and the one line each mistake gets."""

import json
import re
import stat
import tomllib
from pathlib import Path

import msgspec
import pytest

from gateway.errors import SettingsError
from gateway.resources import resource_text
from gateway.settings import Settings, load_settings
from gateway.settings.secret import Secret, SecretUrl
from gateway.settings.tables import tables

DATABASE_EXPECTED = "expected sqlite:///PATH or postgresql://[USER[:PASSWORD]@]HOST[:PORT]/NAME"
URL_EXPECTED = "expected http(s)://HOST/PATH without user, query or fragment"
WORKERS_REMOVED = "was removed: run several gateways instead, a port each: gateway install --systemd --instances N"
SERVER_KEYS = "host, port, trusted_proxies, public_url, metrics_networks"
BACKEND_EXPECTED = "expected memory or redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER] (or rediss://)"


KUBERNETES = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_5432_TCP", "PORT_5432_TCP_ADDR")
"""What it calls the variables of a service, after the service's name."""


def from_file(folder: Path, toml: str, **environment: str) -> Settings:
    path = folder / "settings.toml"
    path.write_text(toml, encoding="utf-8")
    return load_settings(path, environment)


def from_environment(folder: Path, **environment: str) -> Settings:
    return load_settings(None, environment, working_directory=folder)


def as_shipped(settings: Settings) -> dict[str, object]:
    """What a settings file with these settings would hold; two secrets are never equal by themselves."""
    text = msgspec.json.encode(settings, enc_hook=lambda value: value.reveal() if isinstance(value, Secret) else "")
    built: dict[str, object] = json.loads(text)
    del built["folder"], built["secret_files"]
    return built


def test_without_file_and_environment_the_shipped_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(None, {}, working_directory=tmp_path)

    assert as_shipped(settings) == tomllib.loads(resource_text("settings.toml"))
    assert settings.airbyte.max_in_flight == 4
    assert (settings.rate_limit.requests, settings.rate_limit.per_seconds) == (100, 60)


def test_the_shipped_file_itself_is_a_valid_settings_file(tmp_path: Path) -> None:
    defaults = load_settings(None, {}, working_directory=tmp_path)

    assert as_shipped(from_file(tmp_path, resource_text("settings.toml"))) == as_shipped(defaults)


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    settings = from_file(tmp_path, '[server]\nport = 9000\n\n[log]\nformat = "console"\n')

    assert (settings.server.port, settings.server.host) == (9000, "127.0.0.1")
    assert (settings.log.format, settings.log.level) == ("console", "info")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert as_shipped(from_file(tmp_path, "")) == as_shipped(from_environment(tmp_path))


def test_the_settings_file_of_the_working_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[server]\nport = 9000\n")

    assert load_settings(None, {}, working_directory=tmp_path).server.port == 9000


def test_a_path_is_relative_to_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "mine.toml").write_text("[server]\nport = 9000\n")

    assert load_settings(Path("conf/mine.toml"), {}, working_directory=tmp_path).server.port == 9000


@pytest.mark.parametrize(
    ("variable", "text", "table", "key", "value"),
    [
        ("GATEWAY_SERVER_HOST", "0.0.0.0", "server", "host", "0.0.0.0"),
        ("GATEWAY_SERVER_PORT", "9001", "server", "port", 9001),
        (
            "GATEWAY_SERVER_TRUSTED_PROXIES",
            "10.0.0.0/8, ::1,",
            "server",
            "trusted_proxies",
            ("10.0.0.0/8", "::1"),
        ),
        ("GATEWAY_SERVER_PUBLIC_URL", "https://api.example.com", "server", "public_url", "https://api.example.com"),
        ("GATEWAY_DATABASE_URL", "sqlite:///other.db", "database", "url", SecretUrl("sqlite:///other.db")),
        ("GATEWAY_AIRBYTE_AUTH", "none", "airbyte", "auth", "none"),
        ("GATEWAY_AIRBYTE_CLIENT_ID", "42", "airbyte", "client_id", "42"),
        ("GATEWAY_AIRBYTE_FRESHNESS_SECONDS", "0.5", "airbyte", "freshness_seconds", 0.5),
        ("GATEWAY_RATE_LIMIT_REQUESTS", "7", "rate_limit", "requests", 7),
        ("GATEWAY_RATE_LIMIT_PER_SECONDS", "8", "rate_limit", "per_seconds", 8),
        ("GATEWAY_LOG_LEVEL", "debug", "log", "level", "debug"),
    ],
)
def test_the_environment_wins_over_the_file(
    tmp_path: Path, variable: str, text: str, table: str, key: str, value: object
) -> None:
    toml = '[server]\nport = 1\nhost = "::"\ntrusted_proxies = ["192.0.2.1"]\n[rate_limit]\nrequests = 1\n'

    assert getattr(getattr(from_file(tmp_path, toml, **{variable: text}), table), key) == value


@pytest.mark.parametrize(
    "variable",
    [
        *("GATEWAY_SERVER_HOST", "GATEWAY_SERVER_PORT", "GATEWAY_SERVER_TRUSTED_PROXIES", "GATEWAY_DATABASE_URL"),
        *("GATEWAY_AIRBYTE_AUTH", "GATEWAY_AIRBYTE_CLIENT_SECRET", "GATEWAY_AIRBYTE_CLIENT_SECRET_FILE"),
        *("GATEWAY_SERVER_PROT", "GATEWAY_SERVER_WORKERS"),
    ],
)
def test_an_empty_variable_is_an_unset_one(tmp_path: Path, variable: str) -> None:
    """As a compose file makes them of variables that nobody has set. An empty host would be every interface."""
    toml = '[server]\ntrusted_proxies = ["192.0.2.1"]\n[airbyte]\nclient_secret = "kept"\n'

    assert from_file(tmp_path, toml, **{variable: ""}) == from_file(tmp_path, toml)


def test_every_interface_must_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        from_file(tmp_path, '[server]\nhost = ""\n')

    assert str(refusal.value).endswith("settings.toml: server.host: it is empty; all interfaces are 0.0.0.0 or ::")


@pytest.mark.parametrize("host", [" ", "a b", "a\n", "a\0", "http://u:pl4nted@host/", "u:pl4nted@host", "[::1]"])
def test_what_can_be_no_host_is_refused_without_being_repeated(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        from_file(tmp_path, f"[server]\nhost = {json.dumps(host)}\n")

    assert str(refusal.value).endswith("server.host: expected a host name or an address such as 127.0.0.1 or ::1")


def test_a_byte_order_mark_is_no_part_of_settings_or_secrets(tmp_path: Path) -> None:
    """Windows editors put one there."""
    (tmp_path / "settings.toml").write_text("[server]\nport = 1\n", encoding="utf-8-sig")
    (tmp_path / "secret").write_text("from file\r\n", encoding="utf-8-sig", newline="")

    settings = load_settings(
        tmp_path / "settings.toml", {"GATEWAY_AIRBYTE_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    )

    assert settings.server.port == 1
    assert settings.airbyte.client_secret.reveal() == "from file"


@pytest.mark.parametrize(
    ("variable", "toml"),
    [
        ("GATEWAY_AIRBYTE_AUTH", 'auth = "{}"'),
        ("GATEWAY_AIRBYTE_BASE_URL", 'base_url = "{}"'),
        ("GATEWAY_AIRBYTE_MAX_IN_FLIGHT", 'max_in_flight = "{}"'),
        ("GATEWAY_AIRBYTE_CLIENT_SECRET_FILE", ""),
        ("GATEWAY_SERVER_TRUSTED_PROXIES", ""),
        ("GATEWAY_SERVER_METRICS_NETWORKS", ""),
    ],
)
def test_a_secret_in_the_wrong_line_is_not_shown(tmp_path: Path, variable: str, toml: str) -> None:
    with pytest.raises(SettingsError) as of_environment:
        from_environment(tmp_path, **{variable: "pl4nted-s3cret"})
    assert "pl4nted" not in str(of_environment.value)
    assert variable in str(of_environment.value)

    if toml:
        with pytest.raises(SettingsError) as of_file:
            from_file(tmp_path, f"[airbyte]\n{toml.format('pl4nted-s3cret')}\n")
        assert "pl4nted" not in str(of_file.value)


@pytest.mark.parametrize(("variable", "key"), [("CLIENT_SECRET", "client_secret"), ("PASSWORD", "password")])
def test_a_secret_comes_from_the_environment_or_from_a_file_it_names(tmp_path: Path, variable: str, key: str) -> None:
    (tmp_path / "secret").write_text(" from file \n")

    direct = from_environment(tmp_path, **{f"GATEWAY_AIRBYTE_{variable}": "direct"})
    by_file = from_environment(tmp_path, **{f"GATEWAY_AIRBYTE_{variable}_FILE": str(tmp_path / "secret")})

    assert getattr(direct.airbyte, key).reveal() == "direct"
    assert getattr(by_file.airbyte, key).reveal() == " from file "


NOT_OURS = [
    "GATEWAY_PORT",
    "GATEWAY_SERVICE_HOST",
    *(
        f"GATEWAY_{table}_{name}"
        for table in ("SERVER", "DATABASE", "AIRBYTE", "RATE_LIMIT", "LOG", "LOG_VIEWER")
        for name in KUBERNETES
    ),
    "GATEWAY_PORT_8080_TCP_ADDR",
    "GATEWAY_AIRBYTE",
    "GATEWAY_LOGO_URL",
    "GATEWAY",
    "gateway_server_port",
    "MY_GATEWAY_SERVER_PORT",
    "WEB_CONCURRENCY",
    "PORT",
]


def test_variables_that_name_no_table_of_ours_are_left_alone(tmp_path: Path) -> None:
    shipped = as_shipped(from_environment(tmp_path))
    read = {each: as_shipped(from_environment(tmp_path, **{each: "tcp://10.0.0.1:80"})) for each in NOT_OURS}

    assert read == dict.fromkeys(NOT_OURS, shipped)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            "[serve]\nport = 1\n",
            f"unknown table [serve]; known are {', '.join(tables())}",
        ),
        ("[server]\nprot = 1\n", f"unknown key 'prot' in [server]; known are {SERVER_KEYS}"),
        ("server = 5\n", "server: expected a table, [server]"),
        ("[server]\nport = true\n", "server.port: expected `int`, got `bool`"),
        ('[server]\nport = "8080"\n', "server.port: expected `int`, got `str`"),
        ("[server]\nport = 70000\n", "server.port: expected `int` <= 65535"),
        ("[server]\nport = -1\n", "server.port: expected `int` >= 0"),
        ("[server]\nhost = 1\n", "server.host: expected `str`, got `int`"),
        ("[server]\nhost = 2026-04-01\n", "server.host: expected `str`, got `date`"),
        ('[server]\ntrusted_proxies = "10.0.0.1"\n', "server.trusted_proxies: expected `array`, got `str`"),
        ("[server]\ntrusted_proxies = [1]\n", "server.trusted_proxies: expected `str`, got `int`"),
        (
            '[server]\ntrusted_proxies = ["10.0.0.0/8", "localhost"]\n',
            "server.trusted_proxies: item 2 is no address or network such as 10.0.0.0/8",
        ),
        (
            '[server]\nmetrics_networks = ["10.0.0.0/99"]\n',
            "server.metrics_networks: item 1 is no address or network such as 10.0.0.0/8",
        ),
        ('[server]\npublic_url = "api.example.com"\n', f"server.public_url: {URL_EXPECTED}"),
        (
            '[database]\nurl = "mysql://localhost/gateway"\n',
            f"database.url: {DATABASE_EXPECTED}",
        ),
        (
            '[database]\nurl = "sqlite:///"\n',
            f"database.url: {DATABASE_EXPECTED}",
        ),
        (
            '[database]\nurl = "gateway.db"\n',
            f"database.url: {DATABASE_EXPECTED}",
        ),
        (
            '[airbyte]\nauth = "oauth"\n',
            "airbyte.auth: expected one of client_credentials, basic, none",
        ),
        ("[airbyte]\nclient_secret = 12345\n", "airbyte.client_secret: expected `str`, got `int`"),
        ("[airbyte]\nmax_in_flight = 1\n", "airbyte.max_in_flight: expected `int` >= 2"),
        ("[airbyte]\nmax_in_flight = 65\n", "airbyte.max_in_flight: expected `int` <= 64"),
        ("[airbyte]\nmax_in_flight = 4.5\n", "airbyte.max_in_flight: expected `int`, got `float`"),
        ("[airbyte]\nfreshness_seconds = -1\n", "airbyte.freshness_seconds: expected `float` >= 0.0"),
        ("[airbyte]\nfreshness_seconds = nan\n", "airbyte.freshness_seconds: expected `float` >= 0.0"),
        ("[airbyte]\nfreshness_seconds = inf\n", "airbyte.freshness_seconds: expected `float` <= 86400.0"),
        ("[rate_limit]\nrequests = 0\n", "rate_limit.requests: expected `int` >= 1"),
        ("[rate_limit]\nper_seconds = 0\n", "rate_limit.per_seconds: expected `int` >= 1"),
        *(
            (f'[airbyte]\nproxy = "{proxy}"\n', "airbyte.proxy: expected http://[USER:PASSWORD@]HOST:PORT")
            for proxy in (
                "proxy:3128",
                "http://proxy",
                "https://proxy:3128",
                "http://proxy:3128/path",
                "http://user:pass/word@proxy:3128",
            )
        ),
        (
            '[rate_limit]\nbackend = "redis"\n',
            f"rate_limit.backend: {BACKEND_EXPECTED}",
        ),
        (
            '[rate_limit]\nbackend = "redis://cache:none/0"\n',
            f"rate_limit.backend: {BACKEND_EXPECTED}",
        ),
        (
            '[rate_limit]\nbackend = "redis://:pass/word@cache/0"\n',
            f"rate_limit.backend: {BACKEND_EXPECTED}",
        ),
        ("[server]\nworkers = 0\n", f"server.workers {WORKERS_REMOVED}"),
        ("[server]\nworkers = 2\n", f"server.workers {WORKERS_REMOVED}"),
        (
            '[log]\nlevel = "INFO"\n',
            "log.level: expected one of debug, info, warning, error",
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_file_and_key(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        from_file(tmp_path, toml)

    assert str(refusal.value) == f"{tmp_path}/settings.toml: {message}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://airbyte/",
        "http://",
        "http:///v1",
        "http://airbyte:0/",
        "http://airbyte:99999/",
        "http://airbyte:port/",
        "http://user:secret@airbyte/",
        "http://:secret@airbyte/",
        "http://[::1/",
        "http://airbyte/v1?x=1",
        "http://airbyte/v1#x",
        "http://air byte/",
        "http://airbyte/é",
        "http://airbyte/\\n",
    ],
)
def test_a_url_that_cannot_be_airbytes_is_refused_without_being_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        from_file(tmp_path, f'[airbyte]\nbase_url = "{url}"\n')

    assert str(refusal.value) == f"{tmp_path}/settings.toml: airbyte.base_url: {URL_EXPECTED}"


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8000/api/public/v1", "https://api.airbyte.com/v1", "http://[::1]:8000/", "http://10.0.0.1"],
)
def test_a_url_of_airbytes_is_kept(tmp_path: Path, url: str) -> None:
    assert from_file(tmp_path, f'[airbyte]\nbase_url = "{url}"\n').airbyte.base_url == url


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("GATEWAY_SERVER_PROT", "1", f"unknown key; known are {SERVER_KEYS}"),
        ("GATEWAY_SERVER_HOST_FILE", "/tmp/host", f"unknown key; known are {SERVER_KEYS}"),  # noqa: S108 - never opened
        ("GATEWAY_SERVER_PORT", "http", "expected `int`, got `str`"),
        ("GATEWAY_SERVER_PORT", "65536", "expected `int` <= 65535"),
        ("GATEWAY_LOG_LEVEL", "loud", "expected one of debug, info, warning, error"),
        ("GATEWAY_DATABASE_URL", "mysql://x", DATABASE_EXPECTED),
        ("GATEWAY_AIRBYTE_BASE_URL", "airbyte", URL_EXPECTED),
        ("GATEWAY_SERVER_TRUSTED_PROXIES", "*", "item 1 is no address or network such as 10.0.0.0/8"),
    ],
)
def test_a_mistake_in_the_environment_is_one_line_that_names_the_variable(
    tmp_path: Path, variable: str, text: str, message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        from_environment(tmp_path, **{variable: text})

    assert str(refusal.value) == f"environment: {variable}: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[server]\nport = = 1\n", r"not valid TOML: .*line 2.*"),
        (b"a = 1\na = 2\n", r"not valid TOML: .*line 2.*"),
        (b"\xff\xfe", r"cannot be read: .*"),
        (b"a = " + 10_000 * b"[", r"not valid TOML: nested too deep"),
    ],
    ids=["nonsense", "twice", "not UTF-8", "deep"],
)
def test_a_file_that_is_no_toml_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)

    with pytest.raises(SettingsError) as refusal:
        load_settings(path, {})

    assert re.fullmatch(f"{re.escape(str(path))}: {message}", str(refusal.value))


def test_a_settings_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(tmp_path / "mine.toml", {})

    assert str(refusal.value) == f"{tmp_path}/mine.toml: no such settings file"


def test_a_settings_file_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(tmp_path, {})

    assert re.fullmatch(f"{re.escape(str(tmp_path))}: cannot be read: .*[Ii]s a directory.*", str(refusal.value))


def test_a_secret_file_that_is_not_there_is_refused_naming_the_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        from_environment(tmp_path, GATEWAY_AIRBYTE_PASSWORD_FILE=str(tmp_path / "nothing"))

    assert str(refusal.value) == (
        "environment: GATEWAY_AIRBYTE_PASSWORD_FILE: the file cannot be read: No such file or directory"
    )


def test_secrets_are_in_no_text_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2-in-file")
    settings = from_file(
        tmp_path,
        '[airbyte]\nclient_secret = "hunter2-in-toml"\n',
        GATEWAY_AIRBYTE_PASSWORD_FILE=str(tmp_path / "secret"),
    )

    shown = repr(settings) + str(settings) + repr(settings.airbyte) + str(settings.airbyte)

    assert settings.airbyte.client_secret.reveal() == "hunter2-in-toml"
    assert settings.airbyte.password.reveal() == "hunter2-in-file"
    assert "hunter2" not in shown


def test_no_refusal_repeats_a_secret(tmp_path: Path) -> None:
    toml = '[airbyte]\nclient_secret = "hunter2"\npassword = ["hunter2"]\n'

    with pytest.raises(SettingsError) as refusal:
        from_file(tmp_path, toml, GATEWAY_AIRBYTE_CLIENT_SECRET="hunter2")

    assert str(refusal.value) == f"{tmp_path}/settings.toml: airbyte.password: expected `str`, got `list`"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///gateway.db", "{folder}/gateway.db"),
        ("sqlite:///data/gateway.db", "{folder}/data/gateway.db"),
        ("sqlite:////var/lib/gateway.db", "/var/lib/gateway.db"),
    ],
)
def test_the_database_lies_beside_the_file_that_names_it(tmp_path: Path, url: str, expected: str) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "mine.toml").write_text(f'[database]\nurl = "{url}"\n')

    settings = load_settings(Path("etc/mine.toml"), {}, working_directory=tmp_path)

    assert settings.database_path == Path(expected.format(folder=folder))


def test_without_a_file_the_database_lies_in_the_working_directory(tmp_path: Path) -> None:
    assert from_environment(tmp_path).database_path == tmp_path / "gateway.db"


def test_one_worker_asks_for_what_there_is(tmp_path: Path) -> None:
    settings = from_file(tmp_path, "[server]\nworkers = 1\n", GATEWAY_SERVER_WORKERS="1")

    assert settings == from_file(tmp_path, "")


def test_several_workers_in_the_environment_are_told_what_came_after_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        from_environment(tmp_path, GATEWAY_SERVER_WORKERS="4")

    assert str(refusal.value) == f"environment: GATEWAY_SERVER_WORKERS {WORKERS_REMOVED}"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = from_environment(tmp_path)

    with pytest.raises(AttributeError):
        settings.server.port = 1  # type: ignore[misc]  # the very thing that must fail


def test_reading_settings_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[server]\nport = 9000\n")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)

    load_settings(None, {}, working_directory=tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["settings.toml"]


@pytest.mark.parametrize("url", ["redis://cache", "redis://cache:6379/0", "rediss://gateway:secret@[::1]:6380/15"])
def test_a_shared_backend_is_an_address(tmp_path: Path, url: str) -> None:
    settings = from_file(tmp_path, f'[rate_limit]\nbackend = "{url}"\n')

    assert settings.rate_limit.backend == SecretUrl(url)
    assert settings.rate_limit.is_shared
    assert not from_file(tmp_path, "").rate_limit.is_shared


def test_the_address_of_the_backend_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "backend").write_text("redis://:secret@cache:6379/0\n")

    settings = from_environment(tmp_path, GATEWAY_RATE_LIMIT_BACKEND_FILE=str(tmp_path / "backend"))

    assert settings.rate_limit.backend.reveal() == "redis://:secret@cache:6379/0"
    assert settings.secret_files == (tmp_path / "backend",)


def test_an_address_without_a_password_makes_no_file_a_secret(tmp_path: Path) -> None:
    settings = from_file(tmp_path, '[rate_limit]\nbackend = "redis://cache:6379/0"\n')

    assert settings.secret_files == ()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://gateway@db.example.com/gateway",
        "postgresql://gateway:correct-horse@db.example.com:6432/gateway?sslmode=verify-full",
        "postgresql://one.example.com,two.example.com/gateway?target_session_attrs=read-write",
        "postgresql:///gateway?host=/run/postgresql",
    ],
)
def test_a_server_s_database_is_kept_as_it_is_and_shown_without_the_password(tmp_path: Path, url: str) -> None:
    settings = from_file(tmp_path, f'[database]\nurl = "{url}"\n')

    assert settings.database_location == SecretUrl(url)
    assert not settings.database.is_file
    assert "correct-horse" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db",
        "postgresql://db/",
        "postgresql://db/a b",
        "postgresql://db/gateway?password=correct-horse",
        "postgresql://db/gateway?sslpassword=correct-horse",
        "postgresql://gateway:correct%horse@db/gateway",
        "postgresql://gateway:correct%00horse@db/gateway",
        "postgresql://gateway:correct/horse@db/gateway",
        "postgresql://gateway:correct@horse@db/gateway",
        "postgresql://[db/gateway",
    ],
)
def test_no_server_s_database_is_told_without_repeating_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        from_file(tmp_path, f'[database]\nurl = "{url}"\n')

    assert str(refusal.value) == f"{tmp_path}/settings.toml: database.url: {DATABASE_EXPECTED}"


def test_the_address_of_a_database_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://gateway:correct-horse@db/gateway\n")

    settings = from_environment(tmp_path, GATEWAY_DATABASE_URL_FILE=str(tmp_path / "url"))

    assert settings.database.url.reveal() == "postgresql://gateway:correct-horse@db/gateway"
    assert settings.secret_files == (tmp_path / "url",)


def test_what_needs_a_file_says_so(tmp_path: Path) -> None:
    settings = from_environment(tmp_path, GATEWAY_DATABASE_URL="postgresql://gateway:correct-horse@db/gateway")

    with pytest.raises(
        SettingsError, match=r"^database\.url: this needs an SQLite file, and it is postgresql://"
    ) as refusal:
        _ = settings.database_path

    assert "correct-horse" not in str(refusal.value)


def test_the_address_of_a_proxy_with_its_password_may_stand_in_a_file_and_is_masked(tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text("http://user:s3cret@proxy:3128\n")

    settings = from_environment(tmp_path, GATEWAY_AIRBYTE_PROXY_FILE=str(tmp_path / "proxy"))

    assert settings.airbyte.proxy.reveal() == "http://user:s3cret@proxy:3128"
    assert "s3cret" not in repr(settings)
    assert settings.secret_files == (tmp_path / "proxy",)
