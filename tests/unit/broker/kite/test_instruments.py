"""The instrument list of the day, and what the broker's answers about credentials mean."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import requests
from kiteconnect import exceptions

from broker.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    CredentialsMismatch,
    ExpiredToken,
    InvalidToken,
)
from broker.exchange_time import IST
from broker.kite.instruments import RETRY_AFTER, InstrumentLists, instrument_table, list_day, underlyings
from broker.kite.login import explain, token_expiry
from broker.market.instrument_list import InstrumentTable

INFY: dict[str, object] = {
    "instrument_token": 408065,
    "exchange_token": "1594",
    "tradingsymbol": "INFY",
    "name": "INFOSYS",
    "last_price": 0.0,
    "expiry": "",
    "strike": 0.0,
    "tick_size": 0.05,
    "lot_size": 1,
    "instrument_type": "EQ",
    "segment": "NSE",
    "exchange": "NSE",
}
NIFTY = INFY | {"instrument_token": 256265, "tradingsymbol": "NIFTY 50", "segment": "INDICES", "tick_size": 0.0}


def ist(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=IST)


class Broker:
    """Hands out the list, counting, until it is down."""

    def __init__(self) -> None:
        self.fetched = 0
        self.down = False

    def fetch(self) -> InstrumentTable:
        if self.down:
            raise BrokerUnreachable
        self.fetched += 1
        return instrument_table([INFY, NIFTY])


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


async def found(lists: InstrumentLists, broker: Broker, symbol: str = "INFY") -> bool:
    return await lists.find("paper", "NSE", symbol, broker.fetch) is not None


def test_rows_become_instruments_with_exact_ticks() -> None:
    table = instrument_table([INFY, NIFTY, INFY | {"exchange": "BSE", "segment": "BSE", "tick_size": 0.1}])
    infy = table["NSE", "INFY"]
    assert (infy.token, infy.tick_paise, infy.tradable) == (408065, 5, True)
    assert infy.instrument.symbol == "INFY"
    assert table["BSE", "INFY"].tick_paise == 10
    assert not table["NSE", "NIFTY 50"].tradable


NFO = """instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange
13414402,52400,INFY26DECFUT,INFY,1516.0,2026-12-29,0,0.05,400,FUT,NFO-FUT,NFO
13414403,52401,INFY26DEC1500CE,INFY,20.0,2026-12-29,1500,0.05,400,CE,NFO-OPT,NFO
13414404,52402,WIPRO26DEC240PE,WIPRO,2.0,2026-12-29,240,0.05,400,PE,NFO-OPT,NFO
13428738,52456,M&M26DECFUT,"M&M",3463.75,2026-12-29,0,0.05,200,FUT,NFO-FUT,NFO
13428739,52457,NIFTY26DECFUT,NIFTY,26000,2026-12-29,0,0.05,75,FUT,NFO-FUT,NFO
"""  # noqa: E501 - rows as Kite writes them


def test_underlyings_are_the_names_of_futures() -> None:
    assert underlyings(NFO) == {"INFY", "M&M", "NIFTY"}


def test_only_nse_shares_named_by_a_future_have_derivatives() -> None:
    wanted = {"NSE": ("INFY", "M&M", "WIPRO", "NIFTY 50", "INFY-BL"), "BSE": ("INFY",)}
    rows = [
        INFY | {"exchange": exchange, "segment": exchange, "tradingsymbol": symbol}
        for exchange, symbols in wanted.items()
        for symbol in symbols
    ]
    table = instrument_table(rows, underlyings(NFO))
    assert {key for key, row in table.items() if row.has_derivatives} == {("NSE", "INFY"), ("NSE", "M&M")}


@pytest.mark.parametrize(
    "symbol",
    ["RCOM-BE", "GVTL-BZ", "ANYSME-SM", "ANYSME-ST", "ANYSME-SZ", "BAJAJ-AUTO-BE", "SGBJAN29-GB", "738GS2027-GS",
     "364D080127-TB", "PGINVIT-IV", "EMBASSY-RR", "NHAI-N8", "IRFC-NA", "EDELWEISS-Y1", "SREI-ZB"],
)  # fmt: skip
def test_series_without_intraday_trade_have_no_intraday_product(symbol: str) -> None:
    listed = instrument_table([INFY | {"tradingsymbol": symbol}])["NSE", symbol]
    assert (listed.tradable, listed.intraday_allowed) == (True, False)


@pytest.mark.parametrize(
    "symbol", ["INFY", "BAJAJ-AUTO", "MCDOWELL-N", "M&M", "J&KBANK", "NAM-INDIA", "BE", "SM", "N8", "XYZ-NEW"]
)
def test_real_hyphens_and_special_characters_are_no_series(symbol: str) -> None:
    listed = instrument_table([INFY | {"tradingsymbol": symbol}])["NSE", symbol]
    assert (listed.tradable, listed.intraday_allowed) == (True, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"segment": "INDICES", "tradingsymbol": "NIFTY 50"},
        {"segment": "INDICES", "exchange": "BSE", "tradingsymbol": "SENSEX"},
        {"tradingsymbol": "INFY-BL"},
        {"segment": "NFO-FUT", "exchange": "NFO", "tradingsymbol": "INFY26DECFUT"},
        {"segment": "BSE"},
    ],
)
def test_what_is_no_share_of_the_ordinary_market_is_not_tradable(changes: dict[str, object]) -> None:
    (listed,) = instrument_table([INFY | changes]).values()
    assert not listed.tradable


async def test_many_askers_fetch_once_and_unknown_symbols_are_none() -> None:
    lists, broker = InstrumentLists(Clock(ist(23, 9))), Broker()
    assert await asyncio.gather(*(found(lists, broker) for _ in range(20))) == [True] * 20
    assert not await found(lists, broker, "NOSUCH")
    assert broker.fetched == 1


async def test_the_list_is_fetched_again_after_eight() -> None:
    clock, broker = Clock(ist(23, 9)), Broker()
    lists = InstrumentLists(clock)
    for moment, fetched in [(ist(23, 23, 59), 1), (ist(24, 7, 59), 1), (ist(24, 8), 2), (ist(24, 15), 2)]:
        clock.now = moment
        assert await found(lists, broker)
        assert broker.fetched == fetched


async def test_an_old_list_serves_while_the_broker_is_down_but_none_does_not() -> None:
    clock, broker = Clock(ist(23, 9)), Broker()
    lists = InstrumentLists(clock)
    broker.down = True
    with pytest.raises(BrokerUnreachable):
        await found(lists, broker)
    broker.down = False
    assert await found(lists, broker)
    broker.down, clock.now = True, ist(24, 9)
    assert await found(lists, broker)
    broker.down = False
    for wait, fetched in [(RETRY_AFTER - timedelta(seconds=1), 1), (RETRY_AFTER, 2)]:
        clock.now = ist(24, 9) + wait
        assert await found(lists, broker)
        assert broker.fetched == fetched


async def test_one_user_whose_session_is_refused_keeps_nobody_else_from_todays_list() -> None:
    clock, broker = Clock(ist(23, 9)), Broker()
    lists = InstrumentLists(clock)
    assert await found(lists, broker)
    clock.now = ist(24, 9)

    def refused() -> InstrumentTable:
        raise InvalidToken

    assert await lists.find("paper", "NSE", "INFY", refused) is not None
    assert await found(lists, broker)
    assert broker.fetched == 2


async def test_the_nearest_are_of_the_list_of_the_day() -> None:
    clock = Clock(ist(23, 9))
    lists = InstrumentLists(clock)
    tables = [instrument_table([INFY]), instrument_table([INFY | {"tradingsymbol": "INFYNEW", "name": "INFOSYS NEW"}])]

    async def near(symbol: str) -> list[str]:
        return [row.tradingsymbol for row in (await lists.nearest("paper", "NSE", symbol)).instruments]

    assert await near("INFY.NS") == [], "there is no list yet"
    for day, listed in ((23, "INFY"), (24, "INFYNEW")):
        clock.now = ist(day, 9)
        await lists.find("paper", "NSE", "NOSUCH", lambda: tables.pop(0))
        assert await asyncio.gather(*(near(symbol) for symbol in ("INFY.NS", "Infosys".upper()))) == [[listed]] * 2
    assert (await lists.nearest("kite", "NSE", "INFY.NS")).instruments == (), "it is the other broker's list"


def test_the_list_day_turns_at_eight() -> None:
    assert list_day(ist(24, 7, 59)) == date(2026, 11, 23)
    assert list_day(ist(24, 8)) == date(2026, 11, 24)
    assert list_day(datetime(2026, 11, 24, 3, 0, tzinfo=UTC)) == date(2026, 11, 24)


CAUSES: list[tuple[Exception, type[BrokerError]]] = [
    (exceptions.TokenException("Incorrect `api_key` or `access_token`.", code=403), InvalidToken),
    (exceptions.InputException("Invalid `api_key` or `access_token`.", code=400), InvalidToken),
    (exceptions.TokenException("Token is invalid or has expired.", code=403), ExpiredToken),
    (exceptions.TokenException("Invalid `checksum`.", code=403), CredentialsMismatch),
    (exceptions.PermissionException("Insufficient permission for that call.", code=403), BrokerRefused),
    (exceptions.NetworkException("Too many requests", code=429), BrokerUnreachable),
    (exceptions.NetworkException("Gateway timed out", code=503), BrokerUnreachable),
    (exceptions.DataException("Unknown Content-Type (text/html)", code=502), BrokerUnreachable),
    (exceptions.GeneralException("Something broke", code=500), BrokerUnreachable),
    (requests.exceptions.ReadTimeout("read timed out"), BrokerUnreachable),
    (requests.exceptions.ConnectionError("refused"), BrokerUnreachable),
    (KeyError("content-type"), BrokerUnreachable),
    (TypeError("'NoneType' object is not subscriptable"), BrokerUnreachable),
]


@pytest.mark.parametrize(("error", "meaning"), CAUSES)
def test_what_comes_out_of_the_client_is_explained(error: Exception, meaning: type[BrokerError]) -> None:
    assert type(explain(error)) is meaning


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InvalidToken, "Invalid access token"),
        (ExpiredToken, "Token expired, please refresh"),
        (CredentialsMismatch, "Credentials mismatch"),
    ],
)
def test_the_sentences_of_row_b2(error: Callable[[], BrokerError], sentence: str) -> None:
    assert str(error()) == sentence


@pytest.mark.parametrize(
    ("obtained", "expires"),
    [(ist(23, 8), ist(24, 6)), (ist(23, 23, 59), ist(24, 6)), (ist(24, 2), ist(24, 6)), (ist(24, 6), ist(25, 6))],
)
def test_tokens_are_flushed_at_six(obtained: datetime, expires: datetime) -> None:
    assert token_expiry(obtained.astimezone(UTC)) == expires


def test_ticks_are_decimal_exact() -> None:
    assert instrument_table([INFY | {"tick_size": 0.15}])["NSE", "INFY"].tick_paise == int(Decimal("0.15") * 100)


@pytest.mark.parametrize(
    ("column", "known"), [(None, None), ("", None), ("0", None), ("n/a", None), ("1500", 1500), (1500, 1500)]
)
def test_a_freeze_quantity_is_known_where_the_list_tells_it(column: object, known: int | None) -> None:
    row = INFY if column is None else INFY | {"freeze_quantity": column}
    assert instrument_table([row])["NSE", "INFY"].freeze_quantity == known
