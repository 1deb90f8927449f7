"""What the exchange refuses, in Kite's own words.

``error_type`` and HTTP status follow the Kite Connect v3 table of exceptions; quoted texts are those that clients
have seen, because only the text separates some causes (a stale request token from a wrong secret, say).
"""

from __future__ import annotations


class PaperError(Exception):
    """Anything the paper exchange raises on purpose."""


class KiteError(PaperError):
    """A refusal that goes to the client as a Kite error envelope."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message


class UnreadableFileError(PaperError):
    """A file that the exchange begins with cannot be used; the text is a sentence without its full stop."""


class LedgerCorruptError(UnreadableFileError):
    """The journal has an unreadable line that is not merely the torn last one."""


class InstrumentsUnreadableError(UnreadableFileError):
    """The list of instruments is none as Kite serves it."""


def input_error(message: str) -> KiteError:
    """400: a parameter is missing or bad; nothing was placed."""
    return KiteError(400, "InputException", message)


def margin_error(required: float, available: float) -> KiteError:
    """400: not enough money for the order."""
    return KiteError(
        400,
        "MarginException",
        f"Insufficient funds. Required margin is {required:.2f} but available margin is {available:.2f}. "
        "Check the orderbook for open orders.",
    )


def holding_error(wanted: int, available: int) -> KiteError:
    """400: a CNC sell of more shares than the account holds."""
    return KiteError(
        400,
        "HoldingException",
        f"Insufficient stock holding. Trying to sell {wanted} but only {available} available.",
    )


def tpin_error(wanted: int, authorised: int) -> KiteError:
    """428: the sale of holdings is not authorised at the depository (TPIN); nothing was placed."""
    return KiteError(
        428,
        "HoldingException",
        f"You need to authorise the sale of your holdings with your CDSL TPIN. Trying to sell {wanted} but only "
        f"{authorised} authorised.",
    )


def order_error(message: str) -> KiteError:
    """400: the order is in a state that does not allow the request."""
    return KiteError(400, "OrderException", message)


def unknown_order() -> KiteError:
    """404: no such order in this account's book."""
    return KiteError(404, "GeneralException", "Couldn't find that `order_id`.")


def bad_token() -> KiteError:
    """403: wrong api key or access token."""
    return KiteError(403, "TokenException", "Incorrect `api_key` or `access_token`.")


def expired_token() -> KiteError:
    """403: the access token was flushed, or a request token is stale or already used."""
    return KiteError(403, "TokenException", "Token is invalid or has expired.")


def bad_checksum() -> KiteError:
    """403: the checksum does not match, which is how a wrong api secret shows."""
    return KiteError(403, "TokenException", "Invalid `checksum`.")


def missing_credentials() -> KiteError:
    """400: no usable Authorization header at all."""
    return input_error("Invalid `api_key` or `access_token`.")


def unregistered_ip(ip: str, status: int) -> KiteError:
    """An order request from an address that is not registered (rule of April 2026); nothing was placed.

    Which of the two Kite answers is not documented: 403 is a PermissionException here, 400 an InputException.
    """
    error_type = "PermissionException" if status == 403 else "InputException"
    return KiteError(status, error_type, f"Orders are not allowed from the IP address {ip}. Please register it.")


def too_many_requests(message: str = "Too many requests") -> KiteError:
    """429: a rate cap; Kite uses the class it also uses for outages."""
    return KiteError(429, "NetworkException", message)


def unavailable(message: str = "Gateway unavailable. Please try again after some time.") -> KiteError:
    """503: the API cannot reach the order management system."""
    return KiteError(503, "NetworkException", message)
