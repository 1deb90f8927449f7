"""What a call to Kite can end with, beyond the classes that `kiteconnect` has.

Importing this module adds to `kiteconnect.exceptions` the error types that Kite sends and the client does not know. The
client looks them up there by name, and would make a GeneralException of them (kite.md §2.2): they stay one.
"""

from typing import Any

from kiteconnect import exceptions as kite_errors


class MarginException(kite_errors.GeneralException):  # type: ignore[misc] # kiteconnect has no types
    """Not enough funds for the order."""

    def __init__(self, message: str, code: int = 400) -> None:
        super().__init__(message, code)


class HoldingException(kite_errors.GeneralException):  # type: ignore[misc]
    """Not enough shares in the demat account, or not authorised at the depository."""

    def __init__(self, message: str, code: int = 400) -> None:
        super().__init__(message, code)


class UserException(kite_errors.GeneralException):  # type: ignore[misc]
    """Something about the user's account."""

    def __init__(self, message: str, code: int = 403) -> None:
        super().__init__(message, code)


class TwoFAException(kite_errors.GeneralException):  # type: ignore[misc]
    """The second factor of a login is missing."""

    def __init__(self, message: str, code: int = 403) -> None:
        super().__init__(message, code)


for _missing in (MarginException, HoldingException, UserException, TwoFAException):
    if not hasattr(kite_errors, _missing.__name__):
        setattr(kite_errors, _missing.__name__, _missing)


class NeverSent(Exception):
    """No byte of the request has left us, and none will. The text holds neither address nor credentials."""


class NoTunnel(NeverSent):
    """The account's own proxy is why: it cannot be reached, or lets nothing through to the broker."""


class AnswerLost(Exception):
    """The request left us, at least in part, and no whole answer came back."""


def kite_error(error_type: object, message: object, status: int) -> Exception:
    """The exception for an error that Kite's API has answered with; `status` is the true HTTP status.

    An answer without its type or its text proves nothing, and is a DataException.
    """
    if not isinstance(error_type, str) or not isinstance(message, str):
        return unreadable(status, "an error without type or message")
    known: Any = getattr(kite_errors, error_type, None)
    if not (isinstance(known, type) and issubclass(known, kite_errors.KiteException)):
        known = kite_errors.GeneralException
    error: Exception = known(message, code=status)
    return error


def unreadable(status: int, what: str) -> Exception:
    """The exception for an answer that is not Kite's API speaking, a proxy's HTML page for one."""
    error: Exception = kite_errors.DataException(f"the broker's answer made no sense: HTTP {status}, {what}", status)
    return error


def contradictory(status: int) -> Exception:
    """The exception for a JSON answer that is neither a success nor an error. Not even its status is to be believed."""
    text = f"the broker's answer made no sense: HTTP {status}, neither success nor error"
    error: Exception = kite_errors.DataException(text, 502)
    return error
