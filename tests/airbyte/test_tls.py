"""Whose certificates are believed on machines with, without and with odd stores of authorities."""

import ssl
from collections.abc import Iterable
from pathlib import Path

import certifi
import pytest

from gateway.airbyte.tls import verifying_tls
from gateway.errors import OperatorError


@pytest.fixture
def mozilla() -> int:
    """How many authorities travel with us."""
    return len(ssl.create_default_context(cafile=certifi.where()).get_ca_certs())


@pytest.fixture
def one_authority(tmp_path: Path) -> Path:
    """A file with the first of Mozilla's."""
    end = "-----END CERTIFICATE-----\n"
    path = tmp_path / "one.pem"
    path.write_text(Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0] + end, encoding="utf-8")
    return path


def second_authority() -> str:
    """The second of Mozilla's."""
    end = "-----END CERTIFICATE-----\n"
    return Path(certifi.where()).read_text(encoding="utf-8").split(end)[1] + end


def machine(
    monkeypatch: pytest.MonkeyPatch, *, file: Path | str = "", folder: Path | str = "", known: Iterable[str] = ()
) -> None:
    """What OpenSSL was built to look for, and the files that distributions are known to have."""
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=str(file), openssl_capath=str(folder))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr("httpcore2._ssl.CA_FILE_CANDIDATES", list(known))


def test_a_machine_without_any_believes_mozilla_s_and_still_verifies(
    monkeypatch: pytest.MonkeyPatch, mozilla: int
) -> None:
    machine(monkeypatch)

    context = verifying_tls()

    assert len(context.get_ca_certs()) == mozilla > 100
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_empty_folder_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mozilla: int) -> None:
    (tmp_path / "README").touch()
    machine(monkeypatch, folder=tmp_path)

    assert len(verifying_tls().get_ca_certs()) == mozilla


def test_a_file_with_none_in_it_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mozilla: int) -> None:
    (tmp_path / "none.pem").touch()
    machine(monkeypatch, file=tmp_path / "none.pem")

    assert len(verifying_tls().get_ca_certs()) == mozilla


BROKEN = {
    "nonsense": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "cut": "-----BEGIN CERTIFICATE-----\nAAAA",
}


@pytest.mark.parametrize("before", [False, True], ids=["alone", "after a good one"])
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_no_reason_to_believe_somebody_else(
    monkeypatch: pytest.MonkeyPatch, one_authority: Path, text: str, before: bool
) -> None:
    """C14: it stops the start with one line."""
    one_authority.write_text((one_authority.read_text(encoding="utf-8") if before else "") + text, encoding="utf-8")
    machine(monkeypatch, file=one_authority)

    with pytest.raises(OperatorError, match="certificate authorities is broken"):
        verifying_tls()


def test_words_in_a_file_hide_no_authority(monkeypatch: pytest.MonkeyPatch, one_authority: Path) -> None:
    with one_authority.open("a", encoding="utf-8") as file:
        file.write("So much for those.\n")
    machine(monkeypatch, file=one_authority)

    assert len(verifying_tls().get_ca_certs()) == 1


def test_what_the_machine_has_is_all_that_is_believed(monkeypatch: pytest.MonkeyPatch, one_authority: Path) -> None:
    machine(monkeypatch, file=one_authority)

    assert len(verifying_tls().get_ca_certs()) == 1


def test_what_the_distribution_has_elsewhere_is_believed(monkeypatch: pytest.MonkeyPatch, one_authority: Path) -> None:
    machine(monkeypatch, known=[str(one_authority)])

    assert len(verifying_tls().get_ca_certs()) == 1


def test_a_folder_that_is_looked_into_at_a_handshake_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, one_authority: Path
) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    one_authority.rename(folder / "0a1b2c3d.0")
    machine(monkeypatch, folder=folder)

    assert verifying_tls().get_ca_certs() == []


def test_the_operator_s_own_authorities_are_believed_beside_the_machine_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, one_authority: Path
) -> None:
    another = tmp_path / "another.pem"
    another.write_text(second_authority(), encoding="utf-8")
    machine(monkeypatch, file=one_authority)

    assert len(verifying_tls(another).get_ca_certs()) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "there is no certificate in it"),
        *((broken, "a certificate in it is broken") for broken in BROKEN.values()),
    ],
    ids=["missing", "empty", *BROKEN],
)
def test_a_file_of_own_authorities_that_cannot_be_used_stops_the_start_and_names_the_setting(
    tmp_path: Path, text: str | None, told: str
) -> None:
    path = tmp_path / "own.pem"
    if text is not None:
        path.write_text(text, encoding="utf-8")

    with pytest.raises(OperatorError) as caught:
        verifying_tls(path)

    assert str(caught.value).startswith(f"airbyte.ca_file: {path}: {told}")


def test_the_environment_names_no_authorities(monkeypatch: pytest.MonkeyPatch, one_authority: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(one_authority))
    machine(monkeypatch)

    assert len(verifying_tls().get_ca_certs()) > 100
