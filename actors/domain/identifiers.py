"""Names of things: instruments, intents and the tag that an intent's order carries at the broker."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from actors.domain.errors import InvalidValue

DEFAULT_EXCHANGE = "NSE"
TAG_LENGTH = 20
"""Kite rejects a longer tag (kite.md §2.8: `tag`, at most 20 letters and digits)."""


class Leg(StrEnum):
    """Which half of a round trip an intent belongs to."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"


class Side(StrEnum):
    """Transaction type, in the broker's words."""

    BUY = "BUY"
    SELL = "SELL"


class Product(StrEnum):
    """Kite product: intraday (MIS) or delivery (CNC)."""

    MIS = "MIS"
    CNC = "CNC"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable security of one exchange, as the broker's instrument list names it."""

    exchange: str
    tradingsymbol: str
    token: int

    @property
    def symbol(self) -> str:
        """The name users and Redis keys carry: `INFY` on the default exchange, `BSE:INFY` elsewhere."""
        return self.tradingsymbol if self.exchange == DEFAULT_EXCHANGE else self.key

    @property
    def key(self) -> str:
        """`NSE:INFY`, the form of Kite's quote calls."""
        return f"{self.exchange}:{self.tradingsymbol}"


def split_symbol(symbol: str) -> tuple[str, str]:
    """`INFY` or `NSE:INFY` to (exchange, tradingsymbol), upper case.

    Raises:
        InvalidValue: if either part is empty.
    """
    exchange, _, tradingsymbol = symbol.strip().upper().rpartition(":")
    if not tradingsymbol or symbol.count(":") > 1 or (":" in symbol and not exchange):
        raise InvalidValue(f"{symbol!r} is not a symbol; write INFY or NSE:INFY")
    return exchange or DEFAULT_EXCHANGE, tradingsymbol


@dataclass(frozen=True, slots=True, order=True)
class IntentId:
    """One wish to trade, never used again: run, leg and sequence number within the leg (from 1).

    The order (run, leg, seq) is the fencing order of the claim: ENTRY sorts before EXIT, so an exit may take the
    lock over from an entry, never the other way round.
    """

    run_id: int
    leg: Leg
    seq: int

    def __str__(self) -> str:
        return f"{self.run_id}-{self.leg}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str()`.

        Raises:
            InvalidValue: if the text is not an intent id.
        """
        try:
            run_id, leg, seq = text.split("-")
            return cls(int(run_id), Leg(leg), int(seq))
        except ValueError as error:
            raise InvalidValue(f"{text!r} is not an intent id") from error


def order_tag(tag_key: bytes, intent_id: IntentId) -> str:
    """The tag of every order ever sent for this intent: 20 capital letters and digits, the same on each attempt.

    It is an HMAC under the run's own key, so that recovery can compute it before any record of the intent exists,
    and a tenant cannot guess the tag of another tenant's order.
    """
    digest = hmac.new(tag_key, str(intent_id).encode(), hashlib.sha256).digest()
    return (intent_id.leg[1] + base64.b32encode(digest).decode())[:TAG_LENGTH]


_TAG = re.compile(r"[NX][A-Z2-7]{19}")


def has_tag_form(tag: str) -> bool:
    """Whether a tag may be one of ours. Only the journal, or the run's own key, can tell for certain."""
    return _TAG.fullmatch(tag) is not None
