"""/openapi.json, /docs and /: public, escaped, and repeating nothing a caller wrote."""

import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path

import httpx2
import jinja2
import pytest

from gateway.api.base_url import FALLBACK_URL
from gateway.app import create_app
from gateway.auth import keys
from gateway.models import EVENT_TYPES, TEST_EVENT, PlacedJob
from gateway.services import build_services
from gateway.settings import load_settings
from gateway.times import SystemClock
from tests.dashboard.support import browser, signed_in
from tests.support import World

PAGES = ["/docs/api", "/docs/getting-started", "/docs/your-tools"]
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PUBLIC_URL = {"GATEWAY_SERVER_PUBLIC_URL": "https://gateway.example/airbyte/"}


@asynccontextmanager
async def asking(folder: Path, environment: dict[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(build_services(load_settings(None, environment, working_directory=folder), SystemClock()))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:9000") as http:
        yield http


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    async with asking(tmp_path, {}) as client:
        yield client


async def test_the_root_leads_to_getting_started(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/")

    assert answer.status_code == 303
    assert answer.headers["location"] == "./docs/getting-started"


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_html_under_a_strict_policy(http: httpx2.AsyncClient, path: str) -> None:
    answer = await http.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "strict-origin"


@pytest.mark.parametrize("path", PAGES)
async def test_pages_have_no_inline_script_and_no_inline_style(http: httpx2.AsyncClient, path: str) -> None:
    text = (await http.get(path)).text.lower()

    assert re.findall("<script[^>]*>", text) == ['<script src="../dashboard/static/dashboard.js" defer>']
    assert "style=" not in text
    assert "<style" not in text


async def test_the_reference_shows_every_operation_in_three_languages(http: httpx2.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    text = (await http.get("/docs/api")).text

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f'id="{operation["operationId"]}"' in text
            assert f"<b>{method.upper()}</b> {path}" in text
    for language in ("curl -sS", "urllib.request.urlopen", "await fetch"):
        assert text.count(language) == len(document["paths"])


async def test_the_reference_states_limit_burst_and_key_format(http: httpx2.AsyncClient) -> None:
    text = (await http.get("/docs/api")).text

    assert "100 requests per minute" in text
    assert "100 at once, then one every 0.6 seconds" in text
    assert escape(keys.TEXT_PATTERN) in text
    assert "Unauthorized — invalid or missing API key" in text


async def test_getting_started_goes_from_key_to_jobs(http: httpx2.AsyncClient) -> None:
    text = (await http.get("/docs/getting-started")).text

    steps = ["export API_KEY=", "/api/v1/status", "/api/v1/connections", "$CONNECTION/sync", "$CONNECTION/jobs"]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert "Dashboard &gt; Settings &gt; API Keys" in text


async def test_your_tools_has_a_snippet_for_each_program_with_this_gateways_address(http: httpx2.AsyncClient) -> None:
    text = (await http.get("/docs/your-tools")).text

    snippets = re.findall(r'<pre tabindex="0"><code id="tools-(\w+)[^"]*">(.*?)</code>', text, re.DOTALL)
    programs = {name for name, snippet in snippets if "http://127.0.0.1:9000" in snippet}
    assert programs == {"curl", "python", "airflow", "dagster", "pyairbyte", "prefect", "kestra", "terraform"}
    assert "{{ secret('API_KEY') }}" in text


@pytest.mark.parametrize("path", ["/docs/nothing", "/docs/base.html", "/docs/layout"])
async def test_an_unknown_page_is_a_json_404(http: httpx2.AsyncClient, path: str) -> None:
    answer = await http.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"error": "Not found"}


NO_PLAIN_HOSTS = [
    "<script>alert(1)</script>",
    'a"onmouseover=alert(1)',
    "user:password@evil.example",
    "evil.example/path",
    "evil.example?x",
    "evil.example#x",
    "evil.example\\x",
    "evil.example:80:80",
    "evil.example$(id)",
    "evil.example`id`",
    "evil.example:999999",
    "-evil.example",
    "evil.example\n",
    "évil.example",
    "",
]


@pytest.mark.parametrize("path", PAGES)
async def test_a_host_that_is_no_plain_host_is_not_repeated(http: httpx2.AsyncClient, path: str) -> None:
    for host in NO_PLAIN_HOSTS:
        answer = await http.get(path, headers=[(b"host", host.encode("latin-1"))])

        assert answer.status_code == 200
        assert "evil" not in answer.text, host
        assert "alert" not in answer.text, host
        assert f"{FALLBACK_URL}/api/v1/status" in answer.text, host


@pytest.mark.parametrize("path", PAGES)
async def test_examples_use_the_origin_that_was_asked(http: httpx2.AsyncClient, path: str) -> None:
    assert "http://127.0.0.1:9000/api/v1/status" in (await http.get(path)).text


@pytest.mark.parametrize("path", PAGES)
async def test_examples_use_the_public_url_whatever_the_host_says(tmp_path: Path, path: str) -> None:
    async with asking(tmp_path, PUBLIC_URL) as http:
        text = (await http.get(path, headers={"host": "evil.example"})).text

    assert "https://gateway.example/airbyte/api/v1/status" in text
    assert "evil" not in text


@pytest.mark.parametrize(
    ("environment", "host", "server"),
    [
        ({}, "gateway.test:8080", "http://gateway.test:8080"),
        ({}, "evil.example/path", FALLBACK_URL),
        (PUBLIC_URL, "evil.example", "https://gateway.example/airbyte"),
    ],
    ids=["asked", "odd", "public"],
)
async def test_the_document_names_its_server(
    tmp_path: Path, environment: dict[str, str], host: str, server: str
) -> None:
    async with asking(tmp_path, environment) as http:
        answer = await http.get("/openapi.json", headers={"host": host})

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["servers"] == [{"url": server}]
    assert "evil" not in answer.text


async def test_pages_link_the_stylesheet_relatively_and_it_is_css(http: httpx2.AsyncClient) -> None:
    assert 'href="../dashboard/static/style.css"' in (await http.get("/docs/api")).text

    answer = await http.get("/dashboard/static/style.css")
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in answer.text


PUBLIC = [*PAGES, "/openapi.json", "/docs/api.md", "/llms.txt"]


@pytest.mark.parametrize("path", PUBLIC)
async def test_what_is_public_is_not_sent_again_to_who_has_it(http: httpx2.AsyncClient, path: str) -> None:
    first = await http.get(path)

    again = await http.get(path, headers={"if-none-match": first.headers["etag"]})

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_for_everybody_is_rendered_once_whatever_names_callers_invent(
    http: httpx2.AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await http.get(path)
    made: list[object] = []
    monkeypatch.setattr(jinja2.Template, "render", lambda self, **_content: made.append(self))

    pages = [await http.get(path, headers={"host": f"name-{number}.example"}) for number in range(100)]

    assert not made
    assert [f"http://name-{number}.example/api/v1/status" in page.text for number, page in enumerate(pages)] == (
        [True] * 100
    )
    assert len({page.headers["etag"] for page in pages}) == 100


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_of_one_limit_is_not_shown_under_another(tmp_path: Path, path: str) -> None:
    async with asking(tmp_path, {}) as http:
        await http.get(path)
    async with asking(tmp_path, {"GATEWAY_RATE_LIMIT_REQUESTS": "7"}) as http:
        assert "7 requests per minute" in (await http.get(path)).text


@pytest.mark.parametrize("path", PAGES)
async def test_a_signed_in_visitors_page_is_kept_by_nobody(world: World, path: str) -> None:
    public = await browser(world).get(path)
    await world.client_with_key()
    visitor = await signed_in(world, "acme")

    own = await visitor.get(path, headers={"if-none-match": public.headers["etag"]})

    assert (own.status_code, own.headers["cache-control"]) == (200, "no-store")
    assert "etag" not in own.headers
    assert "acme@example.com" in own.text
    assert "acme@example.com" not in (await browser(world).get(path)).text


@pytest.mark.parametrize("name", ["getting-started", "api", "webhooks", "your-tools"])
async def test_each_page_is_there_in_markdown_too_with_the_same_text(http: httpx2.AsyncClient, name: str) -> None:
    page = await http.get(f"/docs/{name}", headers={"host": "gateway.test"})
    text = await http.get(f"/docs/{name}.md", headers={"host": "gateway.test"})

    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    assert f'<link rel="alternate" type="text/markdown" href="{name}.md">' in page.text
    titles = {html.unescape(title) for title in re.findall(r"<h2[^>]*>(.*?)</h2>", page.text)} - {"Try it here"}
    assert [title for title in titles if f"\n## {title}\n" not in text.text] == []
    for block in re.findall(r"<pre[^>]*><code[^>]*>(.*?)</code>", page.text, re.DOTALL):
        assert html.unescape(block).strip() in text.text
    assert "gateway.invalid" not in text.text
    assert not re.search(r"</?(p|td|h2|code|a)\b", text.text)


async def test_a_signed_in_visitor_s_markdown_is_everybody_s(world: World) -> None:
    await world.client_with_key()
    visitor = await signed_in(world, "acme")

    assert (await visitor.get("/docs/api.md")).text == (await browser(world).get("/docs/api.md")).text


async def test_language_models_find_each_page_by_its_own_title_and_lead(http: httpx2.AsyncClient) -> None:
    contents = (await http.get("/llms.txt", headers={"host": "gateway.test"})).text

    assert contents.startswith("# Gateway\n\n> See your data connections")
    pages = re.findall(r"^- \[([^]]+)\]\(http://gateway\.test(/[^)]+)\): (.+)$", contents, re.MULTILINE)
    for title, path, lead in pages[:-1]:
        text = (await http.get(path, headers={"host": "gateway.test"})).text
        assert text.startswith(f"# {title}\n\n{lead}\n")
    assert [path for _, path, _ in pages] == [
        *("/docs/getting-started.md", "/docs/api.md", "/docs/webhooks.md", "/docs/your-tools.md", "/openapi.json")
    ]


async def test_the_id_in_the_examples_of_who_is_not_signed_in_is_plainly_invented(http: httpx2.AsyncClient) -> None:
    text = (await http.get("/docs/api")).text

    assert set(re.findall(r"conn_\w{16}", text)) == {"conn_YourConnectionId"}
    assert "is invented" in text


async def test_the_contents_lead_to_every_part_of_the_reference(http: httpx2.AsyncClient) -> None:
    text = (await http.get("/docs/api")).text

    contents = re.search(r'<nav class="contents".*?</nav>', text, re.DOTALL)
    assert contents
    # The part about a call stands below the line that opens it.
    parts = [part.removesuffix("-title") for part in re.findall(r'<h2 id="([^"]+)"', text)]
    assert re.findall(r'href="#([^"]+)"', contents[0]) == parts
    assert all(f'id="{part}"' in text for part in parts)


async def test_each_call_but_the_end_of_the_key_can_be_tried_with_a_key_that_no_form_sends(
    http: httpx2.AsyncClient,
) -> None:
    document = (await http.get("/openapi.json")).json()
    text = (await http.get("/docs/api")).text

    trials = dict(re.findall(r'<form data-trial="\.\.([^"]+)" data-method="(\w+)" class="fields" hidden>', text))
    assert trials == {
        path: method.upper()
        for path, methods in document["paths"].items()
        for method in methods
        if "revoke" not in path
    }
    (key,) = re.findall(r'<input type="password"[^>]*>', text)
    assert "name=" not in key
    assert 'autocomplete="off"' in key


async def test_the_pages_about_webhooks_tell_of_each_event(http: httpx2.AsyncClient) -> None:
    served = (await http.get("/docs/webhooks")).text
    written = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")

    for event in (*EVENT_TYPES, TEST_EVENT):
        assert f"<code>{event}</code>" in served
        assert f"`{event}`" in written
    examples = (
        *re.findall(r'<code id="webhook-message">(.*?)</code>', served, re.DOTALL),
        *re.findall(r"```json\n(.*?)\n```", written, re.DOTALL),
    )
    assert [list(json.loads(html.unescape(each))["data"]) for each in examples] == [
        list(PlacedJob.__struct_encode_fields__)
    ] * 2
