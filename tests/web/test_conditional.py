"""Answers that are rendered once: who has one already is told so, and nobody else."""

import httpx2
import pytest

from gateway.web.conditional import ConditionalAnswer


def answer_of(text: str) -> ConditionalAnswer:
    return ConditionalAnswer(text.encode(), content_type="text/plain", headers={"Vary": "Cookie"})


async def ask(answer: ConditionalAnswer, tag: str = "", *, method: str = "GET") -> httpx2.Response:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(answer), base_url="http://gateway") as http:
        return await http.request(method, "/", headers={"If-None-Match": tag} if tag else {})


async def test_a_first_answer_is_whole_and_names_its_version() -> None:
    first = await ask(answer_of("text"))

    assert (first.status_code, first.text, first.headers["cache-control"]) == (200, "text", "no-cache")
    assert first.headers["etag"].startswith('"')


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", W/{}', "*"], ids=["same", "weak", "list", "any"])
async def test_who_has_this_version_gets_no_content(form: str) -> None:
    answer = answer_of("text")
    etag = (await ask(answer)).headers["etag"]

    again = await ask(answer, form.format(etag))

    assert (again.status_code, again.content) == (304, b"")
    assert {name: again.headers[name] for name in ("etag", "cache-control", "vary")} == {
        "etag": etag,
        "cache-control": "no-cache",
        "vary": "Cookie",
    }
    assert not {"content-type", "content-length"} & set(again.headers)


async def test_who_has_another_version_gets_this_one() -> None:
    earlier = (await ask(answer_of("earlier"))).headers["etag"]

    assert (await ask(answer_of("text"), earlier)).text == "text"


async def test_a_head_says_how_long_the_answer_is_and_has_none() -> None:
    head = await ask(answer_of("text"), method="HEAD")

    assert (head.status_code, head.headers["content-length"], head.content) == (200, "4", b"")
