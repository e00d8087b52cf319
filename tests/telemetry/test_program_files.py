"""What a serving process looks after besides its requests."""

from structlog.testing import capture_logs

from gateway.telemetry.program_files import watch_program_files


async def test_that_the_program_s_files_are_gone_is_said_once() -> None:
    looks = iter([True, True, False])
    rounds: list[None] = []
    with capture_logs() as lines:
        await watch_program_files(lambda: rounds.append(None), seconds=0, check=lambda: next(looks))

    assert len(rounds) == 2
    assert [line["event"] for line in lines] == ["program_files_missing"]
