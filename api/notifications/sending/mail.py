"""Notices by e-mail, through the operator's mail server."""

import re
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import structlog

from api.notifications.sending.outcomes import Address, Message, NotSent, Refused
from api.notifications.sending.public_hosts import NotPublic, Resolve, public_addresses, resolve
from config.settings import Settings

log = structlog.stdlib.get_logger(__name__)

TIMEOUT_S = 15.0
"""How long one mail may take, from the connection to the server's word that it has it."""

_SUBJECT_LENGTH = 120
_LINK = re.compile(r"\s*(?:[^\s.!?:][^.!?:]*:\s+)?\bhttps?://\S+", re.IGNORECASE)
_LAST_TEMPORARY = 500


class Mailer:
    """Sends mail by SMTP, a connection each: mails are few, and a connection that is kept fails when it is needed."""

    def __init__(self, settings: Settings, lookup: Resolve = resolve) -> None:
        self._settings, self._lookup = settings, lookup

    async def send(self, address: Address, message: Message) -> None:
        """Give the mail to the operator's server; to a domain that leads to a private address nothing is sent."""
        import aiosmtplib  # only where mail is offered

        mail = compose(self._settings.smtp_from, address.value, message)
        await self._check_domain(mail["To"].addresses[0].domain)
        settings = self._settings
        try:
            await aiosmtplib.send(
                mail,
                sender=settings.smtp_from,
                recipients=[address.value],
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_user or None,
                password=settings.smtp_password.get_secret_value() or None,
                use_tls=settings.smtp_security == "tls",
                start_tls=settings.smtp_security == "starttls",
                tls_context=ssl.create_default_context() if settings.smtp_security != "none" else None,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            code = max((refusal.code for refusal in error.recipients), default=0)
            if code >= _LAST_TEMPORARY:
                raise Refused(f"the mail server refuses the recipient ({code})") from error
            raise NotSent(f"the mail server does not take the recipient now ({code})") from error
        except aiosmtplib.SMTPResponseException as error:
            # of the sender, the login or the contents: the operator may mend it meanwhile
            log.warning("mail_not_sent", code=error.code)
            raise NotSent(f"the mail server answers {error.code}") from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            log.warning("mail_not_sent", error=type(error).__name__)
            raise NotSent("the mail server does not answer") from error

    async def _check_domain(self, domain: str) -> None:
        if domain.startswith("["):
            raise Refused("the address names a machine, not a domain")
        try:
            await public_addresses(domain, 25, self._lookup)
        except NotPublic as error:
            if error.__cause__ is None:  # one that has mail servers only has no address itself
                raise Refused("the domain leads to an address that is not public") from error


def compose(sender: str, recipient: str, message: Message) -> EmailMessage:
    """The mail of a notice.

    Raises:
        Refused: the recipient is no address that can stand in a header.
    """
    mail = EmailMessage(policy=SMTP)
    try:
        mail["To"] = MailAddress(addr_spec=recipient)
        mail["From"] = sender
        mail["Subject"] = f"TradeActors: {one_line(without_links(message.text))}"
    except (ValueError, IndexError) as error:  # of a line break above all
        raise Refused("the address cannot stand in a mail") from error
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = f"<{message.name}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine answers
    if message.urgent:
        mail["Importance"] = "high"
    mail.set_content(f"{message.text}\n")
    return mail


def without_links(text: str) -> str:
    """A text for where strangers may read it, such as a subject: without links, and what leads to them.

    A mail server logs subjects and a locked phone shows them; a login link belongs to the one who opens the mail.
    """
    return _LINK.sub("", text).strip() or "a link for you"


def one_line(text: str) -> str:
    """A text as a header may have it: one line without control characters, of at most 120 characters."""
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return shown if len(shown) <= _SUBJECT_LENGTH else shown[: _SUBJECT_LENGTH - 1] + "…"
