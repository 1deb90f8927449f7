"""Accounts, api keys and tokens: which calls are allowed, and the words of a refusal."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from broker.paper.base.errors import bad_checksum, bad_token, expired_token, input_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.paper.accounts.ledger import Journal
    from broker.paper.base.clock import Clock

# The paper credentials of the documentation: an account that is always there.
DEFAULT_USER_ID = "PA0001"
DEFAULT_API_KEY = "paper"
DEFAULT_API_SECRET = "paper-secret"  # noqa: S105 - not a secret: it opens paper money only
DEFAULT_ACCESS_TOKEN = "paper-token"  # noqa: S105


@dataclass(kw_only=True)
class Account:
    """One trading account with the one app (api key) that may act for it."""

    user_id: str
    api_key: str
    api_secret: str
    access_token: str | None
    cash_paise: int
    redirect_url: str | None = None
    expired_tokens: list[str] = field(default_factory=list)
    request_tokens: dict[str, int] = field(default_factory=dict)  # token -> valid until, epoch ns
    holdings: dict[str, int] = field(default_factory=dict)  # EXCHANGE:SYMBOL -> shares held at the start
    ips: list[str] = field(default_factory=list)  # where order requests may come from; empty = from anywhere
    ip_refusal_status: int = 403
    tpin_required: bool = False  # CNC sales out of holdings need an authorisation at the depository


class Accounts:
    """All accounts; every change is journalled."""

    def __init__(self, journal: Journal, clock: Clock, request_token_seconds: float) -> None:
        self._journal = journal
        self._clock = clock
        self._request_token_ns = int(request_token_seconds * 1e9)
        self._by_user: dict[str, Account] = {}
        self._by_key: dict[str, Account] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_user.values())

    def restore(self, record: dict[str, Any]) -> Account:
        """Take one state of an account back from the journal; later ones replace earlier ones."""
        account = Account(**record)
        self._by_user[account.user_id] = account
        self._by_key[account.api_key] = account
        return account

    def add(self, account: Account) -> None:
        """Open an account; ``ValueError`` when its user id or api key is taken."""
        if account.user_id in self._by_user or account.api_key in self._by_key:
            raise ValueError("user_id or api_key is already taken")
        self._by_user[account.user_id] = account
        self._by_key[account.api_key] = account
        self._save(account)

    def get(self, user_id: str) -> Account | None:
        """The account of a user, if there is one."""
        return self._by_user.get(user_id)

    def by_api_key(self, api_key: str) -> Account | None:
        """The account an api key belongs to, if there is one."""
        return self._by_key.get(api_key)

    def authenticate(self, api_key: str, access_token: str) -> Account:
        """The account of a valid pair; otherwise the 403 that tells a wrong token from an expired one."""
        account = self._by_key.get(api_key)
        if account is None:
            raise bad_token()
        if account.access_token and _same(account.access_token, access_token):
            return account
        raise expired_token() if access_token in account.expired_tokens else bad_token()

    def issue_request_token(self, account: Account) -> str:
        """What a login hands out: a request token, good once and for a couple of minutes."""
        token = secrets.token_urlsafe(24).replace("-", "A").replace("_", "B")
        account.request_tokens[token] = self._clock.now_ns() + self._request_token_ns
        self._save(account)
        return token

    def open_session(self, api_key: str, request_token: str, checksum: str) -> Account:
        """Exchange a request token for a new access token; the account's former one stops working.

        A wrong checksum burns the request token: after it, the user has to log in again.
        """
        account = self._by_key.get(api_key)
        if account is None:
            raise input_error("Invalid `api_key`.")
        valid_until = account.request_tokens.pop(request_token, 0)
        self._save(account)
        expected = hashlib.sha256(f"{api_key}{request_token}{account.api_secret}".encode()).hexdigest()
        if not _same(expected, checksum):
            raise bad_checksum()
        if valid_until < self._clock.now_ns():
            raise expired_token()
        account.access_token = secrets.token_hex(16)
        self._save(account)
        return account

    def close_session(self, api_key: str, access_token: str) -> Account:
        """Log out: the token is unknown from now on."""
        account = self.authenticate(api_key, access_token)
        account.access_token = None
        self._save(account)
        return account

    def expire_token(self, account: Account) -> None:
        """Flush the access token as the broker does every morning: from now on it *has expired*."""
        if account.access_token:
            account.expired_tokens.append(account.access_token)
            account.access_token = None
            self._save(account)

    def set_token(self, account: Account, access_token: str) -> None:
        """Give the account a known access token, valid from now on."""
        account.access_token = access_token
        account.expired_tokens = [token for token in account.expired_tokens if token != access_token]
        self._save(account)

    def register_ips(self, account: Account, ips: list[str], refusal_status: int) -> None:
        """Take order requests from these addresses only; an empty list lifts the restriction."""
        account.ips, account.ip_refusal_status = ips, refusal_status
        self._save(account)

    def require_tpin(self, account: Account, required: bool) -> None:
        """Let CNC sales out of holdings need an authorisation, as without a power of attorney, or not."""
        account.tpin_required = required
        self._save(account)

    def _save(self, account: Account) -> None:
        if self._journal.is_kept:
            self._journal.append_sooner_or_later("account", asdict(account))


def credentials_of(header: str | None) -> tuple[str, str] | None:
    """The api key and access token in ``Authorization: token <api_key>:<access_token>``, if it has that shape."""
    scheme, _, pair = (header or "").partition(" ")
    api_key, colon, access_token = pair.partition(":")
    if scheme != "token" or not colon or not api_key or not access_token:
        return None
    return api_key, access_token


def default_account(cash_paise: int) -> Account:
    """The documented paper account."""
    return Account(
        user_id=DEFAULT_USER_ID,
        api_key=DEFAULT_API_KEY,
        api_secret=DEFAULT_API_SECRET,
        access_token=DEFAULT_ACCESS_TOKEN,
        cash_paise=cash_paise,
    )


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())
