"""The mail that brings a person the link to set a password with."""

from gateway.notices.mail import Mailer

LINK_SUBJECT = "Set your password"
LINK_TEXT = """This link lets you set a password and sign in. It works once and ends in 24 hours.

{link}

If you did not expect it, do nothing.
"""


async def mail_link(mailer: Mailer, email: str, link: str) -> None:
    """Send the link to the person it is for. Raises MailNotSent."""
    await mailer.send([email], LINK_SUBJECT, LINK_TEXT.format(link=link))
