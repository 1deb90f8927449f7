"""Channels of a user: where notices are sent to. Nothing but a code goes to an address before its owner has answered.

Another tenant's channels do not exist here (row K1).
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from redis.asyncio import Redis

from actors.domain.notices.notice import Notice, NoticeKind
from api.base.errors import ApiError, InvalidField
from api.notifications.sending.addresses import hash_of, seal
from api.notifications.sending.other_services import OtherServices, service_hint
from api.notifications.sending.outcomes import NOT_OFFERED, Address, Message, NotSent, Refused, Way
from api.notifications.sending.public_hosts import Addresses, NotPublic, public_addresses
from api.notifications.sending.push_encryption import BadKeys, check_keys
from api.notifications.sending.web_push import check_endpoint
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.notifications import NotificationChannel
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.database.repositories.notifications import Notifications, tell
from persistence.login_throttle import LoginThrottle, ThrottleLimits
from persistence.notifications import deliveries
from persistence.notifications.channels import MOST_OF_A_USER, Channels
from persistence.secrets.encryption import SecretBox

CODE_LASTS = timedelta(minutes=15)
"""How long a code that was sent is good."""

_WINDOW_S = 3600
_CODES_OF_A_USER = 5
_CODES_TO_AN_ADDRESS = 3
_TESTS = 10
_DIGITS = 8


class ChannelService:
    """Keeps channels, verifies them and tests them."""

    def __init__(
        self,
        sessions: Sessions,
        box: SecretBox,
        ways: Mapping[str, Way],
        redis: Redis,
        now: Callable[[], datetime],
        addresses: Addresses = public_addresses,
    ) -> None:
        self._sessions, self._box, self._ways, self._now, self._addresses = sessions, box, ways, now, addresses
        limits = {"codes": _CODES_OF_A_USER, "address": _CODES_TO_AN_ADDRESS, "tests": _TESTS}
        self._throttles = {
            name: LoginThrottle(redis, ThrottleLimits(per_pair=most, windows_s=(_WINDOW_S,)))
            for name, most in limits.items()
        }

    async def channels(self, user_id: int) -> Sequence[NotificationChannel]:
        """The user's, oldest first."""
        async with tenant_transaction(self._sessions, user_id) as session:
            return await Channels(session).of_user(user_id)

    async def add_address(self, user_id: int, kind: str, value: str, client_address: str) -> NotificationChannel:
        """Send a code to an e-mail address, or to the address of another service; the channel is of no use before
        `verify`. Repeated: another code, or nothing if it is verified.

        Raises:
            ApiError: 409 `channel_not_offered`, `too_many_channels`; 429 `too_many_attempts`; 503 `mail_unavailable`,
                `channel_unavailable`.
            InvalidField: the other side refuses the address, it is not public, or its service is not offered.
        """
        way = self._offered(kind)
        if not value.isascii() and kind == "apprise":
            raise InvalidField("address", "cannot be sent to: it has letters that no address has")
        async with tenant_transaction(self._sessions, user_id) as session:
            known = await Channels(session).of_address(user_id, kind, hash_of(value))
        if known is not None and known.state != "unverified":
            return known
        await self._count("codes", str(user_id))
        await self._count("address", hash_of(value).hex())
        code, address = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}}", Address(value)
        text = (
            f"The code is {code}. Type it in the app within {CODE_LASTS.seconds // 60} minutes, and you get notices "
            "here. If you did not ask for it, ignore this message: nothing else will come."
        )
        try:
            if isinstance(way, OtherServices):
                await way.check(value)
            channel = await self._put(
                user_id, kind, address, email_hint(value) if kind == "email" else service_hint(value), client_address,
                code_hash=code_hash(code), code_expires_at=self._now() + CODE_LASTS, state="unverified",
                verified_at=None,
            )  # fmt: skip
            await way.send(address, Message(f"code-{secrets.token_hex(8)}", text))
        except Refused as refusal:
            raise InvalidField("address", f"cannot be sent to: {refusal.reason}") from refusal
        except NotSent as failure:
            if kind == "email":
                sentence = "The mail cannot be sent right now. Please try again."
                raise ApiError(503, "mail_unavailable", sentence) from failure
            sentence = "The service does not take the message right now. Please try again."
            raise ApiError(503, "channel_unavailable", sentence) from failure
        return channel

    async def add_push(
        self, user_id: int, endpoint: str, p256dh: str, auth: str, client_address: str
    ) -> NotificationChannel:
        """Keep a browser's subscription. The same endpoint again: the same channel; it is one user's at a time.

        Raises:
            ApiError: 409 `channel_not_offered`, `too_many_channels`.
            InvalidField: the endpoint is no public https address, or the keys are none.
        """
        self._offered("webpush")
        try:
            host, port = check_endpoint(endpoint)
            await self._addresses(host, port)
            check_keys(p256dh, auth)
        except Refused as refusal:
            raise InvalidField("endpoint", "must be an https address of a push service") from refusal
        except NotPublic as error:
            raise InvalidField("endpoint", "must lead to a public address") from error
        except BadKeys as error:
            raise InvalidField("keys", f"must be those of the browser's subscription: {error}") from error
        async with transaction(self._sessions) as session:
            await Channels(session).remove_others(user_id, "webpush", hash_of(endpoint))
        address = Address(endpoint, {"p256dh": p256dh, "auth": auth})
        return await self._put(
            user_id, "webpush", address, host, client_address, code_hash=None, code_expires_at=None, state="active",
            verified_at=self._now(),
        )  # fmt: skip

    async def remove_push(self, user_id: int, endpoint: str) -> None:
        """Forget a subscription; one that is not there is forgotten already."""
        async with tenant_transaction(self._sessions, user_id) as session:
            await Channels(session).remove_address("webpush", hash_of(endpoint), user_id=user_id)

    async def verify(self, user_id: int, channel_id: int, code: str) -> NotificationChannel:
        """Use the code that was sent; from then on notices go there.

        Raises:
            ApiError: 404 `channel_not_found`; 409 `code_invalid`, also for one that is too old or was guessed at.
        """
        digits = "".join(code.split())
        async with tenant_transaction(self._sessions, user_id) as session:
            channels = Channels(session)
            _found(await channels.get(user_id, channel_id))
            verified = await channels.verify(user_id, channel_id, code_hash(digits), self._now())
        if not verified:
            raise ApiError(409, "code_invalid", "This code is wrong or too old. Ask for another one.")
        async with tenant_transaction(self._sessions, user_id) as session:
            return _found(await Channels(session).get(user_id, channel_id))

    async def remove(self, user_id: int, channel_id: int, client_address: str) -> None:
        """Nothing is sent there any more. 404 `channel_not_found` also for another tenant's."""
        async with tenant_transaction(self._sessions, user_id) as session:
            if not await Channels(session).remove(user_id, channel_id):
                raise _not_found()
            await AuditLog(session).add(
                "channel_removed", user_id=user_id, subject=str(channel_id), address=client_address
            )

    async def test(self, user_id: int, channel_id: int) -> int:
        """Send a notice to one channel, by the way that all take; its id in the inbox. A failed channel is tried again.

        Raises:
            ApiError: 404 `channel_not_found`; 409 `channel_not_verified`, `channel_not_offered`; 429.
        """
        await self._count("tests", str(user_id))
        async with tenant_transaction(self._sessions, user_id) as session:
            channel = _found(await Channels(session).get(user_id, channel_id))
            if channel.state == "unverified":
                raise ApiError(409, "channel_not_verified", "Confirm this channel with its code first")
            self._offered(channel.kind)
            key, now = f"test:{secrets.token_hex(8)}", await deliveries.database_now(session)
            text = "This is a test: notices reach you here."
            await tell(session, user_id, Notice(kind=NoticeKind.TEST, key=key, text=text, at=now))
            notice = await Notifications(session).hand_over_alone(user_id, key)
            await Channels(session).revive(user_id, channel_id)
            await deliveries.add(session, notice, channel, deliveries.Planned(now, silent=False))
        return notice.id

    def _offered(self, kind: str) -> Way:
        way = self._ways.get(kind)
        if way is None:
            raise ApiError(409, "channel_not_offered", NOT_OFFERED)
        return way

    async def _count(self, throttle: str, who: str) -> None:
        refusal = await self._throttles[throttle].attempt(f"notify-{throttle}:{who}", "", known=True)
        if refusal is not None:
            headers = {"Retry-After": str(refusal.wait_s)}
            raise ApiError(429, "too_many_attempts", "Too many attempts. Please wait a little.", headers)

    async def _put(
        self, user_id: int, kind: str, address: Address, hint: str, client_address: str, **facts: Any
    ) -> NotificationChannel:
        async with tenant_transaction(self._sessions, user_id) as session:
            channels, known = Channels(session), hash_of(address.value)
            await BrokerAccounts(session).keep_keys()
            self._box.refresh()
            sealed = seal(self._box, user_id, address)
            values = {
                "kind": kind, "address_hash": known, "hint": hint, "address_box": sealed.box,
                "key_version": sealed.key_version, "failures": 0, "last_failure": None,
            }  # fmt: skip
            channel = await channels.put(user_id, values | facts)
            if await channels.count(user_id) > MOST_OF_A_USER:
                raise ApiError(
                    409, "too_many_channels", f"A user may have {MOST_OF_A_USER} channels. Remove one first."
                )
            await AuditLog(session).add("channel_added", user_id=user_id, subject=kind, address=client_address)
        return channel


def email_hint(email: str) -> str:
    """What a user knows an address by: as***@example.com."""
    local, _, domain = email.rpartition("@")
    return f"{local[:2] if len(local) > 2 else local[:1]}***@{domain}"


def code_hash(code: str) -> bytes:
    """What the database knows a code by. It is short: tries are counted, and it is good for minutes."""
    return sha256(b"tradeactors channel code" + code.encode()).digest()


def _found(channel: NotificationChannel | None) -> NotificationChannel:
    if channel is None:
        raise _not_found()
    return channel


def _not_found() -> ApiError:
    return ApiError(404, "channel_not_found", "No such channel")
