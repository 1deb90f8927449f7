"""The exchange's clock and what follows it: stamps, ticks, the trading session from the first order to the last."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from kiteconnect import KiteTicker
from kiteconnect import exceptions as kite_errors
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from broker.paper.orders.trading_session import (
    DAY_ENDED,
    LIMIT_ONLY,
    MARKET_CLOSED,
    NO_ORDERS_NOW,
    NO_STOPS,
    OUTSIDE_AUCTION_BAND,
)
from tests.kit.paper import PaperExchange, eventually
from tests.kit.paper_account import PaperAccount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IST = timezone(timedelta(hours=5, minutes=30))
MONDAY = "2026-11-30"
INFY = 408065


def at(clock: str, day: str = MONDAY) -> str:
    return f"{day}T{clock}+05:30"


@pytest.fixture
def paper() -> Iterator[PaperExchange]:
    with PaperExchange(
        default_source="hold", clock_at=at("09:00:00"), session="on", orders_per_minute=0, orders_per_second=0
    ) as exchange:
        yield exchange


@pytest.fixture
def account(paper: PaperExchange) -> PaperAccount:
    return PaperAccount(paper, cash=100_000_000)


def jump_to(paper: PaperExchange, clock: str, day: str = MONDAY) -> None:
    now = datetime.fromisoformat(paper.control.clock()["now"])
    there = datetime.fromisoformat(at(clock, day))
    paper.control.clock(advance_seconds=(there - now).total_seconds())


def limit(account: PaperAccount, price: float = 1500, **changes: Any) -> str:
    return account.place("OURS", order_type="LIMIT", price=price, **changes)


def ended(account: PaperAccount, order_id: str) -> tuple[str, str | None]:
    eventually(lambda: account.status(order_id) in ("REJECTED", "CANCELLED", "COMPLETE"))
    row = account.row(order_id)
    return row["status"], row["status_message"]


class Stream:
    """A socket that reads the ticks of one instrument, as KiteTicker parses them."""

    def __init__(self, socket: ClientConnection, token: int) -> None:
        socket.send(f'{{"a": "mode", "v": ["full", [{token}]]}}')
        self._socket = socket
        self._parser = KiteTicker("", "")
        self.next()

    def next(self) -> dict[str, Any]:
        while True:
            message = self._socket.recv(timeout=5)
            if isinstance(message, bytes) and len(message) > 4:
                return dict(self._parser._parse_binary(message)[0])

    def is_closed(self) -> bool:
        """Whether the other end has hung up; reads what comes until then."""
        try:
            self.next()
        except ConnectionClosed:
            return True
        return False

    def lags(self, paper: PaperExchange, seconds: float) -> None:
        """Assert that the stamp of the next tick lies so far behind the exchange's clock."""
        while self._is_waiting():
            pass
        before, tick, after = paper.control.clock(), self.next(), paper.control.clock()
        made = tick["exchange_timestamp"].timestamp() + seconds
        # Stamps are whole seconds, and a tick may have been on its way when the clock was read.
        assert before["now_ns"] / 1e9 - 2 <= made <= after["now_ns"] / 1e9

    def _is_waiting(self) -> bool:
        try:
            self._socket.recv(timeout=0)
        except TimeoutError:
            return False
        return True


@pytest.fixture
def stream(paper: PaperExchange, account: PaperAccount) -> Iterator[Stream]:
    """The ticks of INFY from ten o'clock on."""
    jump_to(paper, "10:00:00")
    keys = f"api_key={account.credentials.api_key}&access_token={account.credentials.access_token}"
    with connect(f"{paper.ws_url}/?{keys}", additional_headers={"X-Kite-Version": "3"}, proxy=None) as socket:
        yield Stream(socket, INFY)


def test_the_clock_starts_where_it_is_told_and_everything_is_stamped_by_it(
    account: PaperAccount, paper: PaperExchange
) -> None:
    jump_to(paper, "09:30:00")
    order_id = account.bought()
    row = account.row(order_id)
    for stamp in (row["order_timestamp"], row["exchange_timestamp"], account.kite.trades()[0]["fill_timestamp"]):
        assert f"{stamp:%Y-%m-%d %H:%M}" == "2026-11-30 09:30"
    received = datetime.fromtimestamp(account.requests()[0]["received_ns"] / 1e9, IST)
    assert f"{received:%H:%M}" == "09:30"


def test_it_runs_as_fast_as_it_is_told_and_ticks_once_a_second_of_its_own(
    account: PaperAccount, paper: PaperExchange, stream: Stream
) -> None:
    paper.control.clock(factor=20)
    stream.next()
    began = time.monotonic()
    stamps = [stream.next()["exchange_timestamp"].timestamp() for _ in range(40)]
    took = time.monotonic() - began
    passed = stamps[-1] - stamps[0]
    assert passed >= 38
    assert passed / took == pytest.approx(20, rel=0.4)
    paper.control.clock(factor=1)
    assert paper.control.clock()["factor"] == 1


def test_setting_the_clock_lets_no_time_pass_and_a_jump_does(account: PaperAccount, paper: PaperExchange) -> None:
    paper.control.clock(now=at("10:00:00"))
    paper.control.fault("exchange-cancel", seconds=90)
    order_id = limit(account, price=1400)
    account.reaches(order_id, "OPEN")
    paper.control.clock(now=at("12:00:00"))
    assert account.status(order_id) == "OPEN"
    paper.control.clock(now=at("10:00:00"))
    paper.control.clock(advance_seconds=100)
    ended_at = account.reaches(order_id, "CANCELLED")["order_timestamp"]
    assert f"{ended_at:%H:%M}" == "10:01"
    paper.control.release_clock()
    assert abs(paper.control.clock()["now_ns"] / 1e9 - time.time()) < 2


def test_a_set_clock_goes_on_over_a_restart(tmp_path: Path) -> None:
    with PaperExchange(ledger_path=tmp_path / "ledger.jsonl", clock_at=at("09:00:00")) as paper:
        paper.control.clock(now=at("11:00:00"), factor=10)
        paper.control.session(on=True, holidays=["2026-12-01"], mis_cutoff={"shares": "15:05"})
        paper.control.stamps(lag_seconds=7)
        paper.restart()
        now = datetime.fromisoformat(paper.control.clock()["now"])
        assert timedelta(0) < now - datetime.fromisoformat(at("11:00:00")) < timedelta(minutes=10)
        assert paper.control.clock()["factor"] == 10
        session = paper.control.session()
        assert (session["on"], session["holidays"], session["mis_cutoff"]["shares"]) == (
            True,
            ["2026-12-01"],
            "15:05:00",
        )
        assert paper.control.http.get("/feed").json()["feed"]["lag_seconds"] == 7


def test_an_afternoon_passes_in_seconds_with_all_that_belongs_to_it(
    account: PaperAccount, paper: PaperExchange
) -> None:
    """A day of seven hours takes 25 seconds at this pace; from half past two on it is 6."""
    jump_to(paper, "14:30:00")
    account.bought()
    paper.control.clock(factor=1000)
    eventually(lambda: paper.control.clock()["now"] > at("16:00:00"), timeout=30, what="16:00")
    assert account.net() == 0
    assert [row["placed_by"] for row in account.kite.orders()] == [account.user_id, "ADMINSQF"]


def test_ticks_lag_steadily_and_quotes_only_when_told(
    account: PaperAccount, paper: PaperExchange, stream: Stream
) -> None:
    def quote_is_behind() -> float:
        stamp = account.kite.quote("NSE:INFY")["NSE:INFY"]["timestamp"].replace(tzinfo=IST).timestamp()
        return float(paper.control.clock()["now_ns"] / 1e9 - stamp)

    stream.lags(paper, 0)
    paper.control.stamps(lag_seconds=120)
    for _ in range(3):
        stream.lags(paper, 120)
    assert quote_is_behind() < 60
    paper.control.stamps(instrument="NSE:INFY", lag_seconds=-300, quotes_too=True)
    stream.lags(paper, -300)
    assert quote_is_behind() < -60
    paper.control.stamps(instrument="NSE:INFY", reset=True)
    stream.lags(paper, 120)


def test_a_stream_can_come_and_stay_old(account: PaperAccount, paper: PaperExchange, stream: Stream) -> None:
    paper.control.stamps(frozen=True, lag_seconds=5)
    stream.next()
    stamps = {stream.next()["exchange_timestamp"] for _ in range(3)}
    assert len(stamps) == 1


def test_every_group_has_its_hours(paper: PaperExchange) -> None:
    hours = {
        "08:59:00": ("closed", "closed", "closed"),
        "09:00:00": ("pre-open", "pre-open", "closed"),
        "09:08:00": ("opening", "opening", "closed"),
        "09:15:00": ("continuous", "continuous", "continuous"),
        "15:14:00": ("continuous", "continuous", "continuous"),
        "15:15:00": ("reference-price", "continuous", "continuous"),
        "15:20:00": ("auction", "continuous", "continuous"),
        "15:25:00": ("auction-limit-only", "continuous", "continuous"),
        "15:30:00": ("auction-match", "closed", "continuous"),
        "15:35:00": ("closed", "closed", "continuous"),
        "15:40:00": ("closed", "closed", "closed"),
    }
    found = {}
    for clock in hours:
        paper.control.clock(now=at(clock))
        phases = paper.control.session()["phases"]
        found[clock] = tuple(phases[group] for group in ("fno_shares", "shares", "derivatives"))
    assert found == hours


def test_weekends_and_holidays_are_closed_and_special_days_are_not(paper: PaperExchange) -> None:
    def phase(day: str) -> str:
        paper.control.clock(now=at("10:00:00", day))
        return str(paper.control.session()["phases"]["shares"])

    paper.control.session(holidays=["2026-12-01"], trading_days=["2026-12-06"])
    days = ("2026-11-30", "2026-12-01", "2026-12-05", "2026-12-06")
    assert [phase(day) for day in days] == ["continuous", "closed", "closed", "continuous"]


def test_orders_outside_the_hours_are_rejected(account: PaperAccount, paper: PaperExchange) -> None:
    paper.control.clock(now=at("08:30:00"))
    assert ended(account, account.place()) == ("REJECTED", MARKET_CLOSED)
    with pytest.raises(kite_errors.InputException, match="After market orders"):
        account.place(variety="amo")
    paper.control.clock(now=at("09:10:00"))
    assert ended(account, account.place()) == ("REJECTED", NO_ORDERS_NOW)


def test_orders_of_the_pre_open_wait_for_the_opening(account: PaperAccount, paper: PaperExchange) -> None:
    order_id = account.place()
    account.reaches(order_id, "OPEN")
    jump_to(paper, "09:14:00")
    assert account.status(order_id) == "OPEN"
    jump_to(paper, "09:15:01")
    assert account.reaches(order_id, "COMPLETE")["filled_quantity"] == 10


def test_prices_stand_still_while_the_market_is_closed_unless_somebody_moves_them(
    account: PaperAccount, paper: PaperExchange
) -> None:
    before = account.kite.quote("NSE:INFY")["NSE:INFY"]["volume"]
    paper.control.clock(factor=100)
    eventually(lambda: paper.control.clock()["now"] > at("09:03:00"))
    paper.control.clock(factor=1)
    assert account.kite.quote("NSE:INFY")["NSE:INFY"]["volume"] == before
    paper.control.set_price("NSE:INFY", 1400)
    assert account.kite.ltp("NSE:INFY")["NSE:INFY"]["last_price"] == 1400


def test_stops_die_at_the_closing_auction_and_limits_are_carried_into_it(
    account: PaperAccount, paper: PaperExchange
) -> None:
    jump_to(paper, "15:00:00")
    account.bought(20, product="CNC")
    sale: dict[str, Any] = {"transaction_type": "SELL", "product": "CNC", "quantity": 5}
    stop = account.place(order_type="SL", trigger_price=1490, price=1480, **sale)
    carried = limit(account, price=1515, **sale)
    account.reaches(stop, "TRIGGER PENDING")
    account.reaches(carried, "OPEN")
    jump_to(paper, "15:16:00")
    assert ended(account, stop) == ("CANCELLED", NO_STOPS)
    assert account.status(carried) == "OPEN"
    assert ended(account, limit(account, price=1510, **sale)) == ("REJECTED", NO_ORDERS_NOW)
    jump_to(paper, "15:21:00")
    refused = account.place(order_type="SL", trigger_price=1490, price=1480, **sale)
    assert ended(account, refused) == ("REJECTED", NO_STOPS)
    # The reference price is 1510: three per cent below it is 1464.70.
    assert ended(account, limit(account, price=1464.6, **sale)) == ("REJECTED", OUTSIDE_AUCTION_BAND)
    market = account.place(**sale)
    account.reaches(market, "OPEN")
    jump_to(paper, "15:26:00")
    assert ended(account, account.place(**sale)) == ("REJECTED", LIMIT_ONLY)
    crossing = limit(account, price=1464.7, **sale)
    account.reaches(crossing, "OPEN")
    jump_to(paper, "15:30:01")
    assert [account.status(order_id) for order_id in (market, crossing, carried)] == ["COMPLETE", "COMPLETE", "OPEN"]
    jump_to(paper, "15:35:01")
    assert ended(account, carried)[0] == "CANCELLED"


def test_the_broker_squares_off_at_the_cut_off_and_takes_no_fresh_intraday_orders(
    account: PaperAccount, paper: PaperExchange
) -> None:
    jump_to(paper, "15:00:00")
    account.bought(10)
    account.bought(4, product="CNC")
    pending = limit(account, price=1600, transaction_type="SELL")
    account.reaches(pending, "OPEN")
    jump_to(paper, "15:11:00")
    assert account.net() == 10
    jump_to(paper, "15:12:01")
    eventually(lambda: account.net() == 0)
    assert (account.status(pending), account.net("CNC")) == ("CANCELLED", 4)
    row = account.kite.orders()[-1]
    assert (row["placed_by"], row["tag"], row["transaction_type"]) == ("ADMINSQF", None, "SELL")
    with pytest.raises(kite_errors.InputException, match="allowed only till 15:12"):
        account.place()
    account.bought(1, product="CNC")
    account.bought(1, tradingsymbol="YESBANK", product="CNC")


def test_what_cannot_be_squared_off_stays_and_may_still_be_closed(account: PaperAccount, paper: PaperExchange) -> None:
    jump_to(paper, "15:00:00")
    account.bought(10)
    last = account.kite.ltp("NSE:INFY")["NSE:INFY"]["last_price"]
    paper.control.set_rules("NSE:INFY", lower_circuit_limit=last, upper_circuit_limit=last * 1.2)
    jump_to(paper, "15:13:00")
    (row,) = [row for row in account.kite.orders() if row["placed_by"] == "ADMINSQF"]
    account.reaches(row["order_id"], "OPEN")
    assert (account.net(), row["price"]) == (10, last)
    # An order that closes is no fresh one: with the broker's own it makes two.
    ours = account.place("OUT", transaction_type="SELL")
    account.reaches(ours, "OPEN")
    paper.control.set_price("NSE:INFY", last + 1)
    eventually(lambda: account.net() == -10)
    assert account.judged()["lowest_quantity"] == -10


def test_the_morning_flushes_tokens_and_begins_the_day_and_the_book_again(
    account: PaperAccount, paper: PaperExchange, stream: Stream
) -> None:
    paper.control.set_rules("NSE:INFY", band_percent=10)
    paper.control.set_price("NSE:INFY", 1400)
    account.bought(3, product="CNC")
    day_order = limit(account, price=1390, product="CNC")
    account.reaches(day_order, "OPEN")
    jump_to(paper, "05:59:00", "2026-12-01")
    assert account.kite.profile()["user_id"] == account.user_id
    jump_to(paper, "06:00:01", "2026-12-01")
    with pytest.raises(kite_errors.TokenException):
        account.kite.profile()
    eventually(stream.is_closed, what="the end of the socket")
    paper.control.set_token(account.user_id, "of-today")
    account.kite = account.client("of-today")
    assert (account.kite.orders(), account.kite.trades()) == ([], [])
    assert account.holding()["opening_quantity"] == 3
    jump_to(paper, "09:00:01", "2026-12-01")
    quote = account.kite.quote("NSE:INFY")["NSE:INFY"]
    assert (quote["ohlc"]["close"], quote["volume"]) == (1400, 0)
    assert (quote["lower_circuit_limit"], quote["upper_circuit_limit"]) == (1260, 1540)
    yesterday = paper.control.ledger(account.user_id)["accounts"][account.user_id]["orders"]
    last = yesterday[-1]
    assert (last["order_id"], last["status"], last["status_message"]) == (day_order, "CANCELLED", DAY_ENDED)
    assert last["order_timestamp"] == "2026-11-30 15:35:00"


def test_a_pace_beyond_the_machine_drops_ticks_and_still_serves(tmp_path: Path) -> None:
    with PaperExchange(clock_at=at("10:00:00"), clock_factor=1000, tick_seconds=0.01, stage_seconds=1) as paper:
        account = PaperAccount(paper)
        for _ in range(5):
            account.bought(1)
        assert account.net() == 5


def test_a_jump_plays_the_last_step_of_a_script(account: PaperAccount, paper: PaperExchange) -> None:
    jump_to(paper, "10:00:00")
    steps = [{"at_seconds": 60, "price": 1450}, {"at_seconds": 120, "price": 1440}, {"at_seconds": 600, "price": 1}]
    paper.control.set_source("NSE:INFY", "script", steps=steps)
    order_id = limit(account, price=1445)
    account.reaches(order_id, "OPEN")
    paper.control.clock(advance_seconds=300)
    assert account.kite.ltp("NSE:INFY")["NSE:INFY"]["last_price"] == 1440
    assert account.reaches(order_id, "COMPLETE")["average_price"] == 1440
