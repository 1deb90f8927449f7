"""Notices by Apprise, to services of the schemes that the operator lists. Each message has a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress

import structlog

from api.notifications.sending.outcomes import Address, Message, NotSent, Refused

log = structlog.stdlib.get_logger(__name__)

TIMEOUT_S = 25.0
"""How long one message may take, with the start of its process."""

AT_ONCE = 2
"""How many such processes there are at a time."""

CHILD: Sequence[str] = (sys.executable, "-m", "api.notifications.sending.apprise_child")

_INHERITED = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ")


class OtherServices:
    """Sends by Apprise."""

    def __init__(self, schemes: Collection[str], child: Sequence[str] = CHILD) -> None:
        self._schemes, self._child = frozenset(schemes), tuple(child)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def check(self, url: str) -> None:
        """Raises Refused for what is no address of one recipient, with a scheme that is offered; NotSent if that
        cannot be found out now."""
        self._check_scheme(url)
        if await self._run(url, None) != "address":
            raise Refused("it is no address of one recipient")

    async def send(self, address: Address, message: Message) -> None:
        self._check_scheme(address.value)  # the operator may have taken it off the list
        outcome = await self._run(address.value, message.text)
        if outcome == "sent":
            return
        if outcome == "not_public":
            raise Refused("the service has an address that is not public")
        if outcome == "no_address":
            raise Refused("it is no address of one recipient")
        raise NotSent("the service does not take it")

    def _check_scheme(self, url: str) -> None:
        if not url.isascii() or not url.isprintable() or scheme_of(url) not in self._schemes:
            raise Refused("services of this kind are not offered here")

    async def _run(self, url: str, text: str | None) -> str:
        asked = json.dumps({"url": url, "title": "TradeActors", "body": text}).encode()
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        async with self._places:
            process = await asyncio.create_subprocess_exec(
                *self._child,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
            )
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    answer, _ = await process.communicate(asked)
            except TimeoutError:
                raise NotSent("the service takes too long") from None
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        try:
            return str(json.loads(answer.splitlines()[-1])["outcome"])
        except (ValueError, LookupError, TypeError):
            log.warning("apprise_failed", exit_code=process.returncode)
            raise NotSent("the service does not take it") from None


def scheme_of(url: str) -> str:
    """The scheme of an Apprise address, in small letters; empty for none."""
    scheme, separator, _ = url.partition("://")
    return scheme.lower() if separator else ""


def service_hint(url: str) -> str:
    """What a user knows an address by: ntfys://***."""
    return f"{scheme_of(url)}://***"
