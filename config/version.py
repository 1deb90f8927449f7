"""Which version of TradeActors this is."""

import importlib.metadata
from functools import cache


@cache
def product_version() -> str:
    """The version of TradeActors, or "unknown" where only its files are there."""
    try:
        return importlib.metadata.version("tradeactors")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
