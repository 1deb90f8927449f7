"""Series without an intraday product: the engine must refuse what the exchange would refuse."""

import itertools
import string

from broker.market.nse_series import knows_intraday
from broker.paper.base.instruments import DELIVERY_SERIES


def test_the_engine_takes_no_series_for_intraday_trade_that_the_exchange_does_not() -> None:
    codes = map("".join, itertools.product(string.ascii_uppercase, string.ascii_uppercase + string.digits))
    symbols = [f"SHARE-{code}" for code in codes]
    refused_there = {symbol for symbol in symbols if DELIVERY_SERIES.search(symbol)}
    assert len(refused_there) > 80
    assert not {symbol for symbol in refused_there if knows_intraday(symbol)}
