"""NSE's series of shares: which of them know no intraday product.

The series is the part of a tradingsymbol after its last hyphen, if there is one; real hyphens, as in BAJAJ-AUTO and
MCDOWELL-N, are followed by something else.
"""

import re

_BLOCK_WINDOW = "BL"

_NOT_INTRADAY = re.compile(r"BE|BZ|BL|BT|SM|ST|SZ|GB|GS|TB|SG|IV|RR|E1|X1|[NYZ][0-9A-Z]")
"""Series of NSE that know no intraday product: settled share for share, in the main market and on the SME platform;
gold bonds, government securities and treasury bills; investment and real estate trusts; partly paid shares;
companies' bonds (kite.md §7.6)."""

SERIES = frozenset({"EQ", "BE", "BZ", "BL", "BT", "SM", "ST", "SZ", "IV", "RR"})
"""Series in which shares, and units of trusts, are listed; those of bonds name the bond."""


def is_block_window(tradingsymbol: str) -> bool:
    """Whether it is the row of the block deal window: not bought like a share of the ordinary market."""
    return _series(tradingsymbol) == _BLOCK_WINDOW


def knows_intraday(tradingsymbol: str) -> bool:
    """False for the series of NSE that know no intraday product (MIS)."""
    return not _NOT_INTRADAY.fullmatch(_series(tradingsymbol))


def without_series(tradingsymbol: str) -> str:
    """The symbol of the share, whatever series it is in just now: `RCOM` of `RCOM-BE`."""
    symbol, _, series = tradingsymbol.rpartition("-")
    return symbol if symbol and series in SERIES else tradingsymbol


def _series(tradingsymbol: str) -> str:
    return tradingsymbol.rpartition("-")[2] if "-" in tradingsymbol else ""
