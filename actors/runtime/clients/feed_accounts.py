"""Which account carries a broker's market data: one that is able to, whichever connected last.

An account may be refused for good: Kite's free plan has no market data (kite.md §1.6), and a token is good for a day.
An account that was refused is remembered until it connects again, and the one that has worked last comes first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from actors.ports.execution import BrokerUnavailable
from actors.runtime.clients.broker_accounts import Accounts, CredentialsUnreadable, ProxyNotAllowed
from broker.kite.credentials import KiteCredentials, UnusableCredentials, credentials_of_file
from config.settings import Broker, Settings
from persistence.errors import DatabaseUnavailable, MirrorUnavailable
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror

log = structlog.get_logger(__name__)

Connected = Sequence[tuple[int, datetime]]
"""Accounts and when each has connected, the one connected last first."""


@dataclass(frozen=True, slots=True)
class FeedAccount:
    """Credentials to try. `account_id`: of which account they are; None if they are the operator's own."""

    credentials: KiteCredentials
    account_id: int | None = None


def in_order(accounts: Connected, refused: Mapping[int, datetime], good: int | None) -> list[int]:
    """The accounts to try, best first. `refused`: when those that were refused had connected; `good` worked last."""
    able = [account_id for account_id, connected_at in accounts if refused.get(account_id) != connected_at]
    return [*(a for a in able if a == good), *(a for a in able if a != good)]


class FeedAccounts:
    """The choice for one broker. The last good account outlives this process in Redis."""

    def __init__(
        self, settings: Settings, broker: Broker, accounts: Accounts, ledger: RunLedger, mirror: RuntimeMirror
    ) -> None:
        self._settings, self._broker = settings, broker
        self._accounts, self._ledger, self._mirror = accounts, ledger, mirror
        self._connected: dict[int, datetime] = {}
        self._refused: dict[int, datetime] = {}
        self._own_refused: KiteCredentials | None = None

    async def choose(self) -> FeedAccount:
        """The credentials to try now: the operator's, else those of an account.

        Accounts without a proxy come first: what all depend on should not pass through what one user has named. When
        every account was refused, each has another turn: a refusal may have been the broker's trouble.

        Raises:
            BrokerUnavailable: there are none that can be used.
        """
        own = self._own()
        if own is not None and own != self._own_refused:
            return FeedAccount(own)
        try:
            connected = await self._ledger.feed_accounts(self._broker)
        except DatabaseUnavailable as error:
            raise BrokerUnavailable("the database does not answer") from error
        self._connected = dict(connected)
        good = await self._last_good()
        chosen = await self._first_usable(in_order(connected, self._refused, good))
        if chosen is None and (self._refused or self._own_refused):
            self._refused.clear()
            self._own_refused = None
            chosen = FeedAccount(own) if own else await self._first_usable(in_order(connected, {}, None))
        if chosen is not None:
            return chosen
        if not connected:
            raise BrokerUnavailable(f"no user has connected to {self._broker} yet")
        raise BrokerUnavailable(f"no account at {self._broker} has credentials that can be decrypted and used")

    @property
    def others_left(self) -> bool:
        """Whether there is an account that has not been refused."""
        return any(self._refused.get(account_id) != at for account_id, at in self._connected.items())

    def refused(self, tried: FeedAccount) -> None:
        """The broker does not let them have its market data, or their proxy leads nowhere."""
        if tried.account_id is None:
            self._own_refused = tried.credentials
        elif tried.account_id in self._connected:
            self._refused[tried.account_id] = self._connected[tried.account_id]
        log.warning("feed.account_refused", broker=self._broker, account_id=tried.account_id)

    async def worked(self, tried: FeedAccount) -> None:
        """Market data has come with them."""
        if tried.account_id is None:
            return
        try:
            await self._mirror.put_feed_account(self._broker, tried.account_id)
        except MirrorUnavailable:
            log.info("feed.account_not_remembered", broker=self._broker)

    async def _last_good(self) -> int | None:
        try:
            return await self._mirror.get_feed_account(self._broker)
        except MirrorUnavailable:
            return None

    async def _first_usable(self, accounts: Collection[int]) -> FeedAccount | None:
        proxied: FeedAccount | None = None
        for account_id in accounts:
            try:
                found = FeedAccount(await self._accounts.credentials(account_id), account_id)
            except (CredentialsUnreadable, ProxyNotAllowed) as error:
                log.warning("feed.account_skipped", reason=str(error))
                continue
            if found.credentials.proxy is None:
                return found
            proxied = proxied or found
        return proxied

    def _own(self) -> KiteCredentials | None:
        """The operator's: FEED_CREDENTIALS_FILE is read each time, so that a new token needs no restart."""
        settings = self._settings
        if settings.feed_source != self._broker:
            return None
        if settings.feed_credentials_file is not None:
            try:
                return credentials_of_file(settings.feed_credentials_file)
            except UnusableCredentials as error:
                log.warning("feed.credentials_file_unusable", reason=str(error))
                return None
        if settings.feed_api_key.get_secret_value():
            return KiteCredentials(
                settings.feed_api_key.get_secret_value(), settings.feed_access_token.get_secret_value()
            )
        return None
