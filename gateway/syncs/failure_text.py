"""Make Airbyte's message about a customer's source fit to be shown: whatever might be a secret is left out.

What is kept is listed, not what is left out: words, small numbers, dates, names of streams and columns, and known
SQLSTATE codes that are called so. All else is `[hidden]`, with what is joined to it without a space: hosts, addresses,
URLs, paths, e-mail addresses, ids, tokens, and letters mixed with digits. After a word such as `password`, `key` or
`host` only listed words are shown until the sentence ends; where a value follows it for sure, the message ends. Only a
secret that is an ordinary word, and stands where nothing says so, cannot be told from one.
"""

import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache

HIDDEN = "[hidden]"
MOST_READ = 800
"""Characters of a message that are looked at."""
MOST_MASKED = 600
"""Characters that may be shown: what follows them says what they are."""
MOST_SHOWN = 400
"""Characters of a message that are shown."""
LONGEST_PIECE = 60
"""Of a name. A longer one is hidden."""
FEWEST_WORDS_LEFT = 2
"""With fewer a message tells nothing."""
REMEMBERED = 500
"""Messages, which come again with each page of the same jobs."""
LONGEST_UPPER = 14
LONG_WORD = 10
"""Letters from which on a word must be pronounceable."""
VOWELS_OF_LONG = 0.25

_LABEL_WORD = (
    r"(?:pass(?:word|wd|wort|phrase|code)|pwd|kennwort|contrase\w+a|senha|mot\s+de\s+passe|secret|token|credential"
    r"|bearer|cookie|session|signature|jwt|certificate|nonce|salt|(?:api|app)[\s_.-]?key|connection[\s_-]?string"
    r"|(?:access|private|account|shared|storage|encryption|master|signing|ssh|rsa|pgp)[\s_.-]?key"
    r"|(?:verification|security|access|one-time)\s+code|authori[sz]ation|authentication"
    r"|(?<![^\W\d_])(?:pass|pw|key|auth|sig|pin|otp|sas|dsn|cert|basic|digest|negotiate))"
)
_LABEL = rf"{_LABEL_WORD}[\w.$-]{{0,40}}"
_HOST = (
    r"(?:host(?:[\s_]?name)?|server|broker|cluster|endpoint|kdc|lookup|resolv(?:e|ed|ing)|reach(?:ed|ing)?|route|dial"
    r"|(?:connect(?:ed|ing|ion)?|bind|listen|request|log\s?in)\s+(?:to|with|at|on)"
    r"|getaddrinfo|gaierror|unknownhost\w{0,20}|enotfound|eai_again|econnrefused|econnreset|ehostunreach|etimedout)"
)
_VALUE_FOLLOWS = re.compile(
    rf"""
    -----BEGIN
    | {_LABEL} (?:
        \s* [\])"'`]* \s* (?: [:=] | -+> )      # password=…  "password": …  password => …
        | \s+ (?: is | was | of | equals ) \s+ ["'`\[({{<]
        | \s* ["'`]                             # password '…'
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NAMED = re.compile(rf"(?:{_LABEL_WORD}|(?<![^\W\d_]){_HOST})s?(?![^\W\d_])", re.IGNORECASE)
"""What is a secret or a host, in the sentence after which its value may stand."""
_NAMED_AFTER = re.compile(
    rf"""
    (?<!\S) \S{{1,60}}+ (?= \s+ (?:
        (?: (?: on | at | and | with | the ) \s+ ){{0,3}} port \W{{1,3}} \d   # billing-db, port 5432
        | (?: as | is | was ) \s+ (?: (?: the | a | its | your ) \s+ )? {_LABEL_WORD}   # hunter as the password
    ))
    """,
    re.IGNORECASE | re.VERBOSE,
)
_STATES = frozenset(
    re.findall(
        r"\w+",
        """
        01000 02000 08000 08001 08003 08004 08006 08007 08P01 08S01 0A000 21000 22000 22001 22003 22007 22008 22012
        22018 22021 22023 22P02 22P05 23000 23502 23503 23505 23514 24000 25000 25006 25P02 25P03 26000 28000 28P01
        34000 3D000 3F000 40000 40001 40003 40P01 42000 42501 42601 42602 42622 42703 42704 42710 42804 42883 42P01
        42P02 42P07 42S02 42S22 53000 53100 53200 53300 53400 54000 54001 55000 55006 55P03 57000 57014 57P01 57P02
        57P03 57P04 58000 58030 58P01 70100 HY000 HY001 HY008 HY010 HYT00 HYT01 IM002 S0001 S0002 XX000 XX001 XX002
        """,
    )
)
"""Codes of ISO 9075, PostgreSQL (appendix A), MySQL and ODBC that say why a database refused. They hold no secrets."""
_STATE = re.compile(
    r"(?<![^\W_])(?:sql[\s_]?state(?:\s+code)?|state\s+code)[\s\"'`:=\[(]{1,4}([0-9A-Z]{5})(?![^\s\"'`;,.:)\]])",
    re.IGNORECASE,
)
_NAMES = frozenset(
    {"user", "username", "role", "scope", "stream", "table", "column", "schema", "constraint", "http", "status", "port"}
)
"""What follows these is no secret, even where a secret may follow."""
_PLAIN = frozenset(
    re.findall(
        r"\w+",
        """
        a accepted account address after again airbyte an and any are as at attempt attempts authenticate
        authentication authorization available based be because been before being but by called can cannot change
        check closed code column configuration configured connect connecting connection constraint contact could
        database denied did disabled does during empty enter entered equals error errors exceeded exchange exists
        expired failed failure failures fatal for forbidden found from get give given grant granted had has have
        header host http https id if in incorrect invalid is issued issuer it its known lacks limit local locked login
        longer lookup made make malformed match may message missing must name named needs new no not null of on once
        or out parameter permission permissions please port problem provide provided reach read reading refresh
        refused rejected renew request required reset resolution resolve retry revoked role route scope scopes server
        service settings should sign source sqlstate ssl state status stream such supplied sync table that the
        their then they this time timed timeout tls to try trying twice type unable unauthorized unavailable
        unique unknown unreachable until update updated use used user username using valid value verification
        verify violates was were when which while will with within without wrong you your
        """,
    )
)
"""Words that are shown where a secret or a host may follow."""
_RUN = re.compile(r"\S+")
_QUOTES = """ "'`()[]{}"""
_EQUALS = frozenset({"is", "was", "of", "equals", "were"})
_AROUND_RUN = """"'`(){}[]<>.,;:!?"""
_PIECE = re.compile(r"""[^\s"'`,;(){}\[\]<>=|]+""")
_EDGES = ".!?:*#-"
_LETTERS = re.compile(r"[^\W\d_]{1,20}")
_COMPOUND = re.compile(r"(?:[A-Z]{2,5})?(?:[A-Z][a-z]{2,14}){1,4}")
_JOINED_WORDS = re.compile(r"_?(?:[^\W\d_]{1,20})(?:[_-](?:[^\W\d_]{1,20}|\d{1,4})){1,5}")
_SMALL_NUMBER = re.compile(r"[+-]?\d{1,6}(?:\.\d{1,3})?%?|\d{1,5}(?:ms|s|m|h|d|kb|mb|gb)", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?Z?)?|\d{1,2}:\d{2}(?::\d{2})?")
_NO_WORD = re.compile("[bcdfghjklmnpqrstvwxz]{6}")
_KNOWN = frozenset({"e.g", "i.e", "and/or", "tcp/ip", "i/o", "n/a", "oauth2", "utf8", "utf-8", "s3", "sha256"})
_SEVERAL_HIDDEN = re.compile(r"""\[hidden\](?:[\s"'`,;:(){}<>=|/.-]*\[hidden\])+""")


def masked(message: str) -> str:
    """Return what may be shown of the message in one line; empty if too little of it would be left."""
    return _masked(message[: MOST_READ + 1])


@lru_cache(REMEMBERED)
def _masked(message: str) -> str:
    text = _one_line(message)
    value = _VALUE_FOLLOWS.search(text)
    shown = _masked_runs(text if value is None else text[: value.end()])
    shown = _SEVERAL_HIDDEN.sub(HIDDEN, shown if value is None else f"{shown} {HIDDEN}").strip()
    if len(_LETTERS.findall(shown.replace(HIDDEN, ""))) < FEWEST_WORDS_LEFT:
        return ""
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN].rpartition(' ')[0]} …"


def _one_line(text: str) -> str:
    """Return the text without control and invisible characters, and with look-alikes as what they look like.

    One character may look like eighteen, so the text is cut again; what the cut goes through is left out.
    """
    whole = unicodedata.normalize("NFKC", text)
    plain = "".join(
        " " if unicodedata.category(each) in {"Cc", "Zl", "Zp", "Zs"} else each
        for each in whole[:MOST_READ]
        if unicodedata.category(each) not in {"Cf", "Cn", "Co", "Cs", "Mn", "Me"}
    )
    line = " ".join(plain.split())
    return line if len(whole) <= MOST_READ else line.rpartition(" ")[0]


def _masked_runs(text: str) -> str:
    """Return the text with each run between spaces hidden in which something is no word, or may be a value."""
    named = [each.span() for each in _NAMED.finditer(text)]
    ends = [end for _, end in named]
    named_after = {each.start() for each in _NAMED_AFTER.finditer(text)}
    states = {each.start(1) for each in _STATE.finditer(text) if each[1] in _STATES}
    runs: list[str] = []
    before, end, sentence = "", 0, -1
    for run in _RUN.finditer(text):
        is_hidden = "://" in run[0] or "@" in run[0]
        if run.end() > MOST_MASKED:
            break
        for piece in _PIECE.finditer(text, *run.span()):
            gap, end = text[end : piece.start()], piece.end()
            core = piece[0].strip(_EDGES)
            word = core[: LONGEST_PIECE + 1].lower()
            follows = bisect_right(ends, sentence)
            is_value = run.start() in named_after or (follows < len(ends) and ends[follows] <= piece.start())
            is_name = before in _NAMES and not gap.strip(_QUOTES)
            is_label = before not in _EQUALS and any(
                first <= piece.start() and piece.start() + len(core) <= last for first, last in named
            )
            before = word
            if piece.start() in states and core in _STATES:
                continue
            is_hidden |= "=" in gap or not _may_be_shown(core)
            is_hidden |= is_value and bool(word) and word not in _PLAIN and not is_name and not is_label
        if run[0].rstrip(_QUOTES).endswith((".", "!", "?")) and before not in _KNOWN:
            sentence = run.end()
        runs.append(_hidden_run(run[0]) if is_hidden else run[0])
    return " ".join(runs)


def _hidden_run(run: str) -> str:
    """Return the run hidden, between the signs it stands in."""
    core = run.strip(_AROUND_RUN) or run
    return run.replace(core, HIDDEN)


def _may_be_shown(core: str) -> bool:
    """Return whether the text is a word, a name made of words, a small number or a time."""
    if not core or core.lower() in _KNOWN or _SMALL_NUMBER.fullmatch(core) or _DATE.fullmatch(core):
        return True
    if len(core) > LONGEST_PIECE:
        return False
    if _JOINED_WORDS.fullmatch(core):
        return all(part.isdigit() or _is_word(part) for part in re.split("[_-]", core) if part)
    return _is_word(core)


def _is_word(text: str) -> bool:
    """Return whether the letters look like a word, and not like letters drawn by chance."""
    if _LETTERS.fullmatch(text) is None:
        return _COMPOUND.fullmatch(text) is not None
    lower = text.lower()
    is_even = lower == text or (text.isupper() and len(text) <= LONGEST_UPPER) or text[1:] == lower[1:]
    if not is_even and _COMPOUND.fullmatch(text) is None:
        return False
    vowels = sum(each in "aeiouy" or not each.isascii() for each in lower)
    return not _NO_WORD.search(lower) and (len(text) <= LONG_WORD or vowels >= VOWELS_OF_LONG * len(text))
