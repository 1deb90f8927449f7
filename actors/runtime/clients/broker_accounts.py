"""Broker accounts: their credentials, decrypted for this process alone, and their gateways."""

from actors.ports.execution import BrokerUnavailable, OrderGateway
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from broker.proxy import Proxy
from config.settings import Broker, Settings
from persistence.errors import DatabaseUnavailable, UnreadableSecret
from persistence.journal.ledger import RunLedger
from persistence.journal.records import AccountRecord
from persistence.secrets.encryption import SealedSecret, SecretBox, open_credentials

_REREAD_S = 15.0
"""How long until a running part notices a change of an account's proxy, beside the time until the account is read."""


class CredentialsUnreadable(BrokerUnavailable):
    """None of the encryption keys opens them. Their user must connect again, or the operator restore the key."""


class ProxyNotAllowed(BrokerUnavailable):
    """The account is to be used through its proxy alone, and the operator allows none (any more)."""


class Accounts:
    """Broker accounts: their credentials are decrypted here, for this process alone. Also `OrderGateways`."""

    def __init__(self, settings: Settings, ledger: RunLedger) -> None:
        self._settings, self._ledger = settings, ledger
        self._box = SecretBox.from_settings(settings)

    async def gateway(self, account_id: int) -> OrderGateway:
        account = await self._account(account_id)
        endpoint = KiteEndpoint(
            self._settings.broker_root("kite" if account.broker == "kite" else "paper"),
            self._settings.order_timeout_s,
            self._settings.market_protection,
        )
        return KiteGateway(endpoint, lambda: self.credentials(account_id), reread_s=self.reread_s)

    async def broker(self, account_id: int) -> Broker:
        """Which broker the account is at. Raises BrokerUnavailable."""
        return "kite" if (await self._account(account_id)).broker == "kite" else "paper"

    @property
    def reread_s(self) -> float | None:
        """How old credentials in use may grow before they are read again; None: until the broker refuses them."""
        return _REREAD_S if self._settings.account_proxies else None

    async def ws_root(self, account_id: int) -> str:
        """Where the account's broker has its WebSocket. Raises BrokerUnavailable."""
        account = await self._account(account_id)
        return self._settings.broker_ws_root("kite" if account.broker == "kite" else "paper")

    async def credentials(self, account_id: int) -> KiteCredentials:
        """The account's present credentials.

        Raises:
            BrokerUnavailable: they cannot be read now, or the user has disconnected the account.
            ProxyNotAllowed: they are for a proxy, and ACCOUNT_PROXIES is off.
        """
        account = await self._account(account_id)
        sealed = SealedSecret(account.secrets_box, account.key_version)
        try:
            opened = open_credentials(self._box, account.user_id, sealed)
        except UnreadableSecret as error:
            raise CredentialsUnreadable(f"the credentials of account {account_id} cannot be decrypted") from error
        if opened.proxy_url is None:
            return KiteCredentials(opened.api_key, opened.access_token)
        if not self._settings.account_proxies:
            raise ProxyNotAllowed(f"the proxy of account {account_id} is not allowed (ACCOUNT_PROXIES)")
        return KiteCredentials(opened.api_key, opened.access_token, Proxy.parse(opened.proxy_url))

    async def _account(self, account_id: int) -> AccountRecord:
        try:
            account = await self._ledger.load_account(account_id)
        except DatabaseUnavailable as error:
            raise BrokerUnavailable("the database does not answer") from error
        if account is None:
            raise BrokerUnavailable(f"account {account_id} is not connected")
        return account
