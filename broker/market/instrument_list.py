"""One row of a broker's instrument list: what the rules about a share depend on (row C1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise

EXCHANGES = ("NSE", "BSE")
"""Where shares are traded; each has one segment of the same name for them."""

DERIVATIVES_EXCHANGE = "NFO"

INDEX_SEGMENT = "INDICES"

_BLOCK_WINDOW = "BL"

_NOT_INTRADAY = re.compile(r"BE|BZ|BL|SM|ST|SZ|GB|GS|TB|SG|IV|RR|[NYZ][0-9A-Z]")
"""Series of NSE that know no intraday product: settled share for share, in the main market and on the SME platform;
gold bonds, government securities and treasury bills; investment and real estate trusts; companies' bonds
(kite.md §7.6).

The series is the part of a tradingsymbol after its last hyphen, if there is one; real hyphens, as in BAJAJ-AUTO and
MCDOWELL-N, are followed by something else.
"""


@dataclass(frozen=True, slots=True)
class ListedInstrument:
    """One row of the list. `tick_paise` is the step of its prices; quantities are multiples of `lot_size`.

    `has_derivatives`: NSE's futures are written on it. Never claimed for BSE, whose shares may bear the name of
    another company's on NSE. `freeze_quantity`: the most shares of one order; None where the list does not tell, as
    Kite's never does.
    """

    exchange: str
    tradingsymbol: str
    token: int
    tick_paise: Paise
    lot_size: int
    segment: str
    instrument_type: str
    has_derivatives: bool = False
    freeze_quantity: int | None = None

    @property
    def tradable(self) -> bool:
        """False for what has a price and cannot be bought like a share: indices, and the block deal window."""
        return self.segment == self.exchange and self.exchange in EXCHANGES and self._series != _BLOCK_WINDOW

    @property
    def intraday_allowed(self) -> bool:
        """False for the series that know no intraday product (MIS)."""
        return self.exchange != "NSE" or not _NOT_INTRADAY.fullmatch(self._series)

    @property
    def instrument(self) -> Instrument:
        """The identity that the engine trades by."""
        return Instrument(self.exchange, self.tradingsymbol, self.token)

    @property
    def _series(self) -> str:
        return self.tradingsymbol.rpartition("-")[2] if "-" in self.tradingsymbol else ""


InstrumentTable = Mapping[tuple[str, str], ListedInstrument]
