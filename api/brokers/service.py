"""Broker connections: validated at the broker, stored encrypted, one per user (rows B1, B2)."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from actors.ports.engine import StrategyEngine
from api.base.answers.translations import code_of
from api.base.errors import ApiError, InvalidField, unauthorized
from api.brokers.broker_threads import Asker, BrokerCalls
from api.brokers.connect_throttle import ConnectThrottle, too_many_connects
from api.brokers.lookups import credentials_of, is_past_its_morning, proxy_at
from api.brokers.password_rule import PasswordRule, account_name, is_password_needed
from api.users.dependencies import HasRecentPassword
from broker.errors import BrokerError, BrokerUnreachable, CredentialsMismatch, ExpiredToken, InvalidToken
from broker.kite.login import BrokerLogin
from broker.proxy import Proxy
from config.settings import Broker, Settings
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.brokers import ACCOUNT_TAKEN, BrokerAccounts
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.users import Users
from persistence.database.schedules import Schedules
from persistence.errors import (
    ConstraintViolated,
    DatabaseBusy,
    DatabaseUnavailable,
    MirrorUnavailable,
    UnreadableSecret,
)
from persistence.mirror.mirror import RuntimeMirror
from persistence.secrets.encryption import (
    BrokerCredentials,
    SecretBox,
    seal_credentials,
)

log = structlog.stdlib.get_logger(__name__)

_HINT_LENGTH = 4
_HINTED_LENGTH = 8
"""A key is not hinted at when the hint would be more than half of it."""


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What a user brings from the broker: an access token, or the request token of a login just made.

    Without key or secret, those of the connection that is there are meant; with `keeps_proxy`, its proxy too.
    `failure_counts`: whether the user may try less often after it has failed.
    """

    broker: Broker | None
    api_key: str | None = field(default=None, repr=False)
    api_secret: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    request_token: str | None = field(default=None, repr=False)
    proxy_url: str | None = field(default=None, repr=False)
    keeps_proxy: bool = True
    failure_counts: bool = True


@dataclass(frozen=True, slots=True)
class _KeyPair:
    broker: Broker
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    proxy_url: str | None = field(repr=False)

    @property
    def proxy(self) -> Proxy | None:
        return proxy_at(self.proxy_url)


class BrokerService:
    """Connects users to brokers."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        mirror: RuntimeMirror,
        secret_box: SecretBox,
        calls: BrokerCalls,
        throttle: ConnectThrottle,
        engine: StrategyEngine,
        now: Callable[[], datetime],
    ) -> None:
        self._connected: list[Callable[[], None]] = []
        self._throttle = throttle
        self._engine = engine
        self._settings = settings
        self._sessions = sessions
        self._mirror = mirror
        self._secret_box = secret_box
        self._now = now
        self._calls = calls

    async def connect(
        self, user_id: int, request: ConnectRequest, address: str, has_recent_password: HasRecentPassword
    ) -> BrokerAccount:
        """Validate at the broker, then store in place of what was there. On any failure nothing is stored.

        The same account at the broker keeps its id: what runs goes on, with the new token as soon as the broker has
        refused the old one; what waits for the broker asks it at once. Another account in its place wants a recent
        password (`api.brokers.password_rule`).

        Raises:
            CredentialsRejected, BrokerRefused, BrokerUnreachable: as the broker answers (row B2).
            InvalidField: `api_key` or `api_secret`, when it is left out and none is stored; `proxy_url`, when it is
                given, or stored and left out, and proxies are not allowed.
            ApiError: 403 `password_needed`; 409 `broker_not_offered`; 409 `strategies_running` if the account would
                change under running strategies; 409 `account_taken` if another user has connected it; 429
                `too_many_attempts`.
        """
        await self._check_attempts(user_id, request, address)
        stored = await self.account(user_id)
        broker = self._choose(request.broker, stored if request.api_key is None else None)
        try:
            keys = self._complete(broker, request, stored)
            rule = PasswordRule(self._settings.confirm_connect, recent=await has_recent_password())
            rule.check_before_login(stored, broker, same_credentials=self._are_stored(keys, stored))
            accepted = await self._validate(Asker(user_id, broker, keys.proxy), keys, request, stored)
            account = await self._store_alone(user_id, keys, request, accepted, rule, address)
        except (ApiError, BrokerError) as error:
            if isinstance(error, BrokerUnreachable) or is_password_needed(error) or not request.failure_counts:
                await self._throttle.take_back(user_id)
            await self._record_failure(user_id, broker, code_of(error), address)
            raise
        await self._throttle.succeeded(user_id)
        await self._show_connected(user_id, connected=True)
        await self._end_waiting(user_id)
        for call in self._connected:
            call()
        return account

    def when_connected(self, call: Callable[[], None]) -> None:
        """Call this after each login that was stored, whichever way it came. It must not fail."""
        self._connected.append(call)

    async def _check_attempts(self, user_id: int, request: ConnectRequest, address: str) -> None:
        refusal = await self._throttle.attempt(user_id)
        if refusal:
            if refusal.is_first:  # one line a window, so that a flood of attempts does not flood the log
                await self._record_failure(user_id, request.broker or "", "too_many_attempts", address)
            raise too_many_connects(refusal)

    async def account(self, user_id: int) -> BrokerAccount | None:
        """The user's connection, if any."""
        async with tenant_transaction(self._sessions, user_id) as session:
            return await BrokerAccounts(session).of_user(user_id)

    def proxy_of(self, account: BrokerAccount) -> str | None:
        """Host and port of the connection's proxy, if it has one and can be read."""
        held = self._held(account, account.broker)
        proxy = proxy_at(held.proxy_url) if held else None
        return None if proxy is None else proxy.authority

    async def login_url(self, user_id: int, broker: Broker | None, api_key: str | None) -> tuple[str, Broker]:
        """Where the user gets a request token, and at which broker.

        Raises:
            InvalidField: `api_key`, when it is left out and none is stored.
            ApiError: 409 `broker_not_offered`.
        """
        stored = await self.account(user_id)
        chosen = self._choose(broker, stored if api_key is None else None)
        self.check_offered(chosen)
        held = self._held(stored, chosen)
        known = api_key or (held.api_key if held else None)
        if known is None:
            raise InvalidField("api_key", f"is needed: no connection to {chosen} is stored")
        return self._calls.login_url(chosen, known), chosen

    async def disconnect(self, user_id: int, address: str) -> None:
        """Forget the connection and its secrets. 409 `strategies_running`, `schedules_active`."""
        async with tenant_transaction(self._sessions, user_id) as session:
            if await Users(session).lock_for_change(user_id) is None:
                raise unauthorized("token_invalid", "Invalid token, please log in again")
            accounts = BrokerAccounts(session)
            if (account := await accounts.of_user(user_id, lock=True)) is not None:
                if await Runs(session).any_open(user_id):
                    raise ApiError(409, "strategies_running", "Stop your strategies before disconnecting the broker")
                if await Schedules(session).any_active(user_id):
                    sentence = "Pause or delete your schedules before disconnecting the broker"
                    raise ApiError(409, "schedules_active", sentence)
                await accounts.remove(user_id)
                name = account_name(account.broker, account.broker_user_id)
                await Users(session).set_disconnected_account(user_id, name)
                await AuditLog(session).add("broker_disconnect", user_id=user_id, address=address)
        await self._show_connected(user_id, connected=False)

    async def check_keys(self) -> None:
        """That the encryption keys at hand are those of this database.

        Raises:
            UnreadableSecret: connections are stored, and the keys open none of them.
        """
        used = await self.key_versions()
        if used and not used & self._secret_box.versions:
            self._secret_box.refresh()
            if not used & self._secret_box.versions:
                raise UnreadableSecret("no stored connection can be opened with ENCRYPTION_KEYS")

    async def report_unknown_keys(self) -> None:
        """Say in the log which connections cannot be opened with the keys at hand."""
        unknown = await self.key_versions() - self._secret_box.versions
        if unknown:
            log.error("encryption_keys_missing", unknown=sorted(unknown), known=sorted(self._secret_box.versions))

    async def key_versions(self) -> frozenset[str]:
        """The versions of the keys that stored connections were sealed with."""
        async with transaction(self._sessions) as session:
            return await BrokerAccounts(session).key_versions()

    def _choose(self, broker: Broker | None, stored: BrokerAccount | None) -> Broker:
        if broker is not None:
            return broker
        return next((name for name in self._settings.brokers if stored and name == stored.broker), self._default)

    @property
    def _default(self) -> Broker:
        return self._settings.brokers[0]

    def check_offered(self, broker: Broker) -> None:
        """Raises ApiError: 409 `broker_not_offered`."""
        if broker not in self._settings.brokers:
            offered = " or ".join(self._settings.brokers)
            raise ApiError(409, "broker_not_offered", f"{broker} is not offered here: choose {offered}")

    def _complete(self, broker: Broker, request: ConnectRequest, stored: BrokerAccount | None) -> _KeyPair:
        self.check_offered(broker)
        held = self._held(stored, broker)
        api_key = request.api_key or (held.api_key if held else None)
        if api_key is None:
            raise InvalidField("api_key", f"is needed: no connection to {broker} is stored")
        api_secret = request.api_secret or (held.api_secret if held and held.api_key == api_key else None)
        if api_secret is None:
            raise InvalidField("api_secret", "is needed: none is stored for this api_key")
        stored_url = held.proxy_url if held and held.api_key == api_key else None
        return _KeyPair(broker, api_key, api_secret, self._proxy_url(request, stored_url))

    def _are_stored(self, keys: _KeyPair, stored: BrokerAccount | None) -> bool:
        """Whether key and proxy are those of the connection there is. A new secret of the same key opens nothing."""
        held = self._held(stored, keys.broker)
        return held is not None and (held.api_key, held.proxy_url) == (keys.api_key, keys.proxy_url)

    def _proxy_url(self, request: ConnectRequest, stored: str | None) -> str | None:
        """The one that is given; else, unless it is taken away, the one that is stored for this key."""
        chosen = stored if request.keeps_proxy else request.proxy_url
        if chosen is not None and not self._settings.account_proxies:
            if request.keeps_proxy:
                raise InvalidField("proxy_url", "is stored, and not allowed on this server any more; null removes it")
            raise InvalidField("proxy_url", "is not allowed on this server: leave it out")
        return chosen

    async def _validate(
        self, asker: Asker, keys: _KeyPair, request: ConnectRequest, stored: BrokerAccount | None
    ) -> BrokerLogin:
        if request.access_token is None:
            token = request.request_token or ""
            return await self._calls.exchange_request_token(asker, keys.api_key, keys.api_secret, token)
        try:
            accepted = await self._calls.check_access_token(asker, keys.api_key, request.access_token)
        except InvalidToken as error:
            # Zerodha uses one text for both; a token that worked here before and is past its morning has expired.
            if stored and is_past_its_morning(stored, self._now()) and self._holds_token(stored, request.access_token):
                raise ExpiredToken from error
            raise
        if await self._calls.secret_is_refuted(asker, keys.api_key, keys.api_secret):
            raise CredentialsMismatch
        return accepted

    async def _store_alone(
        self,
        user_id: int,
        keys: _KeyPair,
        request: ConnectRequest,
        accepted: BrokerLogin,
        rule: PasswordRule,
        address: str,
    ) -> BrokerAccount:
        # The database judges, not a look beforehand: of two who connect at once one must lose.
        try:
            return await self._store(user_id, keys, request, accepted, rule, address)
        except ConstraintViolated as error:
            if error.constraint != ACCOUNT_TAKEN:
                raise
            raise _account_taken(keys.broker) from error

    async def _store(
        self,
        user_id: int,
        keys: _KeyPair,
        request: ConnectRequest,
        accepted: BrokerLogin,
        rule: PasswordRule,
        address: str,
    ) -> BrokerAccount:
        async with tenant_transaction(self._sessions, user_id) as session:
            user = await Users(session).lock_for_change(user_id)  # of two first connections, the later sees the other
            if user is None:
                raise unauthorized("token_invalid", "Invalid token, please log in again")
            accounts = BrokerAccounts(session)
            account = await accounts.of_user(user_id, lock=True)
            uses_stored = request.api_key is None or (request.keeps_proxy and keys.proxy_url is not None)
            if account is None and uses_stored:  # disconnected meanwhile: forgotten is forgotten
                raise ApiError(409, "broker_not_connected", "Connect your broker first")
            if account and await _would_switch(Runs(session), account, keys.broker, accepted.broker_user_id):
                raise ApiError(409, "strategies_running", "Stop your strategies before connecting another account")
            before = account_name(account.broker, account.broker_user_id) if account else user.disconnected_account
            rule.check_account(before, account_name(keys.broker, accepted.broker_user_id))
            await accounts.keep_keys()
            self._secret_box.refresh()
            account = await accounts.put(user_id, self._row(user_id, account, keys, accepted))
            await AuditLog(session).add(
                "broker_connect", user_id=user_id, subject=keys.broker, address=address, account=accepted.broker_user_id
            )
        return account

    def _row(self, user_id: int, before: BrokerAccount | None, keys: _KeyPair, accepted: BrokerLogin) -> dict[str, Any]:
        same_token = before is not None and self._holds_token(before, accepted.access_token)
        credentials = BrokerCredentials(keys.api_key, keys.api_secret, accepted.access_token, keys.proxy_url)
        sealed = seal_credentials(self._secret_box, user_id, credentials)
        return {
            "broker": keys.broker,
            "broker_user_id": accepted.broker_user_id,
            "api_key_hint": keys.api_key[-_HINT_LENGTH:] if len(keys.api_key) >= _HINTED_LENGTH else "",
            "secrets_box": sealed.box,
            "key_version": sealed.key_version,
            "token_obtained_at": before.token_obtained_at if before and same_token else self._now(),
            "connected_at": self._now(),
        }

    async def _record_failure(self, user_id: int, broker: str, code: str, address: str) -> None:
        try:
            async with tenant_transaction(self._sessions, user_id) as session:
                await AuditLog(session).add(
                    "broker_connect_failed", user_id=user_id, subject=broker, address=address, code=code
                )
        except DatabaseUnavailable:  # the user must hear what the broker said
            log.warning("failed_connect_not_recorded", user_id=user_id, code=code)

    def _held(self, stored: BrokerAccount | None, broker: str) -> BrokerCredentials | None:
        """The stored credentials, if they are of this broker and can be read."""
        if stored is None or stored.broker != broker:
            return None
        try:
            return credentials_of(self._secret_box, stored)
        except UnreadableSecret:
            log.warning("stored_secret_unreadable", user_id=stored.user_id, key_version=stored.key_version)
            return None

    def _holds_token(self, account: BrokerAccount, access_token: str) -> bool:
        held = self._held(account, account.broker)
        return held is not None and hmac.compare_digest(held.access_token.encode(), access_token.encode())

    async def _end_waiting(self, user_id: int) -> None:
        try:
            async with tenant_transaction(self._sessions, user_id) as session:
                running = await Runs(session).open_strategies(user_id)
                await Schedules(session).look_now(user_id, self._now())
        except (DatabaseUnavailable, DatabaseBusy):  # they ask by themselves, some seconds later
            return
        if running:
            self._engine.ask_broker_now(running)

    async def _show_connected(self, user_id: int, *, connected: bool) -> None:
        try:
            await self._mirror.set_broker_connected(user_id, connected)
        except MirrorUnavailable:
            log.warning("mirror_write_failed", user_id=user_id)


def _account_taken(broker: Broker) -> ApiError:
    """Says of the other user only that there is one, and that only to a user whose credentials the broker takes."""
    sentence = "This broker account is connected to another user here, and an account can have one owner only"
    if broker == "paper":
        sentence += "; POST /broker/paper opens one of your own"
    return ApiError(409, "account_taken", sentence)


async def _would_switch(runs: Runs, account: BrokerAccount, broker: str, broker_user_id: str) -> bool:
    same = (account.broker, account.broker_user_id) == (broker, broker_user_id)
    return not same and await runs.any_open(account.user_id)
