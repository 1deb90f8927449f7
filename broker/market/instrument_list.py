"""One row of a broker's instrument list: what the rules about a share depend on (row C1)."""

from collections.abc import Mapping
from dataclasses import dataclass

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from broker.market.nse_series import is_block_window, knows_intraday

EXCHANGES = ("NSE", "BSE")
"""Where shares are traded; each has one segment of the same name for them."""

DERIVATIVES_EXCHANGE = "NFO"

INDEX_SEGMENT = "INDICES"


@dataclass(frozen=True, slots=True)
class ListedInstrument:
    """One row of the list. `tick_paise` is the step of its prices in whole paise; quantities are multiples of
    `lot_size`.

    `has_derivatives`: NSE's futures are written on it. Never claimed for BSE, whose shares may bear the name of
    another company's on NSE. `freeze_quantity`: the most shares of one order; None where the list does not tell, as
    Kite's never does. `name`: the company's, as the broker abbreviates it; may be empty.
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
    name: str = ""

    @property
    def tradable(self) -> bool:
        """False for what has a price and cannot be bought like a share: indices, and the block deal window."""
        return self.segment == self.exchange and self.exchange in EXCHANGES and not is_block_window(self.tradingsymbol)

    @property
    def intraday_allowed(self) -> bool:
        """False for the series that know no intraday product (MIS)."""
        return self.exchange != "NSE" or knows_intraday(self.tradingsymbol)

    @property
    def instrument(self) -> Instrument:
        """The identity that the engine trades by."""
        return Instrument(self.exchange, self.tradingsymbol, self.token)


InstrumentTable = Mapping[tuple[str, str], ListedInstrument]
