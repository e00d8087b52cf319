"""The mail that brings a person the link to set a password with."""

from gateway.notices.mail import Mailer
from gateway.settings.brand import Brand

LINK_SUBJECT = "Set your password for {name}"
LINK_TEXT = """This link lets you set a password for {name} and sign in. It works once and expires in 24 hours.

{link}

If you did not expect it, do nothing.
"""
SUPPORT_TEXT = "If you have a question: {support}\n"


async def mail_link(mailer: Mailer, email: str, link: str, brand: Brand) -> None:
    """Send the link to the person it is for. Raises MailNotSent."""
    text = LINK_TEXT.format(name=brand.in_words, link=link)
    if brand.support:
        text += SUPPORT_TEXT.format(support=brand.support)
    await mailer.send([email], LINK_SUBJECT.format(name=brand.in_words), text)
