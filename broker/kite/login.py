"""Credentials at the broker: is an access token good, and what is a request token worth (rows B1, B2).

Blocking, but for `login_url`: call it from a thread. Importing `kiteconnect` always loads its ticker, hence Twisted
(0.2 s, 22 MB, nothing started), because its `__init__` does; so it is imported at the first call, or by `load_client`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any
from urllib.parse import quote, urlencode

from actors.domain.identifiers import Instrument, Product
from broker.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    CredentialsMismatch,
    CredentialsRejected,
    ExpiredToken,
    InvalidToken,
    ProxyUnreachable,
)
from broker.exchange_time import IST
from broker.kite.answers.broker_text import clean_text
from broker.kite.credentials import KiteCredentials
from broker.proxy import Proxy

TOKEN_FLUSH = time(6, 0)
"""Access tokens die at 06:00 IST, whenever they were made (kite.md §6.2)."""

LOGIN_PAGE = "https://kite.zerodha.com/connect/login"
"""Where Zerodha's customers log in (the same that `kiteconnect` names)."""

Timeout = tuple[float, float]
"""Seconds to connect, and seconds between two bytes of the answer."""

Position = tuple[str, str, str]
"""Exchange, tradingsymbol and product."""

_PRINTABLE = re.compile(r"[!-~]{1,256}")


@dataclass(frozen=True, slots=True)
class BrokerLogin:
    """An access token that the broker has just accepted, and whose it is."""

    broker_user_id: str
    access_token: str = field(repr=False)


def load_client() -> None:
    """Import the client of the broker ahead of the first call, whose patience a busy machine's import would use up."""
    import_module("broker.kite.client")


@contextmanager
def kite_client(
    api_key: str, access_token: str | None, *, root: str, timeout_s: Timeout, proxy: Proxy | None = None
) -> Iterator[Any]:
    """A client of the broker (`broker.kite.client`), whose connections are closed at the end of the block.

    It goes where the settings say and nowhere else, through the proxy if there is one. Each of its calls ends by the
    deadline of the thread (`broker.kite.deadline`), or takes the sum of `timeout_s` at most.
    """
    from broker.kite.client import KiteClient, KiteLoginClient
    from broker.kite.connection import Destination
    from broker.kite.connection_pool import ConnectionPool

    pool = ConnectionPool(Destination(root, timeout_s, proxy))
    kind = KiteClient if access_token is not None else KiteLoginClient
    try:
        yield kind(KiteCredentials(api_key, access_token or "", proxy), pool)
    finally:
        pool.close()


def login_url(api_key: str, *, page: str = LOGIN_PAGE) -> str:
    """Where the owner of an API key logs in and gets a request token; `page` is for a broker other than Zerodha.

    No broker is asked.
    """
    return f"{page}?api_key={quote(api_key, safe='')}&v=3"


def with_state(url: str, state: str) -> str:
    """A login page's address after which the browser comes back with that `state` in its query (kite.md §6.7)."""
    return f"{url}&{urlencode({'redirect_params': urlencode({'state': state})})}"


def check_access_token(
    api_key: str, access_token: str, *, root: str, timeout_s: Timeout, proxy: Proxy | None = None
) -> BrokerLogin:
    """Ask for the profile, which only a live token gets.

    The API secret takes no part: the broker checks it only when a request token is exchanged.

    Raises:
        InvalidToken, ExpiredToken: if the broker does not know the token, or not any more.
        BrokerRefused, BrokerUnreachable: for any other answer, or none.
    """
    try:
        with kite_client(api_key, access_token, root=root, timeout_s=timeout_s, proxy=proxy) as kite:
            profile = kite.profile()
        return BrokerLogin(_word(profile["user_id"]), access_token)
    except Exception as error:
        raise explain(error) from error


def exchange_request_token(
    api_key: str,
    api_secret: str,
    request_token: str,
    *,
    root: str,
    timeout_s: Timeout,
    proxy: Proxy | None = None,
) -> BrokerLogin:
    """Turn the request token of a login into an access token. Either way, the request token is used up.

    Raises:
        CredentialsMismatch: if the secret (or the key) is wrong.
        ExpiredToken: if the request token is unknown, used or too old; the broker does not tell which.
        BrokerRefused, BrokerUnreachable: for any other answer, or none.
    """
    try:
        with kite_client(api_key, None, root=root, timeout_s=timeout_s, proxy=proxy) as kite:
            session = kite.generate_session(request_token, api_secret=api_secret)
        return BrokerLogin(_word(session["user_id"]), _word(session["access_token"]))
    except Exception as error:
        explained = explain(error)
        raise (CredentialsMismatch() if isinstance(explained, InvalidToken) else explained) from error


def secret_is_refuted(
    api_key: str, api_secret: str, *, root: str, timeout_s: Timeout, proxy: Proxy | None = None
) -> bool:
    """Whether the broker says that the secret is not the key's, asked with a request token that cannot exist.

    Only for a broker known to compare the checksum before it looks at the request token, as the paper exchange does.
    Zerodha does not document the order, and a wrong guess would lock honest users out.

    Raises:
        BrokerRefused, BrokerUnreachable: if it answers neither way.
    """
    try:
        exchange_request_token(api_key, api_secret, "0" * 32, root=root, timeout_s=timeout_s, proxy=proxy)
    except CredentialsMismatch:
        return True
    except CredentialsRejected:
        return False
    return False


def last_price(
    api_key: str,
    access_token: str,
    instrument: Instrument,
    *,
    root: str,
    timeout_s: Timeout,
    proxy: Proxy | None = None,
) -> Decimal | None:
    """The last traded price in rupees, or None when the broker has none for the instrument (kite.md §1.5: absent).

    Raises:
        InvalidToken, ExpiredToken: if the access token is refused.
        BrokerRefused, BrokerUnreachable: for any other answer, or none.
    """
    try:
        with kite_client(api_key, access_token, root=root, timeout_s=timeout_s, proxy=proxy) as kite:
            quotes = kite.ltp(instrument.key)
        row = quotes.get(instrument.key)
        price = Decimal(0) if row is None else Decimal(str(row["last_price"]))
        return price if price.is_finite() and price > 0 else None
    except Exception as error:
        raise explain(error) from error


def shares_owed(
    api_key: str,
    access_token: str,
    instrument: Instrument,
    product: str,
    *,
    root: str,
    timeout_s: Timeout,
    proxy: Proxy | None = None,
) -> int:
    """By how many shares the account is short of an instrument in one product (see `owed`).

    Raises:
        InvalidToken, ExpiredToken: if the access token is refused.
        BrokerRefused, BrokerUnreachable: for any other answer, or none.
    """
    try:
        wanted = (instrument.exchange, instrument.tradingsymbol, product)
        with kite_client(api_key, access_token, root=root, timeout_s=timeout_s, proxy=proxy) as kite:
            rows = kite.positions()["net"]
            short = owed(wanted, rows, ())
            return owed(wanted, rows, kite.holdings()) if short and product == Product.CNC else short
    except Exception as error:
        raise explain(error) from error


def owed(position: Position, positions: Iterable[Mapping[str, Any]], holdings: Iterable[Mapping[str, Any]]) -> int:
    """By how many shares the account is short of one position; 0 if it is not.

    Shares sold out of the demat account make a negative day position and are not owed: what was held when the
    day opened covers them (kite.md §1.8), on whichever exchange they are listed.
    """
    rows = [row for row in positions if (row["exchange"], row["tradingsymbol"], row["product"]) == position]
    held = sum(int(row["quantity"]) for row in rows)
    if held < 0 and position[2] == Product.CNC:
        held += sum(int(row["opening_quantity"]) for row in holdings if row["tradingsymbol"] == position[1])
    return max(0, -held)


def explain(error: Exception) -> BrokerError:
    """What an exception out of `kiteconnect` means for credentials.

    Only the text separates the causes (kite.md §6.5). What is not one of the client's own exceptions (`NeverSent`,
    KeyError on a reply without its fields, …) says nothing about the credentials: the broker is unreachable.
    """
    from kiteconnect import exceptions

    from broker.kite.answers.exceptions import NoTunnel

    if isinstance(error, NoTunnel):
        return ProxyUnreachable()
    if not isinstance(error, exceptions.KiteException):
        return BrokerUnreachable()
    text, status = str(error), getattr(error, "code", 500)
    about_token = isinstance(error, exceptions.TokenException) or (status in (400, 403) and "api_key" in text)
    if about_token:
        return _about_token(text.lower())
    if isinstance(error, exceptions.NetworkException | exceptions.DataException) or status >= 500:
        return BrokerUnreachable()
    return BrokerRefused(clean_text(text))


def token_expiry(obtained_at: datetime) -> datetime:
    """The instant at which an access token obtained then is flushed."""
    local = obtained_at.astimezone(IST)
    flush = datetime.combine(local.date(), TOKEN_FLUSH, IST)
    return flush if local < flush else flush + timedelta(days=1)


def _about_token(text: str) -> CredentialsRejected:
    if "checksum" in text:
        return CredentialsMismatch()
    return ExpiredToken() if "expired" in text else InvalidToken()


def _word(value: object) -> str:
    """A name or token of the broker's answer, as what it must be."""
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
        raise ValueError("the broker's answer has something else where a name or a token belongs")
    return value
