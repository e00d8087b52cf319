"""gateway sandbox."""

import re
import signal
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import plain_http
from tests.cli.conftest import Program, finished, running


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Program]:
    with running("sandbox", "--port", "0", folder=tmp_path) as program:
        program.wait_for_line(program.out, r"^client_secret ")
        yield program


def told(program: Program) -> dict[str, str]:
    return dict(line.split(" ") for line in program.out)


def token(said: dict[str, str]) -> str:
    credentials = {"client_id": said["client_id"], "client_secret": said["client_secret"]}
    answer = plain_http.post(f"{said['base_url']}/applications/token", json=credentials)
    assert answer.status_code == 200
    text = answer.json()["access_token"]
    assert isinstance(text, str)
    return text


def test_prints_where_it_is_and_how_to_come_in_on_three_lines(sandbox: Program) -> None:
    said = told(sandbox)

    assert list(said) == ["base_url", "client_id", "client_secret"]
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*/api/public/v1", said["base_url"])


def test_what_it_says_beside_can_be_pasted_into_settings(sandbox: Program) -> None:
    sandbox.wait_for_line(sandbox.err, "^client_secret = ")
    pasted = "\n".join(sandbox.err[sandbox.err.index("[airbyte]") :])

    assert tomllib.loads(pasted) == {"airbyte": told(sandbox)}


def test_what_it_printed_gives_a_token_and_jobs(sandbox: Program) -> None:
    said = told(sandbox)
    authorization = {"Authorization": f"Bearer {token(said)}"}

    answer = plain_http.get(f"{said['base_url']}/jobs", headers=authorization)

    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 20


def test_other_credentials_give_nothing(sandbox: Program) -> None:
    said = told(sandbox)
    wrong = {"client_id": said["client_id"], "client_secret": "wrong"}

    assert plain_http.post(f"{said['base_url']}/applications/token", json=wrong).status_code == 400
    assert plain_http.get(f"{said['base_url']}/jobs").status_code == 401


@pytest.mark.parametrize("path", ["/health", "/jobs", "/nonsense"])
def test_every_answer_has_exactly_one_date(sandbox: Program, path: str) -> None:
    answer = plain_http.get(told(sandbox)["base_url"] + path)

    assert len(answer.headers.get_list("date")) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_when_told_without_a_traceback(sandbox: Program, number: signal.Signals) -> None:
    sandbox.send(number)

    assert sandbox.wait() in {0, -number}
    assert "Traceback" not in "".join(sandbox.err)


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = finished("sandbox", "--port", str(port), folder=tmp_path)

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"Error: cannot listen on 127.0.0.1:{port}: Address already in use; choose another port with --port\n"
    )


def test_keeps_nothing_in_the_folder(sandbox: Program, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
