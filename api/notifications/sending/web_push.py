"""Notices to browsers, through the push service that each browser names."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx
import structlog

from api.notifications.sending.outcomes import Address, ChannelGone, Message, NotSent, Refused
from api.notifications.sending.public_hosts import Addresses, NotPublic, public_addresses
from api.notifications.sending.push_encryption import MOST_BYTES, BadKeys, Vapid, encrypt

log = structlog.stdlib.get_logger(__name__)

TIMEOUT_S = 10.0
KEPT_S = 24 * 3600
"""How long a push service keeps a notice for a browser that is away."""

_LONGEST_WAIT = timedelta(hours=1)
_GONE = frozenset({404, 410})
_LATER = frozenset({408, 425, 429})
_FIRST_FAULT = 500
_HTTPS = 443


class PushSender:
    """Sends to push services. Each request goes to an address that was looked at, and follows no redirect."""

    def __init__(
        self,
        vapid: Vapid,
        now: Callable[[], datetime],
        addresses: Addresses = public_addresses,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._vapid, self._now, self._addresses = vapid, now, addresses
        # no proxy and no cookie of the environment: the connection goes where we have looked
        self._client = client or httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)

    @property
    def public_key(self) -> str:
        """What a browser subscribes with."""
        return self._vapid.public_key

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, address: Address, message: Message) -> None:
        host, port = check_endpoint(address.value)
        try:
            ip = (await self._addresses(host, port))[0]
        except NotPublic as error:
            if error.__cause__ is not None:
                raise NotSent("the push service has no address now") from error
            raise Refused("the push service has an address that is not public") from error
        try:
            body = encrypt(payload(message), address.keys["p256dh"], address.keys["auth"])
        except (BadKeys, KeyError) as error:
            raise Refused("the browser's keys are no keys") from error
        parts = urlsplit(address.value)
        literal = f"[{ip}]" if ":" in ip else ip
        url = parts._replace(netloc=f"{literal}:{port}").geturl()
        origin = f"https://{parts.netloc}"
        headers = {
            "Host": parts.netloc,
            "Authorization": self._vapid.authorization(origin, self._now()),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(KEPT_S),
            "Urgency": "high" if message.urgent else "normal",
        }
        try:
            async with self._client.stream(
                "POST", url, content=body, headers=headers, extensions={"sni_hostname": host}
            ) as answer:
                _judge(answer)
        except httpx.HTTPError as error:
            raise NotSent(f"the push service does not answer ({type(error).__name__})") from error


def payload(message: Message) -> bytes:
    """What the browser's worker shows. Cut so that it fits into one record, whatever the alphabet."""
    text = message.text
    while True:
        shown = {
            "title": "TradeActors",
            "body": text,
            "tag": message.name,
            "silent": message.silent,
            "strategy_id": message.strategy_id,
            "notification_id": message.notification_id,
        }
        data = json.dumps(shown, ensure_ascii=False).encode(errors="replace")
        if len(data) <= MOST_BYTES:
            return data
        text = text[: len(text) // 2] + "…"


def check_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of an endpoint.

    Raises:
        Refused: it is not an https address with a host name, or it has a user or a fragment. Any port is taken.
    """
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port or _HTTPS
    except ValueError as error:
        raise Refused("the endpoint is no address") from error
    printable = endpoint.isascii() and endpoint.isprintable() and " " not in endpoint and "\\" not in endpoint
    if parts.scheme != "https" or not host or not printable or "@" in parts.netloc or parts.fragment:
        raise Refused("the endpoint must be an https address")
    return host, port


def _judge(answer: httpx.Response) -> None:
    status = answer.status_code
    if 200 <= status < 300:
        return
    if status in _GONE:
        raise ChannelGone
    log.warning("push_not_sent", status=status)
    if status in _LATER or status >= _FIRST_FAULT:
        raise NotSent(f"the push service answers {status}", _wait(answer.headers.get("Retry-After", "")))
    raise Refused(f"the push service answers {status}")


def _wait(text: str) -> timedelta | None:
    return (
        min(timedelta(seconds=int(text)), _LONGEST_WAIT)
        if text.isascii() and text.isdigit() and len(text) < 9
        else None
    )
