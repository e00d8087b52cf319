"""A manifest as TOML: what is refused, and in which words."""

from pathlib import Path

import pytest

from gateway.errors import InvalidInput
from gateway.provisioning.manifest import format_manifest, parse_manifest

ID = "conn_8sQd0fWq2LzR5tYx"
KEY = "key_8sQd0fWq2LzR5tYx"
UUID = "9924bcd0-99be-453d-ba47-c2c9766f7da5"
WHOLE = f"""format = 1

[clients.acme]
name = "Acme \\"Inc\\" → [x]"
plan = "pro"
rate = "600/60"
rate_total = "6000/60"
most_keys = 50
disabled = true

[clients.globex]
name = "Globex"

[connections.{ID}]
client = "acme"
connector_type = "shopify"
label = "Web shop"
airbyte_id = "{UUID.upper()}"
workspace_id = "18dccc91-0ab1-4f72-9ed7-0b8fc27c5826"

[users."op@example.com"]
admin = true

[users."ann@acme.example"]
client = "acme"

[keys.{KEY}]
client = "globex"
name = "nightly"
scope = "read"
start = "smrt_ab12…"
expires_at = "2030-01-31T12:00Z"
"""
CLIENT = '[clients.acme]\nname = "Acme"\n'
CONNECTION = f'[connections.{ID}]\nclient = "acme"\nconnector_type = "x"\nlabel = "x"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.toml"


def test_what_is_read_is_written_again_in_one_way(path: Path) -> None:
    path.write_text(WHOLE)
    once = format_manifest(parse_manifest(path))
    path.write_text(once)

    assert format_manifest(parse_manifest(path)) == once
    assert f'airbyte_id = "{UUID}"' in once
    assert 'expires_at = "2030-01-31T12:00:00.000Z"' in once


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "format: expected 1"),
        ("format = 2", "format: expected 1"),
        ("format = 1\n[clients", "not valid TOML"),
        (f"format = {10_000 * '['}", "not valid TOML: nested too deep"),
        ("format = 1\n[tenants.acme]", "unknown table [tenants]; known are clients, connections, users, keys"),
        ("format = 1\nclients = 3", "clients: expected a table"),
        ('format = 1\n[clients.Acme]\nname = "A"', "clients.Acme: the slug must be"),
        ("format = 1\n[clients.acme]", "clients.acme: object missing required field `name`"),
        ("format = 1\n[clients.acme]\nname = 3", "clients.acme.name: expected `str`, got `int`"),
        (f'format = 1\n{CLIENT}colour = "red"', "clients.acme: object contains unknown field `colour`"),
        (f'format = 1\n{CLIENT}rate = "many"', "clients.acme: a rate is REQUESTS/SECONDS"),
        (f'format = 1\n{CLIENT}rate_total = "many"', "clients.acme: a rate is REQUESTS/SECONDS"),
        (f"format = 1\n{CLIENT}most_keys = 0", "clients.acme: the most keys must be a number from 1 to 999999"),
        (f'format = 1\n{CLIENT}plan = " "', "clients.acme: plan must be 1 to 200 printable"),
        (f"format = 1\n{CLIENT}{CLIENT}", "not valid TOML: Cannot declare"),
        (
            f'format = 1\n{CLIENT}[connections.mine]\nclient = "acme"\nconnector_type = "x"\nlabel = "x"',
            "connections.mine: an id is conn_ and 16 letters or digits",
        ),
        (
            f'format = 1\n[connections.{ID}]\nclient = "acme"\nconnector_type = "x"\nlabel = "x"',
            f"connections.{ID}.client: there is no [clients.acme] in this file",
        ),
        (
            f'format = 1\n{CLIENT}[connections.{ID}]\nclient = "acme"\nconnector_type = "A B"\nlabel = "x"',
            f"connections.{ID}: connector_type must be",
        ),
        (
            f'format = 1\n{CLIENT}[connections.{ID}]\nclient = "acme"\nconnector_type = "x"\nlabel = "x\\n"',
            f"connections.{ID}: label must be",
        ),
        (
            f'format = 1\n{CLIENT}{CONNECTION}airbyte_id = "7"',
            f"connections.{ID}: airbyte_id must be a UUID",
        ),
        (
            f'format = 1\n{CLIENT}{CONNECTION}workspace_id = "{UUID}"',
            f"connections.{ID}: workspace_id needs an airbyte_id",
        ),
        (
            f"format = 1\n{CLIENT}"
            + "".join(
                f'[connections.conn_{digit * 16}]\nclient = "acme"\nconnector_type = "x"\nlabel = "x"\n'
                f'airbyte_id = "{UUID}"\n'
                for digit in "12"
            ),
            "connections.conn_2222222222222222: has the airbyte_id of connections.conn_1111111111111111",
        ),
        ('format = 1\n[users."ann"]\nadmin = true', "users.ann: the address must look like"),
        ('format = 1\n[users."ann@x.de"]', 'users."ann@x.de": expected either a client or admin = true'),
        (
            f'format = 1\n{CLIENT}[users."ann@x.de"]\nclient = "acme"\nadmin = true',
            'users."ann@x.de": expected either a client or admin = true',
        ),
        (
            'format = 1\n[users."ann@x.de"]\nadmin = true\n[users."Ann@x.de"]\nadmin = true',
            'users."Ann@x.de": has the address of users."ann@x.de"',
        ),
        (f'format = 1\n{CLIENT}[keys.{KEY}]\nclient = "acme"\nname = "x"\nscope = "all"', f"keys.{KEY}.scope: "),
        (
            f'format = 1\n{CLIENT}[keys.{KEY}]\nclient = "acme"\nname = "x"\nexpires_at = "soon"',
            f"keys.{KEY}: expires_at must be a time such as",
        ),
    ],
)
def test_what_is_wrong_is_one_line_that_names_file_table_and_key(path: Path, text: str, words: str) -> None:
    path.write_text(text)

    with pytest.raises(InvalidInput) as refusal:
        parse_manifest(path)

    assert str(refusal.value).startswith(f"{path}: {words}")
    assert "\n" not in str(refusal.value)


def test_a_file_that_cannot_be_read_is_one_line(path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        parse_manifest(path)
    path.mkdir()
    with pytest.raises(InvalidInput, match="cannot be read"):
        parse_manifest(path)
