"""Questions that a broker is asked in a user's name: what it lists, what a share costs, what an account owes."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from actors.domain.identifiers import Instrument
from api.base.errors import ApiError, broker_token_expired
from api.brokers.broker_threads import Asker, BrokerCalls
from broker.errors import ExpiredToken, InvalidToken
from broker.kite.instruments import InstrumentLists, fetch_instruments
from broker.kite.login import BrokerLogin, token_expiry
from broker.market.instrument_list import InstrumentTable, ListedInstrument
from broker.market.nearest import Nearest
from broker.market.share_search import FoundShares
from broker.proxy import Proxy
from config.settings import Settings
from persistence.database.models.brokers import BrokerAccount
from persistence.secrets.encryption import BrokerCredentials, SealedSecret, SecretBox, open_credentials

Answer = TypeVar("Answer")


class BrokerLookups:
    """Asks brokers, with the stored credentials of a connection."""

    def __init__(
        self,
        settings: Settings,
        secret_box: SecretBox,
        instruments: InstrumentLists,
        calls: BrokerCalls,
        now: Callable[[], datetime],
    ) -> None:
        self._settings, self._secret_box, self._instruments = settings, secret_box, instruments
        self._calls, self._now = calls, now

    async def find_instrument(
        self, account: BrokerAccount, exchange: str, tradingsymbol: str
    ) -> ListedInstrument | None:
        """The broker's row of a symbol, or None if it does not list it.

        The list serves all users, so it is fetched past the proxy of the one who happens to ask first.

        Raises:
            BrokerError: if the instrument list cannot be had.
        """
        return await self._instruments.find(account.broker, exchange, tradingsymbol, self._fetching(account))

    async def search(self, account: BrokerAccount, text: str, most: int) -> FoundShares:
        """At most `most` shares of the broker's list for what a person has typed. Raises as `find_instrument`."""
        return await self._instruments.search(account.broker, text, most, self._fetching(account))

    def _fetching(self, account: BrokerAccount) -> Callable[[], InstrumentTable]:
        credentials = credentials_of(self._secret_box, account)
        root, timeout_s = self._calls.endpoint(account.broker)
        return lambda: fetch_instruments(credentials.api_key, credentials.access_token, root=root, timeout_s=timeout_s)

    async def nearest(self, account: BrokerAccount, exchange: str, tradingsymbol: str) -> Nearest:
        """The shares of the broker's list that a symbol may stand for which `find_instrument` did not find."""
        return await self._instruments.nearest(account.broker, exchange, tradingsymbol)

    async def last_price(self, account: BrokerAccount, instrument: Instrument) -> Decimal | None:
        """What the instrument trades at, in rupees, asked of the broker in the user's name; None if it gives no price.

        Raises:
            InvalidToken, ExpiredToken: the broker refuses the access token.
            BrokerRefused, BrokerUnreachable: any other answer, or none within `PRICE_PATIENCE_S`.
            UnreadableSecret: the stored credentials cannot be decrypted.
            ApiError: 409 `proxy_not_allowed`.
        """
        return await self._asked(account, lambda asker, keys: self._calls.last_price(asker, keys, instrument))

    async def shares_owed(self, account: BrokerAccount, instrument: Instrument, product: str) -> int:
        """By how many shares the account is short of an instrument in one product; raises as `last_price` does."""
        return await self._asked(account, lambda asker, keys: self._calls.shares_owed(asker, keys, instrument, product))

    async def owner_of_token(self, account: BrokerAccount) -> str:
        """Whose the stored access token is, at the broker; raises as `last_price` does."""

        def ask(asker: Asker, keys: BrokerCredentials) -> Awaitable[BrokerLogin]:
            return self._calls.check_access_token(asker, keys.api_key, keys.access_token)

        return (await self._asked(account, ask)).broker_user_id

    async def of_account(self, account: BrokerAccount, question: Callable[..., Answer]) -> Answer:
        """One of `broker.kite.account_questions`, without credentials; raises as `last_price` does."""
        return await self._asked(account, lambda asker, keys: self._calls.of_account(asker, keys, question))

    async def _asked(
        self, account: BrokerAccount, question: Callable[[Asker, BrokerCredentials], Awaitable[Answer]]
    ) -> Answer:
        credentials = credentials_of(self._secret_box, account)
        proxy = proxy_at(credentials.proxy_url)
        if proxy is not None and not self._settings.account_proxies:
            raise ApiError(
                409,
                "proxy_not_allowed",
                "The proxy of your connection is not allowed here any more: connect without it",
            )
        try:
            return await question(Asker(account.user_id, account.broker, proxy), credentials)
        except InvalidToken as error:
            if is_past_its_morning(account, self._now()):
                raise ExpiredToken from error
            raise


@contextmanager
def login_needed() -> Iterator[None]:
    """Within it, an access token that the broker refuses is 409 `broker_token_expired`."""
    try:
        yield
    except (ExpiredToken, InvalidToken) as refusal:
        raise broker_token_expired() from refusal


def credentials_of(secret_box: SecretBox, account: BrokerAccount) -> BrokerCredentials:
    """The stored credentials of a connection. Raises UnreadableSecret."""
    sealed = SealedSecret(account.secrets_box, account.key_version)
    return open_credentials(secret_box, account.user_id, sealed)


def is_past_its_morning(account: BrokerAccount, now: datetime) -> bool:
    """Whether the connection's token has died since it was made, as each does in the morning."""
    return now >= token_expiry(account.token_obtained_at)


def proxy_at(url: str | None) -> Proxy | None:
    """The proxy of a connection, if it has one."""
    return None if url is None else Proxy.parse(url)
