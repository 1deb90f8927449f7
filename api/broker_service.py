"""Broker connections: validated at the broker, stored encrypted, one per user (rows B1, B2)."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from api.errors import ApiError
from broker.errors import CredentialsMismatch, ExpiredToken, InvalidToken
from broker.instruments import InstrumentLists, ListedInstrument, fetch_instruments
from broker.kite_session import (
    BrokerSession,
    Timeout,
    check_access_token,
    exchange_request_token,
    secret_is_refuted,
    token_expiry,
)
from config.settings import Broker, Settings
from persistence.database import Sessions, transaction
from persistence.encryption import BrokerCredentials, SealedSecret, SecretBox, open_credentials, seal_credentials
from persistence.errors import MirrorUnavailable, UnreadableSecret
from persistence.models import BrokerAccount
from persistence.repositories import AuditLog, BrokerAccounts, Runs
from persistence.runtime_mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

_HINT_LENGTH = 4


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What a user brings from the broker: an access token, or the request token of a login just made."""

    broker: Broker | None
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    access_token: str | None = field(default=None, repr=False)
    request_token: str | None = field(default=None, repr=False)


class BrokerService:
    """Connects users to brokers, and asks brokers on their behalf."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        mirror: RuntimeMirror,
        secret_box: SecretBox,
        instruments: InstrumentLists,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._mirror = mirror
        self._secret_box = secret_box
        self._instruments = instruments
        self._now = now

    async def connect(self, user_id: int, request: ConnectRequest, address: str) -> BrokerAccount:
        """Validate at the broker, then store in place of what was there. On any failure nothing is stored.

        Raises:
            CredentialsRejected, BrokerRefused, BrokerUnreachable: as the broker answers (row B2).
            ApiError: 409 `broker_not_offered`; 409 `strategies_running` if the account would change
                under running strategies.
        """
        broker = request.broker or self._settings.brokers[0]
        if broker not in self._settings.brokers:
            raise ApiError(409, "broker_not_offered", f"{broker} is not offered here")
        accepted = await self._validate(user_id, broker, request)
        credentials = BrokerCredentials(request.api_key, request.api_secret, accepted.access_token)
        async with transaction(self._sessions) as session:
            accounts = BrokerAccounts(session)
            account = await accounts.of_user(user_id, lock=True)
            if account and await _would_switch(Runs(session), account, broker, accepted.broker_user_id):
                raise ApiError(409, "strategies_running", "Stop your strategies before connecting another account")
            account = await accounts.put(user_id, self._row(user_id, account, broker, accepted, credentials))
            await AuditLog(session).add(
                "broker_connect", user_id=user_id, subject=broker, address=address, account=accepted.broker_user_id
            )
        await self._show_connected(user_id, connected=True)
        return account

    async def account(self, user_id: int) -> BrokerAccount | None:
        """The user's connection, if any."""
        async with transaction(self._sessions) as session:
            return await BrokerAccounts(session).of_user(user_id)

    async def disconnect(self, user_id: int, address: str) -> None:
        """Forget the connection and its secrets. 409 `strategies_running`."""
        async with transaction(self._sessions) as session:
            accounts = BrokerAccounts(session)
            if await accounts.of_user(user_id, lock=True) is not None:
                if await Runs(session).any_open(user_id):
                    raise ApiError(409, "strategies_running", "Stop your strategies before disconnecting the broker")
                await accounts.remove(user_id)
                await AuditLog(session).add("broker_disconnect", user_id=user_id, address=address)
        await self._show_connected(user_id, connected=False)

    async def find_instrument(
        self, account: BrokerAccount, exchange: str, tradingsymbol: str
    ) -> ListedInstrument | None:
        """The broker's row of a symbol, or None if it does not list it.

        Raises:
            BrokerError: if the instrument list cannot be had.
        """
        credentials = self._open(account)
        root, timeout_s = self._access(account.broker)
        return await self._instruments.find(
            account.broker,
            exchange,
            tradingsymbol,
            lambda: fetch_instruments(credentials.api_key, credentials.access_token, root=root, timeout_s=timeout_s),
        )

    async def _validate(self, user_id: int, broker: Broker, request: ConnectRequest) -> BrokerSession:
        root, timeout_s = self._access(broker)
        if request.access_token is None:
            return await asyncio.to_thread(
                exchange_request_token,
                request.api_key,
                request.api_secret,
                request.request_token or "",
                root=root,
                timeout_s=timeout_s,
            )
        try:
            accepted = await asyncio.to_thread(
                check_access_token, request.api_key, request.access_token, root=root, timeout_s=timeout_s
            )
        except InvalidToken as error:
            if await self._was_flushed(user_id, request.access_token):
                raise ExpiredToken from error
            raise
        if broker == "paper" and await asyncio.to_thread(
            secret_is_refuted, request.api_key, request.api_secret, root=root, timeout_s=timeout_s
        ):
            raise CredentialsMismatch
        return accepted

    async def _was_flushed(self, user_id: int, access_token: str) -> bool:
        # Zerodha uses one text for both; a token that worked here before and is past its morning has expired.
        account = await self.account(user_id)
        if account is None or self._now() < token_expiry(account.token_obtained_at):
            return False
        return self._holds_token(account, access_token)

    def _row(
        self,
        user_id: int,
        before: BrokerAccount | None,
        broker: str,
        accepted: BrokerSession,
        credentials: BrokerCredentials,
    ) -> dict[str, Any]:
        same_token = before is not None and self._holds_token(before, credentials.access_token)
        sealed = seal_credentials(self._secret_box, user_id, credentials)
        return {
            "broker": broker,
            "broker_user_id": accepted.broker_user_id,
            "api_key_hint": credentials.api_key[-_HINT_LENGTH:],
            "secrets_box": sealed.box,
            "key_version": sealed.key_version,
            "token_obtained_at": before.token_obtained_at if before and same_token else self._now(),
            "connected_at": self._now(),
        }

    def _holds_token(self, account: BrokerAccount, access_token: str) -> bool:
        try:
            stored = self._open(account).access_token
        except UnreadableSecret:
            log.warning("stored_secret_unreadable", user_id=account.user_id, key_version=account.key_version)
            return False
        return hmac.compare_digest(stored.encode(), access_token.encode())

    def _open(self, account: BrokerAccount) -> BrokerCredentials:
        sealed = SealedSecret(account.secrets_box, account.key_version)
        return open_credentials(self._secret_box, account.user_id, sealed)

    def _access(self, broker: str) -> tuple[str, Timeout]:
        name: Broker = "kite" if broker == "kite" else "paper"
        return self._settings.broker_root(name), self._settings.order_timeout_s

    async def _show_connected(self, user_id: int, *, connected: bool) -> None:
        try:
            await self._mirror.set_broker_connected(user_id, connected)
        except MirrorUnavailable:
            log.warning("mirror_write_failed", user_id=user_id)


async def _would_switch(runs: Runs, account: BrokerAccount, broker: str, broker_user_id: str) -> bool:
    same = (account.broker, account.broker_user_id) == (broker, broker_user_id)
    return not same and await runs.any_open(account.user_id)
