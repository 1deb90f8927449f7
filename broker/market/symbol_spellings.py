"""What a symbol that is not listed may stand for."""

import re
from collections.abc import Sequence


def spellings(tradingsymbol: str) -> Sequence[str]:
    """What a symbol that is not listed may stand for: without what other programs add, or in another series of NSE."""
    bare = re.sub(r"(-EQ|\.NS|\.BO|\.NSE|\.BSE)$", "", tradingsymbol)
    names = [bare, *(f"{bare}-{series}" for series in ("BE", "BZ", "SM", "ST"))]
    return [name for name in names if name != tradingsymbol]
