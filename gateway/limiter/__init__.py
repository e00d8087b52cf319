"""The rate limit: a token bucket for each key and one for each client, and how they are put into headers and words.

A bucket holds at most `requests` tokens and regains them evenly over `per_seconds`. A call takes one token from its
key's bucket and one from its client's, or is refused. So a rested key may call `requests` times at once, then once
every `per_seconds / requests` seconds. What a client does with its keys changes nothing in what all of them may do.

`fair_queue` and `waiting_list` are for what is scarce rather than limited: those who wait for it take turns.
"""

from gateway.limiter.call_limiter import NEW_KEYS, WEBHOOK_FORMS, CallLimiter, both, of_client, total_rate
from gateway.limiter.decision import Decision, Reservation, client_refusal, in_words, key_refusal, rate_limit_headers
from gateway.limiter.token_bucket import ROUNDING, Limiter, TokenBucket

__all__ = [
    "NEW_KEYS",
    "ROUNDING",
    "WEBHOOK_FORMS",
    "CallLimiter",
    "Decision",
    "Limiter",
    "Reservation",
    "TokenBucket",
    "both",
    "client_refusal",
    "in_words",
    "key_refusal",
    "of_client",
    "rate_limit_headers",
    "total_rate",
]
