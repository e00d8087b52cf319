"""Why a mail was not sent. By itself, so that whoever only hears of it does not load what sends."""


class MailNotSent(Exception):
    """The server did not take a message. The text is ours: what a server says may repeat what it was sent."""


class MessageRefused(MailNotSent):
    """The server read this message and did not take it. It may take another."""
