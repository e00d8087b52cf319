"""What scanners are told finds every key, wherever it stands, and nothing that is none."""

import math
import re
import secrets
import tomllib
from collections import Counter
from typing import Any

import pytest

from gateway.auth import keys
from gateway.deployment.secret_scanning import EXAMPLE, github_pattern, gitleaks_rules

KEYS = [EXAMPLE, *(keys.mint(secrets.choice) for _ in range(200))]
PLACES = [
    "{}",
    '"{}"',
    "'{}',",
    "Authorization: Bearer {}\r\n",
    "API_KEY={}\nNEXT=1",
    "https://gateway.example/?key={}&x=1",
    "https://{}@gateway.example/",
    "key: {}.",
    "<b>{}</b>",
    "`{}`",
    "a\n{}\nb",
    "KEY_{}",
    "{}_old",
    "__{}__",
    "{0},{0}",
]
NEAR_MISSES = [
    "smrt_",
    EXAMPLE[:-1],
    EXAMPLE + "0",
    "x" + EXAMPLE,
    EXAMPLE.upper(),
    EXAMPLE.replace("_", "-"),
    EXAMPLE[:20] + "-" + EXAMPLE[21:],
    EXAMPLE[:20] + "é" + EXAMPLE[21:],
    EXAMPLE[:20] + "\n" + EXAMPLE[20:],
]


GITLEAKS_STOP_WORDS = ("014df517-39d1-4453-b7b3-9930c563627c", "abcdefghijklmnopqrstuvwxyz")
"""Of gitleaks' default configuration, read on 30 November 2026: a secret that has one of them in it is passed over.

gitleaks itself does not run in these tests.
"""


def gitleaks_rule() -> dict[str, Any]:
    (rule,) = tomllib.loads(gitleaks_rules())["rules"]
    return dict(rule)


def entropy(text: str) -> float:
    """Shannon's, in bits for each character, as gitleaks counts it."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def found_by_gitleaks(text: str) -> list[str]:
    """As its documentation has it: a keyword in lower case first, then the expression, then the entropy."""
    rule = gitleaks_rule()
    if not any(keyword in text.lower() for keyword in rule["keywords"]):
        return []
    secrets_found = [found[rule["secretGroup"]] for found in re.finditer(rule["regex"], text, re.ASCII)]
    return [each for each in secrets_found if entropy(each) > rule["entropy"] and not has_stop_word(each)]


def has_stop_word(secret: str) -> bool:
    return any(word in secret.lower() for word in GITLEAKS_STOP_WORDS)


def found_by_github(text: str) -> list[str]:
    """What comes before and after may be shared by two neighbours: Hyperscan reports overlapping matches."""
    fields = github_pattern()
    after = fields["After secret"].replace(r"\z", r"\Z")
    whole = re.compile(f"(?=(?:{fields['Before secret']})({fields['Secret format']})(?:{after}))", re.ASCII)
    return [found[1] for found in whole.finditer(text)]


SCANNERS = [found_by_gitleaks, found_by_github, lambda text: re.findall(keys.TEXT_PATTERN, text)]


@pytest.mark.parametrize("scan", SCANNERS, ids=["gitleaks", "github", "regex"])
def test_a_key_is_found_wherever_it_stands(scan: Any) -> None:
    missed = [(place, key) for place in PLACES for key in KEYS if scan(place.format(key)) != [key] * place.count("{")]

    assert missed == []


@pytest.mark.parametrize("scan", SCANNERS, ids=["gitleaks", "github", "regex"])
def test_what_is_almost_a_key_is_not_found(scan: Any) -> None:
    assert [text for text in NEAR_MISSES if scan(f"key = {text} ")] == []


def test_the_rule_file_has_what_gitleaks_asks_of_a_rule() -> None:
    content, rule = tomllib.loads(gitleaks_rules()), gitleaks_rule()

    assert content["extend"] == {"useDefault": True}
    assert set(rule) == {"id", "description", "regex", "secretGroup", "entropy", "keywords"}
    assert all(keyword == keyword.lower() and keyword in EXAMPLE for keyword in rule["keywords"])


def test_placeholders_are_told_from_keys_by_their_entropy() -> None:
    assert found_by_gitleaks("smrt_" + "x" * 36) == []
    assert min(map(entropy, KEYS)) > gitleaks_rule()["entropy"]


def test_hyperscan_and_re2_know_every_construct() -> None:
    """Neither has look-around, back-references or atomic groups."""
    for text in (gitleaks_rule()["regex"], *list(github_pattern().values())[1:4]):
        assert re.search(r"\(\?[^:]|\\[1-9]|[*+?}]\+", text) is None


def test_the_example_is_well_formed() -> None:
    assert keys.is_well_formed(EXAMPLE)
    assert github_pattern()["Test string"] == EXAMPLE
