"""What is shown of Airbyte's messages about sources: never a secret, and still a sentence that helps."""

import base64
import random
import re
import string
import uuid
from collections.abc import Callable
from itertools import product

from gateway.sandbox.failures import CREDENTIALS_REFUSED, PLANTED_HOST, PLANTED_PASSWORD
from gateway.syncs.failure_text import HIDDEN, MOST_READ, MOST_SHOWN, masked

LETTERS_AND_DIGITS = string.ascii_letters + string.digits
ROUNDS = 300
"""Messages that are made of each kind of secret."""


def text_of(draw: random.Random, alphabet: str, length: int) -> str:
    return "".join(draw.choices(alphabet, k=length))


def mixed(draw: random.Random, length: int) -> str:
    """Letters and digits, at least one of each."""
    return "x7" + text_of(draw, LETTERS_AND_DIGITS, length - 2)


def private_key(draw: random.Random) -> str:
    lines = [text_of(draw, LETTERS_AND_DIGITS + "+/", 64) for _ in range(4)]
    return "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join([*lines, "abcd=="]) + "\n-----END RSA PRIVATE KEY-----"


def jwt(draw: random.Random) -> str:
    return ".".join(base64.urlsafe_b64encode(draw.randbytes(30)).decode() for _ in range(3))


SECRETS: dict[str, Callable[[random.Random], str]] = {
    "a hexadecimal key": lambda draw: draw.randbytes(16).hex(),
    "a key in base64": lambda draw: base64.b64encode(draw.randbytes(24)).decode(),
    "a UUID": lambda draw: str(uuid.UUID(bytes=draw.randbytes(16), version=4)),
    "a JWT": jwt,
    "a private key": private_key,
    "a password of letters and digits": lambda draw: mixed(draw, 12),
    "a password with signs": lambda draw: text_of(draw, LETTERS_AND_DIGITS, 5) + "$!7a" + text_of(draw, "^&*~%/@", 4),
    "a key of AWS": lambda draw: "AKIA7" + text_of(draw, string.ascii_uppercase + "234567", 15),
    "a key of Stripe": lambda draw: "sk_live_" + mixed(draw, 24),
    "a token of GitHub": lambda draw: "ghp_" + mixed(draw, 36),
    "a token of Slack": lambda draw: f"xoxb-{draw.randrange(10**11, 10**12)}-{mixed(draw, 24)}",
    "a key of Google": lambda draw: "AIza" + mixed(draw, 35),
    "a key of the gateway": lambda draw: "smrt_" + mixed(draw, 36),
    "an IPv4 address": lambda draw: ".".join(str(draw.randrange(1, 255)) for _ in range(4)),
    "an IPv6 address": lambda draw: ":".join(f"{draw.randrange(0x1000, 0xFFFF):x}" for _ in range(8)),
    "a host": lambda draw: f"{text_of(draw, string.ascii_lowercase, 6)}.internal.example.com",
    "a URL": lambda draw: (
        f"https://{text_of(draw, string.ascii_lowercase, 6)}.example/{text_of(draw, 'abc', 5)}?page=2"
    ),
    "an address with a password": lambda draw: f"postgresql://reader:{text_of(draw, 'abcdef', 8)}@db:5432/orders",
    "an e-mail address": lambda draw: f"{text_of(draw, string.ascii_lowercase, 7)}@example.com",
    "a path": lambda draw: f"/srv/{text_of(draw, string.ascii_lowercase, 7)}/settings",
    "a path of Windows": lambda draw: f"C:\\Users\\{text_of(draw, string.ascii_lowercase, 7)}",
    "a card's number": lambda draw: str(draw.randrange(10**15, 10**16)),
}
AROUND = (
    "{}",
    "could not sign in with {} at the source",
    "Error: the source answered '{}' and closed the connection.",
    'Failed request {{"error": "denied", "given": "{}"}}',
    "rejected ({}), try again",
    "one\n{}\nthree",
    "value={};next",
    "<{}>",
)
LABELS = (
    "password",
    "Password",
    "db_password",
    "passwd",
    "PWD",
    "client_secret",
    "clientSecret",
    "AWS_SECRET_ACCESS_KEY",
    "access token",
    "refresh_token",
    "x-api-key",
    "API key",
    "Authorization",
    "sig",
    "passphrase",
    "private_key",
    "AccountKey",
    "Cookie",
    "pin",
)
BETWEEN = ("=", ": ", " = ", '="', "='", '": "', " => ", " is '", ' "', " : ")
WORDS = ("hunter", "correct horse battery staple", "letmein", "Dragon", "monkey, banana", "open sesame; now", "s e c")


def test_a_secret_never_comes_through_by_its_form() -> None:
    for kind, make in SECRETS.items():
        draw = random.Random(kind)
        for number in range(ROUNDS):
            secret = make(draw)
            shown = masked(AROUND[number % len(AROUND)].format(secret))

            assert secret not in shown, kind
            assert not any(line in shown for line in secret.split("\n") if not line.startswith("-----")), kind


def test_a_secret_of_ordinary_words_never_comes_through_after_its_label() -> None:
    for label, between, secret in product(LABELS, BETWEEN, WORDS):
        shown = masked(f"The source could not be read: {label}{between}{secret} was refused")

        assert not any(word in shown for word in secret.replace(",", "").split() if len(word) > 1), shown
        assert shown.startswith("The source could not be read"), shown


BESIDE_A_LABEL = [
    "cannot sign in with password hunter at the source",
    "the password is hunter and the host is reachable",
    "--password hunter was given twice",
    "the token horse was refused by the source",
    "Bearer hunter was refused by the source",
    "cannot reach host hunter on port 5432",
    "cannot sign in with account=hunter at the source",
    "cannot sign in with account = 'hunter' at the source",
    "cannot reach host name hunter? no, hostname hunter on port 5432",
]


def test_a_word_that_may_be_the_value_of_what_stands_before_it_is_hidden() -> None:
    shown = [masked(message.replace("name hunter?", "name")) for message in BESIDE_A_LABEL]

    assert [each for each in shown if "hunter" in each or "horse" in each or HIDDEN not in each] == []


AROUND_A_HOST = [
    'could not translate host name "{}" to address: Name or service not known',
    'connection to server at "{}", port 5432 failed: Connection refused',
    "java.net.UnknownHostException: {}: Name or service not known",
    "getaddrinfo ENOTFOUND {} while reading the stream",
    "Could not connect to server {} on port 5432, please check the settings",
    "dial tcp: lookup {} on 10.0.0.2:53: no such host",
    "cannot find KDC for realm CORP while connecting to {}",
    "no answer of {} at port 22 in time",
    "host is unreachable: {} did not answer in time",
    "server name {} could not be resolved",
    "cannot reach {} in time",
]


def test_a_host_of_one_label_is_hidden_where_a_host_may_follow() -> None:
    for message, host in product(AROUND_A_HOST, ("mainframe", "postgres-prod", "vault")):
        shown = masked(message.format(host))

        assert host not in shown, shown
        assert HIDDEN in shown, shown


AROUND_A_SECRET = [
    "password for user admin: {} is wrong",
    "The api key you provided, {}, is invalid",
    "Password used: {} for the account",
    "password given was {} for the account",
    "secret value {} was refused",
    "user admin pw {} was refused",
    "Das Passwort {} ist falsch, anmelden geht nicht",
    "The password you entered, '{}', is wrong",
    "Invalid credentials (admin / {}) for the account",
    "tried user admin and {} as the password for the account",
    "The refresh token has expired: {} was the token",
    "Authentication with an ApiKey such as {} is not possible",
    "The header x-api-key had {} in it, which is unknown",
]


def test_a_secret_of_ordinary_words_is_hidden_in_the_whole_sentence_of_its_label() -> None:
    for message, secret in product(AROUND_A_SECRET, ("hunter", "dragon,monkey", "(dragon)monkey")):
        shown = masked(message.format(secret))

        assert not any(word in shown for word in ("hunter", "dragon", "monkey")), shown
        assert HIDDEN in shown, shown


JOINED = [
    "postgres://svc:correct,horse,battery@db.internal:5432/x",
    "https://user:(horse)two@db.internal",
    "//svc;horse;battery@db",
    "https://db/{horse}/x",
    "x7y9,horse,battery",
]


def test_no_part_is_shown_of_what_is_joined_to_something_hidden() -> None:
    shown = {masked(f"cannot connect with {joined}, please check it") for joined in JOINED}

    assert shown == {f"cannot connect with {HIDDEN}, please check it"}


def test_of_signs_that_look_like_many_letters_no_more_is_read_than_of_others() -> None:
    shown = masked("The source failed " + "\N{SQUARE RAD OVER S SQUARED}" * (MOST_READ // 4) + " with words at the end")

    assert shown == "The source failed"


DISGUISED = [
    "ｐａｓｓｗｏｒｄ＝hunter of the source",
    "the source said pass\u200bword=hunter",
    "the source said pass\u00adword: hunter",
    "the source said password\u2028=\nhunter",
    "the source said \u202epassword=hunter",
    "the source said password\x00=\x1b[31mhunter",
]


def test_a_label_in_disguise_is_still_one() -> None:
    assert [each for each in DISGUISED if "hunter" in masked(each)] == []


def test_the_sandbox_s_planted_secrets_are_hidden_and_its_message_still_helps() -> None:
    shown = masked(CREDENTIALS_REFUSED.external_message or "")

    assert PLANTED_PASSWORD not in shown
    assert PLANTED_HOST not in shown
    assert shown == ('State code: 28P01; Message: FATAL: password authentication failed for user "reader" ([hidden])')


WITH_A_CODE = [
    'FATAL: password authentication failed for user "app" (SQLSTATE 28P01)',
    "State code: 08S01; Error code: 0; Message: Communications link failure",
    "SQLSTATE[HY000] [1045] Access denied",
    "SQLState=42P01: the table does not exist",
    'The source said sqlstate "57P01", then nothing',
]


def test_a_known_code_of_the_database_is_shown_where_it_is_called_one() -> None:
    assert [masked(message) for message in WITH_A_CODE] == WITH_A_CODE


LIKE_CODES = [
    *("SQLSTATE 1a2B3", "SQLSTATE 28P0X", "SQLSTATE 28p01", "SQLSTATE 28P01s3", "SQLSTATE hunt3r"),
    *("SQLSTATE 28P01.evil.example", "SQLSTATE 28P01/hunt3r", "SQLSTATE 28P01=hunt3r", "SQLSTATE 28P01@evil"),
    *("SQLSTATE: 28P01:hunt3r", "SQLSTATE 28P01-hunt3r", "mysqlstate 28P01", "state 28P01", "28P01"),
    *(
        "SQLSTATE is 28P01",
        "SQLSTATE 28P01\N{CYRILLIC CAPITAL LETTER O}",
        "SQLSTATE 28\N{CYRILLIC CAPITAL LETTER ER}01",
    ),
]


def test_what_only_looks_like_a_code_is_hidden() -> None:
    arounds = ("The source refused the password: no. {} was used", "The source was asked and {} failed")
    for around, secret in product(arounds, LIKE_CODES):
        shown = masked(around.format(secret))

        assert not re.search("28|hunt3r|evil|1a2B3", shown), shown


def test_a_code_covers_nothing_beside_it() -> None:
    assert masked("SQLSTATE 28P01, 3xY9k for the token hunter") == "SQLSTATE 28P01, [hidden] for the token [hidden]"


ORDINARY = [
    "Something went wrong in the connector. See the logs for more details.",
    "The access token is no longer valid. Sign in again in the settings of this source.",
    "HTTP Status Code: 403. Error: Forbidden. You do not have permission to read 'fulfillment_orders'.",
    "The password is incorrect. Please check your credentials.",
    'column "user_id" does not exist',
    "Source failed after 3 attempts in 2 hours (exit code 137), 1,234,567 rows were read.",
    "Airbyte detected that the Source didn't make progress in the last 2 hours.",
    "An access token is required",
    'duplicate key value violates unique constraint "orders_pkey"',
    "Authentication failed (HTTP 401): the grant has expired or was revoked",
    "The API key lacks the scope read_orders. Grant it in the settings of stream orders.",
    "Could not connect to the server: the connection timed out",
]


def test_an_ordinary_message_is_shown_as_it_is() -> None:
    assert [masked(message) for message in ORDINARY] == ORDINARY


UNREADABLE = ["", " ", "\x00\n", "x", "10.0.0.1", "password=hunter", "abc1 abc2 abc3"]


def test_a_message_of_which_nothing_readable_is_left_is_empty() -> None:
    assert {masked(message) for message in UNREADABLE} == {""}


def test_what_is_shown_is_one_line_without_control_characters_and_not_long() -> None:
    shown = masked("a word\r\n\x1b[31m and\u202e another\u200b one\x00 " * 100)

    assert shown.isprintable()
    assert len(shown) <= MOST_SHOWN + 2


def test_any_text_is_taken() -> None:
    draw = random.Random(7)
    for _ in range(ROUNDS):
        text = "".join(chr(draw.choice((draw.randrange(32, 127), draw.randrange(0xD7FF)))) for _ in range(80))

        assert masked(text).isprintable()


UNITS = ["a", "a-", "_", "key ", "password", "'", "é", "token is ", "-", "pass pass", "[hidden]", "1."]


def test_no_message_takes_long() -> None:
    """A pattern that goes back and forth over its text would take minutes for these."""
    for unit in UNITS:
        masked(unit * MOST_READ)
