"""Logins at the broker in a browser: where they begin, and what comes of one that comes back (row N2).

A *state* goes through the broker's login page and back. It says whose login it is, is good once and for minutes, and
is bound to one connection. A *login link* stands in a message: it opens the login page without a token of ours, and
only for the account that is connected. Neither gives anyone a login here. Both are stored as hashes.
"""

import hashlib
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

import structlog
from redis.asyncio import Redis

from api.base.answers.translations import code_of
from api.base.errors import ApiError, InvalidField
from api.brokers.login_pages import CONNECTED, NOT_GOOD, UNDER_WAY
from api.brokers.service import BrokerService, ConnectRequest
from broker.errors import BrokerError, BrokerUnreachable
from broker.kite.login import token_expiry, with_state
from config.settings import Broker, Settings
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.brokers import BrokerAccount, BrokerLoginCode
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.broker_logins import BrokerLoginCodes
from persistence.errors import ConstraintViolated, DatabaseBusy, DatabaseUnavailable, UnreadableSecret
from persistence.login_throttle import LoginThrottle, ThrottleLimits

log = structlog.stdlib.get_logger(__name__)

STATE_LIFETIME = timedelta(minutes=10)
"""How long a user has for password and second factor at the broker."""

LINK_PATH = "/broker/login"

_CARRIED_OUT_WITHIN = timedelta(seconds=30)
"""How long a state that was taken may have no outcome before its process must have died: a connect is over in less."""

_LINKS_AN_HOUR = 20
"""How many links a user may ask for, and how often each may be opened."""

_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class LoginPage:
    """Where the user logs in at the broker; a login that comes back until `expires_at` is connected."""

    url: str = field(repr=False)
    broker: Broker
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LoginLink:
    """An address for a message. It is good until a login by it has connected, or until then."""

    url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Taken:
    """A state that this request carries out, or (`outcome`) what it came to before."""

    user_id: int
    state_id: int = 0
    link_id: int | None = None
    outcome: str | None = None


class BrowserLogins:
    """Begins logins at the broker, and connects those that come back."""

    def __init__(
        self, settings: Settings, sessions: Sessions, brokers: BrokerService, redis: Redis, now: Callable[[], datetime]
    ) -> None:
        self._settings, self._sessions, self._brokers, self._now = settings, sessions, brokers, now
        limits = ThrottleLimits(per_pair=_LINKS_AN_HOUR, windows_s=(_HOUR_S,))
        self._throttle = LoginThrottle(redis, limits)

    async def login_page(self, user_id: int) -> LoginPage:
        """The login page for the connection that there is, with a new state. No broker is asked.

        Raises:
            ApiError: 409 `broker_not_connected`, `broker_not_offered`.
        """
        url, broker, account = await self._page_of(user_id)
        state, expires_at = await self._add(user_id, account, "state", self._now() + STATE_LIFETIME)
        return LoginPage(with_state(url, state), broker, expires_at)

    async def ask_for_link(self, user_id: int, address: str) -> LoginLink:
        """As `new_link`, for the user, who may have twenty in an hour.

        Raises:
            ApiError: as `new_link`; 429 `too_many_attempts`.
        """
        await self._count(f"login-link:{user_id}", "Too many links were asked for. Please wait.")
        link = await self.new_link(user_id)
        async with tenant_transaction(self._sessions, user_id) as session:
            await AuditLog(session).add("broker_login_link", user_id=user_id, address=address)
        return link

    async def new_link(self, user_id: int) -> LoginLink:
        """A login link, good until a token that is made now would end.

        Raises:
            ApiError: 409 `broker_not_connected`, `broker_not_offered`.
        """
        _, _, account = await self._page_of(user_id)
        code, expires_at = await self._add(user_id, account, "link", token_expiry(self._now()))
        return LoginLink(f"{self._settings.public_root}{LINK_PATH}?{urlencode({'code': code})}", expires_at)

    async def open_link(self, code: str) -> str | None:
        """The broker's login page for a login link that is still good.

        A program that only looks at the link, as messengers do, does not use it up: a login that connects does.

        Raises:
            ApiError: 409 `broker_not_connected`, `broker_not_offered`; 429 `too_many_attempts`.
        """
        user_id = await self._owner(code)
        if user_id is None:
            return None
        async with tenant_transaction(self._sessions, user_id) as session:
            link = await BrokerLoginCodes(session).open_link(user_id, _hash(code), self._now())
        if link is None:
            return None
        await self._count(f"login-link-opened:{link.id}", "The link was opened too often.")
        url, _, account = await self._page_of(user_id)
        state, _ = await self._add(user_id, account, "state", self._now() + STATE_LIFETIME, link.id)
        return with_state(url, state)

    async def come_back(self, state: str, request_token: str, address: str) -> str:
        """Connect what a login brought back, for the user of its state, by the same way as `POST /broker/connect`.

        What it came to: `connected`, `not_good`, `under_way`, or the code of an error, which is stored with the state,
        so that the same request asked again gets the same answer and does nothing. Where the broker did not answer, the
        state stays good.

        No password counts here: it would prove who asked for the state, and not who logged in at the broker. So an
        account in another's place is never connected this way.
        """
        user_id = await self._owner(state)
        if user_id is None:
            return NOT_GOOD
        taken = await self._take(user_id, state)
        if taken.outcome is not None:
            return taken.outcome
        try:
            # a person who has got hold of a link must not use up the user's own attempts
            request = ConnectRequest(None, request_token=request_token, failure_counts=taken.link_id is None)
            await self._brokers.connect(user_id, request, address, _no_password)
            outcome = CONNECTED
        except (DatabaseUnavailable, DatabaseBusy, BrokerUnreachable) as error:
            outcome = code_of(error)
            with suppress(DatabaseUnavailable, DatabaseBusy):
                await self._give_back(taken)
        except (InvalidField, UnreadableSecret):
            outcome = "broker_not_connected"
            await self._finish(taken, outcome)
        except (ApiError, BrokerError) as error:
            outcome = code_of(error)
            await self._finish(taken, outcome)
        else:
            await self._finish(taken, outcome)
        log.info("broker_login_came_back", user_id=user_id, outcome=outcome)
        return outcome

    def connected_until(self) -> datetime:
        """When an access token that is made now ends."""
        return token_expiry(self._now())

    async def _count(self, what: str, sentence: str) -> None:
        refusal = await self._throttle.attempt(what, "", known=True)
        if refusal:
            raise ApiError(429, "too_many_attempts", sentence, {"Retry-After": str(refusal.wait_s)})

    async def _page_of(self, user_id: int) -> tuple[str, Broker, BrokerAccount]:
        account = await self._brokers.account(user_id)
        if account is None:
            raise _not_connected()
        try:
            url, broker = await self._brokers.login_url(user_id, None, None)
        except InvalidField as error:  # disconnected meanwhile, or not to be decrypted
            raise _not_connected() from error
        return url, broker, account

    async def _add(
        self, user_id: int, account: BrokerAccount, kind: str, expires_at: datetime, link_id: int | None = None
    ) -> tuple[str, datetime]:
        text = secrets.token_urlsafe(32)
        code = BrokerLoginCode(
            user_id=user_id, broker_account_id=account.id, kind=kind, code_hash=_hash(text), link_id=link_id,
            created_at=self._now(), expires_at=expires_at,
        )  # fmt: skip
        try:
            async with tenant_transaction(self._sessions, user_id) as session:
                await BrokerLoginCodes(session).add(code)
        except ConstraintViolated as error:  # disconnected at the same moment
            raise _not_connected() from error
        return text, expires_at

    async def _owner(self, code: str) -> int | None:
        async with transaction(self._sessions) as session:
            return await BrokerLoginCodes(session).owner(_hash(code))

    async def _take(self, user_id: int, state: str) -> _Taken:
        now = self._now()
        async with tenant_transaction(self._sessions, user_id) as session:
            codes = BrokerLoginCodes(session)
            taken = await codes.take(user_id, _hash(state), now)
            if taken is not None:
                return _Taken(user_id, taken.id, taken.link_id)
            before = await codes.state(user_id, _hash(state))
        if before is None or before.taken_at is None:
            return _Taken(user_id, outcome=NOT_GOOD)
        lost = before.outcome is None and now - before.taken_at > _CARRIED_OUT_WITHIN
        return _Taken(user_id, outcome=NOT_GOOD if lost else before.outcome or UNDER_WAY)

    async def _give_back(self, taken: _Taken) -> None:
        async with tenant_transaction(self._sessions, taken.user_id) as session:
            await BrokerLoginCodes(session).give_back(taken.user_id, taken.state_id)

    async def _finish(self, taken: _Taken, outcome: str) -> None:
        try:
            async with tenant_transaction(self._sessions, taken.user_id) as session:
                codes = BrokerLoginCodes(session)
                await codes.finish(taken.user_id, taken.state_id, outcome)
                if outcome == CONNECTED and taken.link_id is not None:
                    await codes.use_up(taken.user_id, taken.link_id, self._now())
        except (DatabaseUnavailable, DatabaseBusy):  # the state stays used; its page loaded again will not know why
            log.warning("broker_login_outcome_not_recorded", user_id=taken.user_id, outcome=outcome)


async def _no_password() -> bool:
    return False


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()


def _not_connected() -> ApiError:
    return ApiError(409, "broker_not_connected", "Connect your broker first")
