"""When a new connection to a broker wants the user's password, and an access token alone is not enough."""

from dataclasses import dataclass
from typing import Literal

from api.base.errors import ApiError
from persistence.database.models.brokers import BrokerAccount


@dataclass(frozen=True, slots=True)
class PasswordRule:
    """`CONFIRM_CONNECT`, and whether the password was given in the last five minutes (`recent`).

    A new token of the same account is never asked about: each morning's login at the broker is all that it takes.
    """

    asked_for: Literal["other_account", "any_change"]
    recent: bool

    def check_before_login(self, stored: BrokerAccount | None, broker: str, *, same_credentials: bool) -> None:
        """Judge what is known before the broker is asked, since a request token is good once.

        `same_credentials`: key and proxy are those of the connection that is stored.

        Raises:
            ApiError: 403 `password_needed`.
        """
        other_broker = stored is not None and stored.broker != broker
        self._check(other_broker or (self.asked_for == "any_change" and not same_credentials))

    def check_account(self, before: str | None, now: str) -> None:
        """Judge the account that the broker names, beside the one that is connected or was disconnected last.

        One key may serve several accounts, and to disconnect first must be no way around the rule.

        Raises:
            ApiError: 403 `password_needed`.
        """
        self._check(before is not None and before != now)

    def _check(self, is_asked: bool) -> None:
        if is_asked and not self.recent:
            sentence = "Please give your password again (POST /auth/confirm), then connect this account"
            raise ApiError(403, "password_needed", sentence)


def account_name(broker: str, broker_user_id: str) -> str:
    """An account at any broker in one word."""
    return f"{broker}:{broker_user_id}"


def is_password_needed(error: Exception) -> bool:
    """Whether a refusal is that of `PasswordRule`: the user has only been asked for something."""
    return isinstance(error, ApiError) and error.code == "password_needed"
