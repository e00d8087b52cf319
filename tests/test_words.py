"""Keep the words that were given up out of code, comments, pages, templates and tests: one word for each idea."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("gateway", "tests", "bench", "deploy", "docs", ".ci")
KINDS = {
    ".py",
    ".html",
    ".js",
    ".css",
    ".jinja",
    ".sql",
    ".md",
    ".toml",
    ".yaml",
    ".conf",
    ".service",
    ".socket",
    ".lua",
    ".svg",
    ".spec",
    ".c",
}
DRAWN = {"bench/flame.svg"}
"""Drawn by a program, of the code of its day; drawn anew with the next benchmark."""
NOT_OURS = {"node_modules", "__pycache__"}
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")
"""Where the words of an identifier meet."""
BULKHEAD = r"gateway/(airbyte|cluster)/|tests/(airbyte|cluster|together|faults)/|bench/|gateway/web/middleware/"
LOCKS = r"gateway/(store|cluster|syncs|provisioning)/|tests/(store|cluster|syncs|together)/|bench/cluster|bench/.*md"
EARLY = r"gateway/web/|gateway/app\.py|tests/web/"
MANIFEST = r"gateway/provisioning/|gateway/cli/|tests/provisioning/|tests/cli/|docs/|README\.md|CHANGELOG\.md"


@dataclass(frozen=True)
class Retired:
    """A pattern of a word that was given up, the word that replaced it, and the paths in which it means that.

    The pattern is compared with lower-case text whose identifiers are taken apart: `FleetLane` is `fleet lane`.
    """

    pattern: str
    instead: str
    within: str = ""

    def is_in(self, path: str, text: str) -> bool:
        return re.search(self.within, path) is not None and re.search(rf"\b(?:{self.pattern})\b", text) is not None


RETIRED = (
    Retired(r"lanes?", "bulkhead"),
    Retired(r"(free|own|full|held|empty|all) places?|no places? (for|at)|(holds?|takes?) no place", "permit", BULKHEAD),
    Retired(
        r"places? (at|for|beside) (airbyte|calls?|requests?)|half of the places|airbyte places", "permit", BULKHEAD
    ),
    Retired(
        r"turns? to write|(?<!in )turn seconds|whose turn|sole turns|class turns|of their turns", "lease, write lock"
    ),
    Retired(r"(waits? for|has|have|had|takes?) (its|their|the|a) turn", "lease, write lock", LOCKS),
    Retired(r"brak(e|es|ed|ing)", "failed-auth throttle"),
    Retired(r"turnstiles?", "lookup queue"),
    Retired(r"strangers?", "unauthenticated client"),
    Retired(
        r"(is|are|was|were|be|been|while|goes|backend|times|as|valkey|server|database|airbyte) away", "unavailable"
    ),
    Retired(r"(except|class|raise) away", "backend unavailable"),
    Retired(r"refusal observer|refusals? on the wire|wire refusals?|(self|gate)\. ?refusals?", "early response", EARLY),
    Retired(r"request records?|record: request context", "request context"),
    Retired(r"connection watch(es)?", "idle timeout"),
    Retired(r"loop watch(es)?", "loop lag"),
    Retired(r"heart[- ]beats?", "heartbeat"),
    Retired(r"fleets?|gateway[./]shared|tests[./]shared", "cluster"),
    Retired(r"(a|the|this|such a|that|same|whole) maps?(?! of)", "manifest", MANIFEST),
    Retired(r"settlements?", "upsert"),
    Retired(r"removals", "deletion"),
    Retired(r"inventor(y|ies)", "discovery"),
    Retired(r"keeps? paying|debts?|owed|owes?", "retry", r"gateway/syncs/|tests/syncs/"),
    Retired(r"goodbyes?|bury|buries|buried|takes? leave|took leave|taking leave", "close, reap"),
    Retired(r"made once", "idempotent form", r"dashboard/"),
    Retired(r"wordings?", "humanize"),
)
ALLOWED = (
    ("CHANGELOG.md", "(was `gateway_fleet_gateways`)"),
    ("CHANGELOG.md", "(was `shared_backend_away`)"),
    ("CHANGELOG.md", "was `make strangers`; `make bench-cluster` was `make bench-fleet`"),
)
"""Path and piece of a line that tells who used an old name of the new one."""
RETIRED_USES = (
    ("gateway/cluster/x.py", "class FleetLane(Lane):"),
    ("gateway/airbyte/x.py", "a caller waits for a free place"),
    ("gateway/store/x.py", "TURN_SECONDS = 15"),
    ("gateway/store/x.py", "a commit waits for its turn"),
    ("gateway/auth/x.py", "from gateway.auth.brake import Brake, Turnstile"),
    ("gateway/auth/x.py", "# strangers are slowed down"),
    ("gateway/cluster/x.py", "if self._valkey.is_away:"),
    ("gateway/cluster/x.py", "except Away:"),
    ("gateway/web/x.py", "gate.refusals.tell()"),
    ("gateway/web/x.py", "request_record = scope[KEY]"),
    ("gateway/web/x.py", "connection_watch = LoopWatch()"),
    ("docs/x.md", "Heart-beats of a fleet of gateways"),
    ("gateway/cli/x.py", "Change the database to what such a map says."),
    ("gateway/provisioning/x.py", "import inventory, removals, settlement"),
    ("gateway/syncs/x.py", "self._debts = keep_paying()"),
    ("gateway/web/x.py", "self._say_goodbye()"),
    ("gateway/dashboard/x.py", "made_once(wording)"),
)
ORDINARY_USES = (
    ("gateway/airbyte/x.py", "what stands in place of a placeholder takes place in one place"),
    ("gateway/store/x.py", "return in turn what turned out to be turned off"),
    ("gateway/web/x.py", "callers are turned away right away"),
    ("tests/nginx/x.py", "ip netns exec a ip link"),
    ("gateway/cli/x.py", "gateway connection map ID; dict(map(str, rows)); a mapping of names"),
    ("gateway/store/x.py", "refusals of another database"),
    ("gateway/syncs/x.py", "the record is removed; a planet, an explanation"),
)


def files() -> Iterator[Path]:
    for path in ROOT.iterdir():
        if path.suffix in {".md", ".sql"} or path.name in {"Makefile", "settings.toml", "pyproject.toml"}:
            yield path
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            is_read = path.suffix in KINDS or path.parent.name == ".ci"
            if is_read and not NOT_OURS.intersection(path.parts) and path.relative_to(ROOT).as_posix() not in DRAWN:
                yield path


def taken_apart(text: str) -> str:
    return HUMP.sub(" ", text).lower()


def retired_in(path: str, text: str) -> list[str]:
    """Return the words that replace what a text in the file at `path` has."""
    apart = taken_apart(text)
    return [each.instead for each in RETIRED if each.is_in(path, apart)]


def is_allowed(path: str, line: str) -> bool:
    return any(path == allowed and piece in line for allowed, piece in ALLOWED)


def hits() -> Iterator[str]:
    """Yield `file:line: word: text` for each use; line 0 is the file's name."""
    for file in files():
        path = file.relative_to(ROOT).as_posix()
        if file == Path(__file__):
            continue
        text = f"{file.name}\n{file.read_text(encoding='utf-8')}"
        # Nearly all files have none: one look at the whole is much faster than one at each line.
        lines = text.splitlines() if retired_in(path, text) else []
        for number, line in enumerate(lines):
            if not is_allowed(path, line):
                yield from (f"{path}:{number}: {instead}: {line.strip()}" for instead in retired_in(path, line))


def test_a_retired_word_is_found() -> None:
    assert [use for use in RETIRED_USES if not retired_in(*use)] == []


def test_an_ordinary_meaning_is_not() -> None:
    assert [use for use in ORDINARY_USES if retired_in(*use)] == []


def test_no_retired_word_is_used() -> None:
    found = list(hits())

    assert not found, "\n".join(["", *found])
