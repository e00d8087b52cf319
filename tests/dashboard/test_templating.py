"""When pages are read for and rendered: one in a round of the event loop, and clients in turns."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import count

import httpx2
from starlette.types import Message, Receive, Scope, Send

from tests.dashboard.support import HEADERS, signed_in
from tests.support import World

USAGE = "https://gateway.example/dashboard/usage"
ROUND_SECONDS = 0.02
"""Long enough for the reads of all pages that wait for the database: they end in the same round."""

ANNS = 16
"""So many rounds that his reads end before the last of hers, also where the machine has other work."""


@dataclass
class Rounds:
    """Rounds of the event loop, and in which of them each answer began."""

    number: int = 0
    answers: list[tuple[str, int]] = field(default_factory=list)

    async def count(self) -> None:
        """Have each round take its time, as one does in which API requests begin."""
        for self.number in count():
            time.sleep(ROUND_SECONDS)  # noqa: ASYNC251 - see above
            await asyncio.sleep(0)

    async def get(self, world: World, name: str, cookies: httpx2.Cookies) -> None:
        """Ask for a page as the user of this name."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.answers.append((name, self.number))
                await send(message)

            await world.app(scope, receive, note)

        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, headers=HEADERS, cookies=cookies) as visitor:
            answer = await visitor.get(USAGE)
        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) == len(answer.content) > 0


async def test_pages_are_rendered_one_in_a_round_and_clients_take_turns(world: World) -> None:
    for slug in ("acme", "globex"):
        await world.client_with_key(slug)
    ann, bob = [await signed_in(world, slug, f"me@{slug}.example") for slug in ("acme", "globex")]
    rounds = Rounds()
    counting = asyncio.create_task(rounds.count())

    await asyncio.gather(
        *(rounds.get(world, "ann", ann.cookies) for _ in range(ANNS)), rounds.get(world, "bob", bob.cookies)
    )
    counting.cancel()

    names, numbers = zip(*rounds.answers, strict=True)
    assert len(set(numbers)) == ANNS + 1
    # He asked last. In order of arrival he would be last.
    assert names[-1] == "ann"
