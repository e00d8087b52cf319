"""Make Airbyte's message about a customer's source fit to be shown: whatever might be a secret is left out.

What is kept is listed, not what is left out: words, small numbers, dates, and names of streams and columns. All else is
`[hidden]`: hosts, addresses, URLs, paths, e-mail addresses, ids, tokens, and letters mixed with digits. Where a value
follows a word such as `password` or `key`, the message ends, however ordinary the value looks. Only a secret that is an
ordinary word, and stands where nothing says so, cannot be told from one.
"""

import re
import unicodedata

HIDDEN = "[hidden]"
MOST_READ = 2_000
"""Characters of a message that are looked at."""
MOST_SHOWN = 400
"""Characters of a message that are shown."""
LONGEST_PIECE = 60
"""Of a name. A longer one is hidden."""
FEWEST_WORDS_LEFT = 2
"""With fewer a message tells nothing."""
LONGEST_UPPER = 14
LONG_WORD = 10
"""Letters from which on a word must be pronounceable."""
VOWELS_OF_LONG = 0.25

_LABEL = (
    r"(?:pass(?:word|wd|wort|phrase|code)|pwd|kennwort|contrase\w+a|senha|mot\s+de\s+passe|secret|token|credential"
    r"|bearer|cookie|session|signature|jwt|certificate|nonce|salt|(?:api|app)[\s_.-]?key|connection[\s_-]?string"
    r"|(?:access|private|account|shared|storage|encryption|master|signing|ssh|rsa|pgp)[\s_.-]?key"
    r"|authori[sz]ation|authentication|(?<![^\W\d_])(?:pass|pw|key|auth|sig|pin|otp|sas|dsn|cert))[\w.$-]{0,40}"
)
_VALUE_FOLLOWS = re.compile(
    rf"""
    -----BEGIN
    | {_LABEL} \s* [\])"'`]* \s* (?: [:=] | -+> )      # password=…  "password": …  password => …
    | {_LABEL} \s+ (?: is | was | of | equals ) \s+ ["'`\[({{<]
    | {_LABEL} \s* ["'`]                               # password '…'
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SECRET_WORD = re.compile(
    r"(?:[\w.-]{0,40}[_.-])?(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|bearer|basic|digest|negotiate|apikey|key)s?"
)
_HOST_WORDS = frozenset({"host", "hostname"})
_FILLERS = frozenset({"is", "was", "of", "equals", "were", "named", "called"})
_PLAIN_AFTER = frozenset(
    re.findall(
        r"\w+",
        """
        a an and are as at authentication authorization based be been being but by can cannot column configuration
        configured constraint could denied did does empty error errors exceeded exchange exists expired failed
        failure for found from given grant has have id in incorrect invalid it lacks limit locked longer malformed
        may missing must name needs no not null on or permission permissions provided refresh refused rejected
        required resolution revoked scope scopes should supplied that the this to type unavailable unknown
        unreachable used using valid value violates when which will with without wrong you your
        """,
    )
)
"""Words that may follow `password` or `host` and are no value of it."""
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
    text = _one_line(message[:MOST_READ])
    value = _VALUE_FOLLOWS.search(text)
    shown = _masked_pieces(text if value is None else text[: value.end()])
    shown = _SEVERAL_HIDDEN.sub(HIDDEN, shown if value is None else f"{shown} {HIDDEN}").strip()
    if len(_LETTERS.findall(shown.replace(HIDDEN, ""))) < FEWEST_WORDS_LEFT:
        return ""
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN].rpartition(' ')[0]} …"


def _one_line(text: str) -> str:
    """Return the text without control and invisible characters, and with look-alikes as what they look like."""
    plain = "".join(
        " " if unicodedata.category(each) in {"Cc", "Zl", "Zp", "Zs"} else each
        for each in unicodedata.normalize("NFKC", text)
        if unicodedata.category(each) not in {"Cf", "Cn", "Co", "Cs", "Mn", "Me"}
    )
    return " ".join(plain.split())


def _masked_pieces(text: str) -> str:
    """Return the text with each piece hidden that is no word, and each word that may be the value of a secret."""
    parts: list[str] = []
    end = 0
    may_be_value = False
    for piece in _PIECE.finditer(text):
        gap, end = text[end : piece.start()], piece.end()
        core = piece[0].strip(_EDGES)
        word = core[: LONGEST_PIECE + 1].lower()
        is_hidden = "=" in gap or not _may_be_shown(core)
        if may_be_value and word not in _FILLERS:
            may_be_value = word not in _PLAIN_AFTER
            is_hidden |= may_be_value
        parts += [gap, piece[0].replace(core, HIDDEN) if is_hidden and core else piece[0]]
        may_be_value |= word in _HOST_WORDS or _SECRET_WORD.fullmatch(word) is not None
    return "".join([*parts, text[end:]])


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
