"""The commands of README.md and docs/, in their order, and why some of them are not run as they stand there."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^( *)```console\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4,}\S.*\n)+", re.MULTILINE)
ANY_FENCED = re.compile(r"^( *)```\w*\n.*?^\1```", re.MULTILINE | re.DOTALL)
PROMPT = "$ "
PAGES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")))

NEEDS_MAKE = "a target of the Makefile, which CI runs"
NEEDS_BINARY = "needs the binary; tests/binary runs it"
NEEDS_NAME = "needs a name of the web that leads here; tests/nginx asks nginx the same"
NEEDS_ENGINE = "needs a container engine; tests/machine/test_container.py carries out the Containerfile's own lines"
ENDS_NOT = "serves until it is stopped; the service does the same here"
OTHER_FOLDER = "for a machine without systemd; the same commands are run for the service"
DEMO_KEY = "smrt_FwA6LHzOK6VUesSVj4iHdczrQiSFga1NijC2"
NOT_RUN = {
    "make run": NEEDS_MAKE,
    "make test": NEEDS_MAKE,
    f'curl -sS -H "Authorization: Bearer {DEMO_KEY}" http://127.0.0.1:8080/api/v1/status': (
        "a line that make run prints; tests/cli/test_demo.py pastes it"
    ),
    "make soak": NEEDS_MAKE,
    "make chaos": NEEDS_MAKE,
    "make overload": NEEDS_MAKE,
    "make unauthenticated": NEEDS_MAKE,
    "dist/gateway --version": NEEDS_BINARY,
    "curl -i https://gateway.example.com/api/v1/status": NEEDS_NAME,
    "curl http://gateway.example.com/api/v1/status": NEEDS_NAME,
    "gateway install --systemd --settings /srv/gateway/settings.toml": (
        "asks; tests/machine/test_taken_over.py answers"
    ),
    "docs/operating.md: gateway init": OTHER_FOLDER,
    "gateway serve": ENDS_NOT,
    "docker build --file deploy/Containerfile --build-arg COMMIT=$(git rev-parse --short=12 HEAD) "
    "--tag airbyte-client-gateway .": NEEDS_ENGINE,
    "docker run --rm --volume gateway:/var/lib/gateway airbyte-client-gateway init": NEEDS_ENGINE,
    "docker run --read-only --tmpfs /tmp --publish 127.0.0.1:8080:8080 --volume gateway:/var/lib/gateway "
    "--env-file gateway.env airbyte-client-gateway": NEEDS_ENGINE,
}
"""Commands, without their comments, that are not run on the machine, and why; with a page's name, not on that page."""


def commands(page: str) -> Iterator[str]:
    """Yield each command of the page as it is pasted: a line at a prompt with its continuations, or an indented one."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [(match.start(), match.group(2)) for match in FENCED.finditer(text)]
    blanked = ANY_FENCED.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    blocks += [(match.start(), match.group()) for match in INDENTED.finditer(blanked)]
    for _, block in sorted(blocks):
        yield from _typed(block.splitlines())


def _typed(lines: list[str]) -> Iterator[str]:
    has_prompts = any(line.strip().startswith(PROMPT) for line in lines)
    rest = iter(lines)
    for line in rest:
        typed = line.strip()
        if has_prompts and not typed.startswith(PROMPT):
            continue
        typed = typed.removeprefix(PROMPT)
        while typed.endswith("\\"):
            typed = typed.removesuffix("\\") + next(rest).strip()
        yield typed


def names(page: str, command: str) -> set[str]:
    """Return what `NOT_RUN` calls a command of the page, in general and on this page alone."""
    bare = re.sub(r"\s+#.*$", "", command)
    return {bare, f"{page}: {bare}"}
