"""Which version of TradeActors this is."""

import importlib.metadata
from functools import cache

OLDEST_CLIENT = "0.1.0"
"""The oldest version of an app that works with this API. Raise it with a change that breaks older ones, not before."""


@cache
def product_version() -> str:
    """The version of TradeActors, or "unknown" where only its files are there."""
    try:
        return importlib.metadata.version("tradeactors")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
