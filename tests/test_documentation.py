"""Compare the pages with what they describe: commands, settings, calls, files, targets of make."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import msgspec

from gateway.api.openapi import build_openapi
from gateway.auth.keys import TEXT_PATTERN
from gateway.cli.main import COMMANDS, gateway
from gateway.models import RatePolicy
from gateway.resources import resource_text
from gateway.settings.changes import CHANGEABLE
from gateway.settings.secret import Secret, SecretUrl
from gateway.settings.tables import tables, types_of

ROOT = Path(__file__).parent.parent
LONGEST_README = 250
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^(?: {4,}|\t)\S.*", re.MULTILINE)
CODE_SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^]]*]\(([^)]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
BETWEEN_COMMANDS = re.compile(r"\||&&|;|>")
PATH = re.compile(r"(?:gateway|tests|docs|bench|deploy|\.ci)/[\w./@-]+|[\w-]+\.(?:md|toml|sql)")
METRIC = re.compile(r"\bgateway_([a-z_]+?)(?:_total)?\b")
METRIC_KIND = r"Counter|Gauge|\w+MetricFamily"
MADE_BY_OPERATORS = {"clients.toml"}
"""Names of files that the pages have somebody write."""


class Page:
    """A page, taken apart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[tuple[str, str]]:
        """Return what stands between fences, with the language each block names."""
        return [(language, body) for _, language, body in FENCED.findall(self.text)]

    @cached_property
    def code(self) -> list[str]:
        """Return code spans in one line each, lines of indented blocks, and lines typed at a prompt."""
        prose = FENCED.sub("", self.text)
        typed = [line.strip()[2:] for _, body in self.blocks for line in body.splitlines() if line.strip()[:2] == "$ "]
        return [" ".join(span.split()) for span in CODE_SPAN.findall(prose)] + INDENTED.findall(prose) + typed

    @cached_property
    def anchors(self) -> set[str]:
        """Return what a link may name after `#`, made from the headings as GitHub does."""
        headings = HEADING.findall(FENCED.sub("", self.text))
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def rows(self, start: str) -> list[list[str]]:
        """Return the cells of the table rows whose first cell starts with `start`, without the code marks."""
        return [
            [cell.strip() for cell in line.strip("| ").split(" | ")]
            for line in self.text.splitlines()
            if line.startswith(f"| {start}")
        ]


README = Page(ROOT / "README.md")
DOCS = [Page(path) for path in sorted((ROOT / "docs").glob("*.md"))]
PAGES = [README, *(Page(ROOT / name) for name in ("CONTRIBUTING.md", "SECURITY.md", "bench/README.md")), *DOCS]


def page(name: str) -> Page:
    return next(page for page in PAGES if page.name == name)


def test_the_readme_is_short() -> None:
    assert len(README.text.splitlines()) <= LONGEST_README


def test_the_readme_leads_to_every_page() -> None:
    targets = set(LINK.findall(README.text))

    assert {page.name for page in PAGES} - targets - {"README.md"} == set()


def test_every_link_leads_somewhere() -> None:
    assert [
        f"{page.name}: {target}" for page in PAGES for target in LINK.findall(page.text) if leads_nowhere(page, target)
    ] == []


def leads_nowhere(page: Page, target: str) -> bool:
    path, _, anchor = target.partition("#")
    if "://" in path:
        return False
    file = (page.path.parent / path).resolve() if path else page.path
    return not file.exists() or bool(anchor and anchor not in Page(file).anchors)


def test_the_readme_tells_of_every_call() -> None:
    paths = build_openapi(server_url="/", rate=RatePolicy(100, 60))["paths"]
    calls = {f"`{method.upper()} {path.removeprefix('/api/v1')}`" for path in paths for method in paths[path]}

    assert {cells[0] for method in ("GET", "POST") for cells in README.rows(f"`{method} /")} == calls


def test_the_page_of_commands_tells_of_each_and_its_sub_commands() -> None:
    told = {}
    for cells in page("docs/commands.md").rows("`gateway "):
        first, *others = CODE_SPAN.findall(cells[0])
        _, name, *sub_command = first.split()
        told[name] = {*sub_command, *others}

    assert told == {name: set(getattr(command(name), "commands", ())) for name in COMMANDS}


def command(name: str) -> click.Command:
    found = gateway.get_command(click.Context(gateway), name)
    assert found is not None, name
    return found


def test_every_command_that_a_page_names_exists_with_its_options() -> None:
    mistakes = [
        f"{page.name}: {code}: {mistake}" for page in PAGES for code in page.code for mistake in mistakes_in(code)
    ]

    assert mistakes == []


def mistakes_in(code: str) -> Iterator[str]:
    """Yield what the command line would not understand in the commands of `code` that start the gateway."""
    for part in BETWEEN_COMMANDS.split(code.partition(" #")[0]):
        words = ["", *part.split()]
        programs = [at for at in range(1, len(words)) if is_program(words[at], before=words[at - 1])]
        if programs:
            yield from misunderstood(words[programs[0] + 1 :])


def is_program(word: str, *, before: str) -> bool:
    """Return whether `word` starts the gateway; after an option it is a user's or a database's name."""
    return word.rpartition("/")[2] == "gateway" and (before == "--" or not before.startswith("-"))


def misunderstood(words: list[str]) -> Iterator[str]:
    known: click.Command | None = gateway
    rest = list(words)
    while isinstance(known, click.Group) and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        name = rest.pop(0)
        known = known.get_command(click.Context(known), name)
        if known is None:
            yield f"no command {name}"
            return
    assert known is not None
    options = {option for parameter in known.params for option in parameter.opts} | {"--help"}
    yield from (f"no option {word}" for word in rest if word.startswith("--") and word not in options)


def test_the_page_of_settings_is_what_the_gateway_reads() -> None:
    told = [
        [cells[0], cells[1], cells[2], "*reload*" in cells[3]]
        for table in tables()
        for cells in page("docs/settings.md").rows(f"`{table}.")
    ]

    assert told == [
        [f"`{name}`", f"`{in_toml(default)}`", taken_by(kind), name in CHANGEABLE] for name, default, kind in settings()
    ]


def settings() -> Iterator[tuple[str, Any, Any]]:
    """Yield each setting: its dotted name, its shipped default, its type."""
    defaults = tomllib.loads(resource_text("settings.toml"))
    for table, structure in tables().items():
        for key, kind in types_of(structure).items():
            yield f"{table}.{key}", defaults[table][key], kind


def in_toml(value: object) -> str:
    return json.dumps(value)


def taken_by(kind: Any) -> str:
    """Return what a setting of this type takes, in the page's words."""
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    described = msgspec.inspect.type_info(kind)
    if isinstance(described, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        return f"{described.ge} or more" if described.le is None else f"{described.ge:g} to {described.le:g}"
    return {str: "text", bool: "true, false", Secret: "secret", SecretUrl: "address"}.get(kind, "list")


def test_every_setting_that_a_page_names_exists() -> None:
    names = {name for name, _, _ in settings()}
    variables = {f"GATEWAY_{name.upper().replace('.', '_')}" for name in names}
    variables |= {
        f"GATEWAY_{name.upper().replace('.', '_')}_FILE" for name, _, kind in settings() if kind in {Secret, SecretUrl}
    }
    dotted = re.compile(rf"(?<![\w./-])(?:{'|'.join(tables())})\.[a-z_]+(?![\w.-])")
    named = {
        f"{page.name}: {name}"
        for page in PAGES
        for name in [*dotted.findall(page.text), *re.findall(r"\bGATEWAY_[A-Z_]+\b", page.text)]
        if name not in names | variables
    }

    assert named == set()


def test_every_file_that_a_page_names_exists() -> None:
    missing = [
        f"{page.name}: {code}"
        for page in PAGES
        for code in page.code
        if PATH.fullmatch(code) and code not in MADE_BY_OPERATORS
        if not (ROOT / code).exists() and not (page.path.parent / code).exists()
    ]

    assert missing == []


def test_contributing_tells_of_every_room() -> None:
    unnamed = {"__init__.py", "__main__.py", "__pycache__"}
    rooms = {path.name for path in (ROOT / "gateway").iterdir()} - unnamed
    told = {code.removeprefix("gateway/").rstrip("/") for code in page("CONTRIBUTING.md").code}

    assert rooms - told == set()


def test_every_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for page in PAGES for code in page.code for name in re.findall(r"(?:^|\s)make ([a-z-]+)", code)}

    assert {"run", "test"} <= named
    assert named - targets == set()


def test_every_metric_that_a_page_names_exists() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gateway").rglob("*.py"))

    named = {name for page in PAGES for name in METRIC.findall(page.text)}

    assert "rate_limit_local" in named
    assert {name for name in named if not re.search(rf'"(gateway_)?{name}"', source)} == set()


def test_every_metric_and_every_event_of_the_log_is_explained() -> None:
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    modules = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "gateway").rglob("*.py")]

    told = {name.removeprefix("gateway_") for module in modules for name in told_by(module)}

    assert {"workspace_refused", "upstream_odd_rows", "cluster_gateways"} <= told
    assert {name for name in told if not re.search(rf"`(gateway_)?{name}(_total)?`", page)} == set()


def told_by(module: ast.Module) -> Iterator[str]:
    """Names of metrics and events: a literal or a constant, first in a call or in what `gauges` yields."""
    constants = {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log")), args=[name, *_]):
                pass
            case ast.Call(func=ast.Attribute(attr="gauge" | "counter" | "_new_counter"), args=[name, *_]):
                pass
            case ast.Call(func=ast.Name(id=kind), args=[name, *_]) if re.fullmatch(METRIC_KIND, kind):
                pass
            case ast.Yield(value=ast.Tuple(elts=[name, ast.Constant(), _])):
                pass
            case _:
                continue
        value = name.value if isinstance(name, ast.Constant) else constants.get(getattr(name, "id", ""))
        if isinstance(value, str) and re.fullmatch(r"[a-z_]+", value):
            yield value


def test_the_expression_that_finds_keys_is_the_one_that_is_printed() -> None:
    assert re.findall(r"^    (.*smrt_.*)$", page("SECURITY.md").text, re.MULTILINE) == [TEXT_PATTERN]


def test_sample_answers_and_settings_can_be_read() -> None:
    answers = [line for page in PAGES for _, body in page.blocks for line in body.splitlines() if line.startswith("{")]
    files = [body for page in PAGES for language, body in page.blocks if language == "toml"]

    assert all(isinstance(json.loads(line), dict) for line in answers)
    assert all(tomllib.loads(body).keys() <= tables().keys() for body in files)
    assert len(answers) > 1
    assert files
