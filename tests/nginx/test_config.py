"""nginx itself on what is printed for it: no error, no warning."""

from pathlib import Path

import pytest

from gateway.deployment.nginx import LONGEST_HASHED_NAME, Tls, nginx_config
from tests.nginx.support import complaints_about, listening_on, server_settings
from tests.ports import free_ports

LONG = "x" * 63


def complaints(folder: Path, name: str, tls: Tls | None, **server: object) -> str:
    text = nginx_config(server_settings(**server), name, tls)  # type: ignore[arg-type]  # a table of settings
    return complaints_about(folder, listening_on(text, *free_ports(2)))


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "name",
    [
        "gateway.example.com",
        "gateway",
        "192.0.2.1",
        "x" * LONGEST_HASHED_NAME,
        "x" * (LONGEST_HASHED_NAME + 1),
        ".".join([LONG, LONG, LONG, "x" * 61]),
    ],
    ids=len,
)
def test_it_is_content_with_every_name(tmp_path: Path, tls: Tls, name: str, is_encrypted: bool) -> None:
    assert complaints(tmp_path, name, tls if is_encrypted else None) == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1", "10.0.0.5", "localhost"])
def test_it_is_content_with_every_address_of_the_gateway(tmp_path: Path, tls: Tls, host: str) -> None:
    assert complaints(tmp_path, "gateway", tls, host=host) == ""


def test_a_complaint_would_be_heard(tmp_path: Path, tls: Tls) -> None:
    assert "no such file" in complaints(tmp_path, "gateway", Tls(f"{tls.certificate}.missing", tls.key)).lower()
